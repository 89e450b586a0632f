//! The program `sql`, as people run it.

use std::env::{self, consts::EXE_SUFFIX};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The program, which `cargo test` builds beside the tests. With `--test`, cargo builds no examples.
fn sql() -> Command {
    let tests = env::current_exe().unwrap();
    let folder = tests.parent().and_then(Path::parent).unwrap();
    let program = folder.join("examples").join(format!("sql{EXE_SUFFIX}"));
    let changed = |path: &Path| fs::metadata(path).and_then(|about| about.modified());
    let Ok(built) = changed(&program) else { panic!("{} is missing: run `cargo test`", program.display()) };
    // Cargo lists beside a program the files that it was built from, with a backslash before each space of a path.
    let list = fs::read_to_string(program.with_extension("d")).unwrap().replace("\\ ", "\0");
    let (_, sources) = list.split_once(": ").unwrap();
    for source in sources.split_whitespace().map(|path| path.replace('\0', " ")) {
        let is_old = changed(source.as_ref()).is_ok_and(|changed| changed <= built);
        assert!(is_old, "{source} has changed since the program was built: run `cargo test`");
    }
    let mut command = Command::new(program);
    command.env_remove("PIXELFEAT_BACKEND");
    command
}

fn told(output: &Output) -> (bool, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code() == Some(0), text(&output.stdout), text(&output.stderr))
}

#[test]
fn queries_write_files_and_read_them() {
    let folder = tempfile::tempdir().unwrap();
    let copy =
        "COPY (SELECT label, pixel_features(image, '28x28') AS features FROM pixelfeat_digits(100)) TO 'f.parquet'";
    let count = "SELECT count(features) FROM 'f.parquet'; SELECT label FROM pixelfeat('f.parquet') LIMIT 2";
    let output = sql().current_dir(&folder).args([copy, count, "--partitions", "2"]).output().unwrap();
    let (is_fine, out, error) = told(&output);
    assert!(is_fine && error.is_empty(), "{error}");
    assert!(out.starts_with("100\n100\n+-------+\n| label |"), "{out}");
}

#[test]
fn the_last_result_goes_to_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let select = "SELECT label, pixel_features(image, '28x28') AS features FROM pixelfeat_digits(100)";
    let copy = format!("COPY ({select}) TO 'copied.parquet'");
    let arguments = [&copy, select, "-o", "written.parquet", "--partitions", "1"];
    let (is_fine, out, error) = told(&sql().current_dir(&folder).args(arguments).output().unwrap());
    assert!(is_fine && out.starts_with("100\n100 rows, "), "{out}{error}");
    let differ = "SELECT * FROM 'copied.parquet' EXCEPT SELECT * FROM 'written.parquet'";
    let (is_fine, out, error) =
        told(&sql().current_dir(&folder).arg(format!("SELECT count(*) FROM ({differ})")).output().unwrap());
    assert!(is_fine && out == "0\n", "{out}{error}");
    for (query, file, why) in [
        ("SELECT 1 / (label - label) FROM pixelfeat_digits(10)", "none.parquet", "Divide by zero"),
        (select, "none.xlsx", "the name must end in"),
    ] {
        let (is_fine, _, error) = told(&sql().current_dir(&folder).args([query, "-o", file]).output().unwrap());
        assert!(!is_fine && error.contains(why), "{error}");
        assert!(!folder.path().join(file).exists());
    }
}

#[test]
fn long_results_are_cut_and_said_to_be() {
    let (is_fine, out, _) =
        told(&sql().args(["SELECT image FROM pixelfeat_digits(9)", "--rows", "3"]).output().unwrap());
    assert!(is_fine && out.contains("…") && out.contains("These are the first 3 rows."), "{out}");
    assert_eq!(out.lines().count(), 3 + 4 + 1, "{out}");
}

#[test]
fn standard_input_is_read() {
    let mut child = sql().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"SELECT 1; SELECT pixel_mean(X'00ff', '1x2')").unwrap();
    let (is_fine, out, _) = told(&child.wait_with_output().unwrap());
    assert!(is_fine);
    assert_eq!(out, "1\n127.5\n");
}

#[test]
fn errors_are_one_message_and_a_code() {
    for (query, backend, why) in [
        ("SELEC", "", "Expected: an SQL statement, found: SELEC"),
        ("SELECT pixel_mean(image, 'x') FROM pixelfeat_digits(1)", "", "the argument shape is wrong: `x` is not HxW"),
        ("SELECT pixel_mean(X'00', '1x1')", "tpu", "PIXELFEAT_BACKEND is `tpu`; it can be cpu, gpu or hybrid"),
    ] {
        let output = sql().arg(query).env("PIXELFEAT_BACKEND", backend).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{query}");
        let (_, out, error) = told(&output);
        assert!(out.is_empty() && error.starts_with("error: ") && error.contains(why), "{query}: {error}");
    }
}

#[test]
fn the_queries_of_the_readme_run() {
    let readme = include_str!("../README.md");
    let first = "COPY (SELECT label, image FROM pixelfeat_digits(10000)) TO 'digits.parquet'";
    assert!(readme.contains(first));
    let blocks = readme.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
    let queries: Vec<&str> =
        blocks.flat_map(|block| block.split(';')).map(str::trim).filter(|q| !q.is_empty()).collect();
    assert_eq!(queries.len(), 5);
    let folder = tempfile::tempdir().unwrap();
    let drawn = first.replace("10000", "100");
    let (is_fine, out, error) = told(&sql().current_dir(&folder).arg(drawn).args(&queries).output().unwrap());
    assert!(is_fine, "{error}");
    assert!(out.starts_with("100\n+-------+"), "{out}");
}

#[test]
fn the_functions_are_explained() {
    let (is_fine, out, _) = told(&sql().arg("--functions").output().unwrap());
    assert!(is_fine && out.contains("pixel_profile(image, '28x28')\n    The profile"), "{out}");
}

#[cfg(feature = "gpu")]
#[test]
fn a_gpu_gives_the_same_bytes() {
    if let Err(error) = pixelfeat::gpu::Gpu::open(true) {
        assert!(env::var("PIXELFEAT_REQUIRE_GPU").as_deref() != Ok("1"), "a GPU is required: {error}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = |backend: &str| {
        let copy = format!(
            "COPY (SELECT pixel_features(image, '28x28', 'profiles,gradients'), pixel_std(image, '28x28') \
             FROM pixelfeat_digits(10000)) TO '{backend}.parquet'"
        );
        let partitions = "SET datafusion.execution.target_partitions = 4";
        let profile = "SELECT pixel_profile(image, '28x28') FROM pixelfeat_digits(10000)";
        let queries = [copy.as_str(), partitions, profile, "--partitions", "1"];
        let output = sql().current_dir(&folder).args(queries).env("PIXELFEAT_BACKEND", backend).output().unwrap();
        let (is_fine, out, error) = told(&output);
        assert!(is_fine && error.is_empty(), "{backend}: {error}");
        (out, fs::read(folder.path().join(format!("{backend}.parquet"))).unwrap())
    };
    let cpu = run("cpu");
    assert!(run("gpu") == cpu && run("hybrid") == cpu);
}

#[cfg(feature = "gpu")]
#[test]
fn a_gpu_that_is_not_there_is_an_error() {
    let environment = [("PIXELFEAT_BACKEND", "hybrid"), ("WGPU_ADAPTER_NAME", "none such")];
    let output = sql().arg("SELECT pixel_mean(X'00', '1x1')").envs(environment).output().unwrap();
    let (is_fine, out, error) = told(&output);
    let why = "PIXELFEAT_BACKEND is hybrid, but no GPU can be used: no GPU adapter: none is named like WGPU_ADAPTER_NAME=none such";
    assert!(!is_fine && out.is_empty() && error.contains(why), "{error}");
}
