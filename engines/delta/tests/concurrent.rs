//! Several writers at once.

use std::sync::Barrier;
use std::thread;

use pixelfeat_delta::{Error, Mode, Table, TableOptions, history, prepare};
use tempfile::tempdir;

use crate::{digest, names, numbers, put};

/// Rows of all that said they were written are there, each once, also if all begin by creating the table.
#[test]
fn appends_at_once_all_end_in_a_commit() {
    const WRITERS: usize = 6;
    let folder = tempdir().unwrap();
    let table = folder.path().join("table");
    let start = Barrier::new(WRITERS);
    let versions = thread::scope(|scope| {
        let writer = |at: usize| {
            let (table, start) = (&table, &start);
            scope.spawn(move || {
                start.wait();
                put(table, Mode::Append, numbers(&[at as i64])).unwrap().version
            })
        };
        let writers: Vec<_> = (0..WRITERS).map(writer).collect();
        let mut versions: Vec<u64> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        versions.sort();
        versions
    });
    assert_eq!(versions, (0..WRITERS as u64).collect::<Vec<_>>());
    let expected = pixelfeat::lineage::Digest::of(numbers(&(0..WRITERS as i64).collect::<Vec<_>>())).unwrap();
    assert!(digest(&table, None).has_rows_of(&expected));
}

#[test]
fn an_overwrite_does_not_hide_what_another_writer_has_added() {
    let folder = tempdir().unwrap();
    let table = folder.path().join("table");
    put(&table, Mode::Append, numbers(&[1])).unwrap();
    let late = prepare(&table, numbers(&[2]), &TableOptions::new(Mode::Overwrite)).unwrap();
    put(&table, Mode::Append, numbers(&[3])).unwrap();
    let before = names(&table).len();
    let error = late.commit().unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }), "{error}");
    assert_eq!((digest(&table, None).rows(), names(&table).len()), (2, before - 1));
}

/// What was checked when the run began may not hold at its end.
#[test]
fn an_append_fails_if_the_columns_have_changed_meanwhile() {
    let folder = tempdir().unwrap();
    let table = folder.path().join("table");
    put(&table, Mode::Append, numbers(&[1])).unwrap();
    let late = prepare(&table, numbers(&[2]), &TableOptions::new(Mode::Append)).unwrap();
    put(&table, Mode::Overwrite, crate::features(5, 1, "profiles")).unwrap();
    let error = late.commit().unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }), "{error}");
    assert_eq!((digest(&table, None).rows(), history(&table).unwrap().len()), (5, 2));
    // With the same columns both are kept.
    let late = prepare(&table, crate::features(7, 2, "profiles"), &TableOptions::new(Mode::Append)).unwrap();
    put(&table, Mode::Append, crate::features(5, 1, "profiles")).unwrap();
    assert_eq!(late.commit().unwrap().version, 3);
    assert_eq!(Table::open(&table, None).unwrap().files().unwrap().len(), 3);
    assert_eq!(digest(&table, None).rows(), 17);
}
