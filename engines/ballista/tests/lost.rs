//! An executor that is killed while it computes.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::tempdir;

use crate::cluster::{Cluster, PATIENCE, count};
use crate::data;

const FILES: u64 = 6;
const ROWS: u64 = 300;
const SET: &str = "profiles,gradients";

/// The rows that the killed executor was computing and those that it had computed and kept are computed once more.
#[test]
fn a_query_survives_the_death_of_an_executor() {
    let folder = tempdir().unwrap();
    let digits = folder.path().join("digits");
    data::write(&digits, FILES, ROWS);
    let mut cluster = Cluster::start(2);
    let tables = [("digits", digits.as_path())];
    let sql = format!("SELECT id, pixel_features(image, '28x28', '{SET}') AS features FROM digits ORDER BY id");
    let before = cluster.rows(&tables, &sql);
    assert_eq!(before.len() as u64, FILES * ROWS);

    let executor = &cluster.executors[1];
    let (begun, done) = (executor.count("Execute task"), executor.count("Finished task"));
    let client = cluster.client(&tables, &sql);
    // It has finished a task of this query and computes another one.
    executor.wait(|lines| {
        let (begun, done) = (count(lines, "Execute task") - begun, count(lines, "Finished task") - done);
        (done > 0 && begun > done).then_some(())
    });
    cluster.executors[1].kill();
    let executor = &cluster.executors[1];
    assert!(executor.count("Execute task") > executor.count("Finished task"), "it was killed between two tasks");
    assert!(before == client.rows());
    // The cluster goes on with the executor that is left.
    let rows = cluster.rows(&tables, "SELECT DISTINCT worker_pid() FROM digits");
    assert_eq!(rows, [[cluster.executors[0].pid().to_string()]]);
}

/// Then the tasks before it, whose rows it had read in part and kept in part, have to be done again as well.
#[test]
fn a_copy_survives_the_death_of_the_executor_that_writes() {
    let told = copy_and_kill(|_| true);
    assert_eq!(told, Ok(()));
}

/// Files that were complete stay and are written once more. Ballista says nothing about that.
#[test]
fn a_copy_that_leaves_rows_twice_is_an_error() {
    let told = copy_and_kill(|folder| folder.read_dir().is_ok_and(|mut files| files.next().is_some()));
    // It may have been killed before the first file was complete.
    if let Err(told) = told {
        assert!(told.contains("has some rows twice"), "{told}");
    }
}

/// Kills the executor that writes when `now` says so of the folder. The features are compared if the client is content.
fn copy_and_kill(now: impl Fn(&Path) -> bool) -> Result<(), String> {
    let folder = tempdir().unwrap();
    let (digits, features) = (folder.path().join("digits"), folder.path().join("features"));
    data::write(&digits, FILES, ROWS);
    let mut cluster = Cluster::start(2);
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
    client.end()?;
    assert!(data::read(&features) == data::expected(FILES, ROWS, SET));
    Ok(())
}
