//! Processes that are killed while others need them.

use std::fs::DirEntry;
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::tempdir;

use crate::cluster::{Cluster, PATIENCE};
use crate::data;

const FILES: u64 = 6;
const ROWS: u64 = 300;
const SET: &str = "profiles,gradients";

/// The rows that the killed executor was computing and those that it had computed and kept are computed once more.
#[test]
fn a_query_survives_the_death_of_an_executor() {
    assert!((0..5).any(|_| an_executor_dies_at_work()));
}

/// Whether the executor was killed within a task. Only then the result is looked at.
fn an_executor_dies_at_work() -> bool {
    let folder = tempdir().unwrap();
    let digits = folder.path().join("digits");
    data::write(&digits, FILES, ROWS);
    let mut cluster = Cluster::start_impatient(2);
    let tables = [("digits", digits.as_path())];
    let sql = format!("SELECT id, pixel_features(image, '28x28', '{SET}') AS features FROM digits ORDER BY id");
    let client = cluster.client(&tables, &sql);

    let executor = &mut cluster.executors[1];
    // Tasks of the first stage.
    let tasks =
        |lines: &[String], what| lines.iter().filter(|line| line.contains(what) && line.contains("/1.0/")).count();
    // It has one slot, so it has finished a task before it begins the next one.
    executor.wait(|lines| (tasks(lines, "Execute task") > 1).then_some(()));
    executor.kill();
    if executor.said(|lines| tasks(lines, "Execute task") == tasks(lines, "Finished task")) {
        return false;
    }
    let rows = client.rows();
    assert_eq!(rows.len() as u64, FILES * ROWS);
    // The cluster goes on with the executor that is left.
    assert!(rows == cluster.rows(&tables, &sql));
    let pids = cluster.rows(&tables, "SELECT DISTINCT worker_pid() FROM digits");
    assert_eq!(pids, [[cluster.executors[0].pid().to_string()]]);
    true
}

/// Then the tasks before it, whose rows it had read in part and kept in part, have to be done again as well.
#[test]
fn a_copy_survives_the_death_of_the_executor_that_writes() {
    copy_and_kill(|_| true);
}

/// Files that were complete stay and are written once more. Ballista says nothing about that.
#[test]
fn a_copy_that_leaves_rows_twice_is_an_error() {
    copy_and_kill(has_complete_files);
}

/// Kills the executor that writes when `now` says so of the folder. All rows have to be there once, or the client says that some
/// are there twice, which can only be if files were complete.
fn copy_and_kill(now: impl Fn(&Path) -> bool) {
    let folder = tempdir().unwrap();
    let (digits, features) = (folder.path().join("digits"), folder.path().join("features"));
    data::write(&digits, FILES, ROWS);
    let mut cluster = Cluster::start_impatient(2);
    let sql = format!(
        "COPY (SELECT id, pixel_features(image, '28x28', '{SET}') AS features FROM digits) TO '{}/' STORED AS PARQUET",
        features.display()
    );
    let client = cluster.client(&[("digits", &digits)], &sql);
    let end = Instant::now() + PATIENCE;
    // The second stage has one task, which writes.
    let writes = |line: &String| line.contains("Execute task") && line.contains("/2.0/");
    let writer = loop {
        assert!(Instant::now() < end, "nobody writes");
        let writer = cluster.executors.iter().position(|executor| executor.said(|lines| lines.iter().any(writes)));
        match writer {
            Some(writer) if now(&features) => break writer,
            _ => sleep(Duration::from_millis(1)),
        }
    };
    cluster.executors[writer].kill();
    let may_be_twice = has_complete_files(&features);
    match client.end() {
        Ok(_) => assert!(data::read(&features) == data::expected(FILES, ROWS, SET)),
        Err(told) => assert!(may_be_twice && told.contains("has some rows twice"), "{told}"),
    }
}

/// Files have another ending until they are complete.
fn has_complete_files(folder: &Path) -> bool {
    let is_complete = |file: io::Result<DirEntry>| file.unwrap().path().extension().is_some_and(|end| end == "parquet");
    folder.read_dir().is_ok_and(|mut files| files.any(is_complete))
}

/// Being told to end is no error, but having no scheduler any more is one.
#[test]
fn an_executor_tells_why_it_ends() {
    let mut cluster = Cluster::start(2);
    cluster.executors[0].terminate();
    let (code, said) = cluster.executors[0].end();
    assert_eq!(code, Some(0), "{said}");
    cluster.scheduler.kill();
    let (code, said) = cluster.executors[1].end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("error: no scheduler answers at {}", cluster.address)), "{said}");
}
