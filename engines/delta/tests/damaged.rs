//! Tables that are none, or damaged.

use std::fs;

use pixelfeat_delta::{Error, Mode, Table, history};
use tempfile::tempdir;

use crate::{names, numbers, put, read};

#[test]
fn what_is_no_table_is_told_apart() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    assert!(matches!(Table::open(path("none"), None), Err(Error::NotATable { .. })));
    assert!(matches!(history(path("none")), Err(Error::NotATable { .. })));
    fs::write(path("file"), "text").unwrap();
    for error in
        [put(&path("file"), Mode::Append, numbers(&[1])).unwrap_err(), Table::open(path("file"), None).unwrap_err()]
    {
        assert!(matches!(error, Error::NotATable { .. }), "{error}");
    }
    // A folder of other files does not become a table; what a killed run has left does not matter.
    fs::create_dir(path("folder")).unwrap();
    fs::write(path("folder/notes.txt"), "text").unwrap();
    let error = put(&path("folder"), Mode::Append, numbers(&[1])).unwrap_err();
    assert!(matches!(error, Error::NotATable { .. }), "{error}");
    assert_eq!(names(&path("folder")), ["notes.txt"]);
    fs::create_dir(path("killed")).unwrap();
    fs::write(path("killed/part-66919578-0d32-4416-96a3-fc340ead98b8-00000.parquet"), "PAR1").unwrap();
    put(&path("killed"), Mode::Append, numbers(&[1])).unwrap();
    assert_eq!(read(&path("killed"), None).unwrap()[0].num_rows(), 1);
}

#[test]
fn a_version_that_is_not_there_is_named() {
    let folder = tempdir().unwrap();
    let table = folder.path().join("table");
    put(&table, Mode::Append, numbers(&[1])).unwrap();
    let error = Table::open(&table, Some(7)).unwrap_err();
    assert!(matches!(error, Error::NoSuchVersion { version: 7, latest: 0, .. }), "{error}");
}

#[test]
fn a_log_that_is_cut_is_an_error_and_not_fewer_rows() {
    let folder = tempdir().unwrap();
    let entry = |version: u64| format!("_delta_log/{version:020}.json");
    let damaged = |name: &str, damage: &dyn Fn(&std::path::Path)| {
        let table = folder.path().join(name);
        for n in 0..3 {
            put(&table, Mode::Append, numbers(&[n])).unwrap();
        }
        damage(&table);
        for error in [
            Table::open(&table, None).and_then(|table| table.files().map(drop)).unwrap_err(),
            put(&table, Mode::Append, numbers(&[9])).unwrap_err(),
        ] {
            assert!(matches!(error, Error::Log { .. }), "{name}: {error}");
        }
    };
    damaged("gap", &|table| fs::remove_file(table.join(entry(1))).unwrap());
    damaged("start", &|table| fs::remove_file(table.join(entry(0))).unwrap());
    damaged("half", &|table| {
        let text = fs::read(table.join(entry(2))).unwrap();
        fs::write(table.join(entry(2)), &text[..text.len() / 2]).unwrap();
    });
    let half = history(folder.path().join("half")).unwrap_err().to_string();
    assert!(half.contains("version 2 is cut or damaged in line"), "{half}");
    // A file that is gone is an error of reading.
    let table = folder.path().join("file");
    put(&table, Mode::Append, numbers(&[1])).unwrap();
    fs::remove_file(table.join(&names(&table)[0])).unwrap();
    assert!(read(&table, None).is_err());
}
