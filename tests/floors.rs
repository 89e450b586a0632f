//! The rooms of the crate stand on floors, and no module imports from a floor above its own. Files of one room do not
//! import each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The rooms, from the ground up. A room imports from itself and from those before it.
const FLOORS: [&str; 12] =
    ["base", "steps", "images", "stages", "features", "cpu", "gpu", "engine", "run", "quality", "lineage", "io"];
/// What stands beside the floors: for tests, benches and the demo. No room imports it.
const BESIDE: [&str; 2] = ["reference", "synthetic"];

/// The lines of production code: no comments, no unit tests.
fn code(source: &str) -> impl Iterator<Item = (usize, &str)> {
    let tests = source.find("#[cfg(test)]\nmod tests {").unwrap_or(source.len());
    let lines = source[..tests].lines().enumerate().map(|(at, line)| (at + 1, line.trim_start()));
    lines.filter(|(_, line)| !line.starts_with("//"))
}

/// The names that follow `start` in a line, such as `base` after `crate::`; of a group in braces all its names.
fn names_after<'a>(line: &'a str, start: &str) -> Vec<&'a str> {
    let word = |text: &'a str| {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        &text[..end]
    };
    let mut names = Vec::new();
    for (at, _) in line.match_indices(start) {
        // `super::super::x` is no import of a sibling, nor is `mycrate::x` one of a room.
        let before = line[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &line[at + start.len()..];
        match rest.strip_prefix('{').and_then(|group| group.split_once('}')) {
            Some((group, _)) => names.extend(group.split(',').map(|name| word(name.trim()))),
            None => names.push(word(rest)),
        }
    }
    names
}

/// What is wrong with the imports of a file of `room`.
fn upward(room: &str, source: &str) -> Vec<String> {
    let floor = FLOORS.iter().position(|name| *name == room);
    let mut wrong = Vec::new();
    for (line, text) in code(source) {
        for name in names_after(text, "crate::") {
            let other = FLOORS.iter().position(|room| *room == name);
            if other > floor && other.is_some() || BESIDE.contains(&name) {
                wrong.push(format!("line {line}: {room} imports {name}"));
            }
        }
    }
    wrong
}

/// Whether a file holds unit tests alone: `tests.rs`, or a name that ends so.
fn is_test(path: &Path) -> bool {
    path.file_stem().and_then(|name| name.to_str()).is_some_and(|name| name.ends_with("tests"))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") && !is_test(&path) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn nothing_imports_upwards() {
    let rooms: BTreeSet<_> = std::fs::read_dir(src())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(rooms, FLOORS.iter().map(|room| (*room).to_owned()).collect(), "every room has a floor");
    for room in FLOORS {
        for path in files(&src().join(room)) {
            let wrong = upward(room, &std::fs::read_to_string(&path).unwrap());
            assert!(wrong.is_empty(), "{}: {}", path.display(), wrong.join("; "));
        }
    }
}

#[test]
fn an_upward_import_is_noticed() {
    assert!(upward("cpu", "use crate::base::error::Error;\nuse crate::features::{Feature, FeatureSet};\n").is_empty());
    assert_eq!(upward("cpu", "use crate::base::x;\nuse crate::run::Report;\n"), ["line 2: cpu imports run"]);
    assert_eq!(upward("base", "fn f() { crate::io::open() }"), ["line 1: base imports io"]);
    assert_eq!(upward("base", "use crate::{base, gpu};"), ["line 1: base imports gpu"]);
    assert_eq!(upward("engine", "use crate::synthetic::digit;"), ["line 1: engine imports synthetic"]);
    assert!(upward("base", "/// As crate::io::open.\n#[cfg(test)]\nmod tests {\n    use crate::run::x;\n}").is_empty());
}

/// The name by which the files of its folder know a file, or a folder beside it.
fn name_in(folder: &Path, path: &Path) -> Option<String> {
    let first = path.strip_prefix(folder).ok()?.components().next()?;
    let name = Path::new(first.as_os_str()).file_stem()?.to_str()?.to_owned();
    (name != "mod").then_some(name)
}

/// The siblings that each file or folder in `folder` imports.
fn imports(folder: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let path_of = folder.strip_prefix(src()).unwrap().to_str().unwrap().replace('/', "::");
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in files(folder) {
        let Some(name) = name_in(folder, &path) else { continue };
        let depth = path.strip_prefix(folder).unwrap().components().count();
        let is_mod = path.file_name().is_some_and(|file| file == "mod.rs");
        let supers = "super::".repeat(depth - usize::from(is_mod));
        let source = std::fs::read_to_string(&path).unwrap();
        let entry = imports.entry(name.clone()).or_default();
        for (_, line) in code(&source) {
            entry.extend(names_after(line, &supers).into_iter().map(str::to_owned));
            entry.extend(names_after(line, &format!("crate::{path_of}::")).into_iter().map(str::to_owned));
        }
        entry.remove(&name);
    }
    let names: BTreeSet<String> = imports.keys().cloned().collect();
    imports.values_mut().for_each(|others| others.retain(|other| names.contains(other)));
    imports
}

/// A circle of names that import one another, if there is one.
fn circle(imports: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn follow(
        imports: &BTreeMap<String, BTreeSet<String>>,
        way: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> bool {
        let last = way[way.len() - 1].clone();
        for next in imports.get(&last).into_iter().flatten() {
            if let Some(start) = way.iter().position(|name| name == next) {
                way.drain(..start);
                return true;
            }
            if !done.contains(next) {
                way.push(next.clone());
                if follow(imports, way, done) {
                    return true;
                }
                way.pop();
            }
        }
        done.insert(last);
        false
    }
    let mut done = BTreeSet::new();
    imports.keys().find_map(|name| {
        let mut way = vec![name.clone()];
        (!done.contains(name) && follow(imports, &mut way, &mut done)).then_some(way)
    })
}

#[test]
fn no_files_of_a_room_import_each_other_in_a_circle() {
    let mut folders: BTreeSet<PathBuf> = FLOORS.iter().map(|room| src().join(room)).collect();
    folders
        .extend(FLOORS.iter().flat_map(|room| files(&src().join(room))).filter_map(|p| Some(p.parent()?.to_owned())));
    for folder in folders {
        let found = circle(&imports(&folder));
        assert!(found.is_none(), "{}: {} import each other", folder.display(), found.unwrap_or_default().join(", "));
    }
}

#[test]
fn a_circle_is_noticed() {
    let graph = |edges: &[(&str, &str)]| {
        let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in edges {
            graph.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        graph
    };
    assert_eq!(circle(&graph(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    assert_eq!(circle(&graph(&[("a", "b"), ("b", "c"), ("c", "b")])), Some(vec!["b".to_owned(), "c".to_owned()]));
}
