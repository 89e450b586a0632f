//! An executor that is killed while it computes.

use tempfile::tempdir;

use crate::cluster::{Cluster, count};
use crate::data;

const FILES: u64 = 8;
const ROWS: u64 = 400;
const SET: &str = "profiles,gradients";

/// The rows that the killed executor was computing and those that it had computed and kept are computed once more.
#[test]
fn a_query_survives_the_death_of_an_executor() {
    let folder = tempdir().unwrap();
    let digits = folder.path().join("digits");
    data::write(&digits, FILES, ROWS);
    let mut cluster = Cluster::start(2);
    let tables = [("digits", digits.as_path())];
    let sql = format!(
        "SELECT id, encode(digest(array_to_string(pixel_features(image, '28x28', '{SET}'), ','), 'md5'), 'hex') AS features
         FROM digits ORDER BY id"
    );
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
    let after = client.rows();
    let executor = &cluster.executors[1];
    assert!(executor.count("Execute task") > executor.count("Finished task"), "it was killed between two tasks");
    assert!(before == after);
    // The cluster goes on with the executor that is left.
    let rows = cluster.rows(&tables, "SELECT DISTINCT worker_pid() FROM digits");
    assert_eq!(rows, [[cluster.executors[0].pid().to_string()]]);
}
