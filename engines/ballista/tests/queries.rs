//! What a whole cluster answers.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::arrow::util::display::array_value_to_string;
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use tempfile::tempdir;
use tokio::runtime::Runtime;

use crate::cluster::{Cluster, count, standalone};
use crate::data;

/// The features are those of the crate, whichever executor computed them.
#[test]
fn executors_share_the_rows_and_their_features_are_those_of_the_crate() {
    const SET: &str = "profiles,zones:2x2";
    let folder = tempdir().unwrap();
    let (digits, features) = (folder.path().join("digits"), folder.path().join("features"));
    data::write(&digits, 6, 100);
    let cluster = Cluster::start(2);
    let tables = [("digits", digits.as_path())];

    let sql = "SELECT worker_pid() AS pid, count(*) AS images FROM digits GROUP BY worker_pid()";
    let rows = cluster.rows(&tables, sql);
    let shares: BTreeMap<u32, u64> =
        rows.iter().map(|row| (row[0].parse().unwrap(), row[1].parse().unwrap())).collect();
    let pids: BTreeSet<u32> = cluster.executors.iter().map(|executor| executor.pid()).collect();
    assert_eq!(shares.keys().copied().collect::<BTreeSet<_>>(), pids);
    assert_eq!(shares.values().sum::<u64>(), 600);

    let sql = format!(
        "COPY (SELECT id, pixel_features(image, '28x28', '{SET}') AS features FROM digits) TO '{}/' STORED AS PARQUET",
        features.display()
    );
    assert_eq!(cluster.rows(&tables, &sql), [["600"]]);
    assert!(data::read(&features) == data::expected(6, 100, SET));
}

/// What a query of features means does not change with the number of stages behind it.
#[test]
fn features_go_through_a_shuffle() {
    let folder = tempdir().unwrap();
    let (digits, nulls) = (folder.path().join("digits"), folder.path().join("nulls.parquet"));
    data::write(&digits, 3, 50);
    data::write_nulls(&nulls, 5);
    let cluster = Cluster::start(2);
    let tables = [("digits", digits.as_path()), ("nulls", nulls.as_path())];
    let sql = "
        CREATE VIEW both AS SELECT * FROM digits UNION ALL SELECT * FROM nulls;
        SELECT id % 3 AS part, count(*) AS rows, count(features) AS features, sum(features[60]) > 0 AS positive
        FROM (SELECT id, pixel_features(image, '28x28') AS features FROM both) GROUP BY id % 3 ORDER BY part";
    let expected =
        [["0", "52", "50", "true"], ["1", "52", "50", "true"], ["2", "51", "50", "true"]].map(|row| row.to_vec());
    assert_eq!(cluster.rows(&tables, sql), expected);
}

/// An aggregate's state travels between executors.
#[test]
fn a_profile_of_shared_rows_is_that_of_one_process() {
    let folder = tempdir().unwrap();
    let digits = folder.path().join("digits");
    data::write(&digits, 4, 50);
    let sql = "SELECT length(profile), md5(profile) FROM (SELECT pixel_profile(image, '28x28') AS profile FROM digits)";
    let expected = Runtime::new().unwrap().block_on(async {
        let context = SessionContext::new();
        pixelfeat_datafusion::register_all(&context);
        let path = digits.to_str().unwrap();
        context.register_parquet("digits", path, ParquetReadOptions::default()).await.unwrap();
        let rows = context.sql(sql).await.unwrap().collect().await.unwrap();
        [0, 1].map(|column| array_value_to_string(rows[0].column(column), 0).unwrap())
    });
    let cluster = Cluster::start(2);
    assert_eq!(cluster.rows(&[("digits", &digits)], sql), [expected]);
    for executor in &cluster.executors {
        executor.wait(|lines| (count(lines, "Finished task") > 0).then_some(()));
    }
}

/// Metadata of a column reaches the executors. Without it these images would be read in another order.
#[test]
fn tensors_are_read_as_their_metadata_says() {
    let folder = tempdir().unwrap();
    let (tensors, features) = (folder.path().join("tensors.parquet"), folder.path().join("features"));
    let expected = data::write_tensors(&tensors, 20);
    let cluster = Cluster::start(1);
    let sql = format!(
        "COPY (SELECT id, pixel_features(image, '14x14x4') AS features FROM tensors) TO '{}/' STORED AS PARQUET",
        features.display()
    );
    cluster.rows(&[("tensors", &tensors)], &sql);
    assert!(data::read(&features) == expected);
}

#[test]
fn a_client_can_be_a_cluster_of_its_own() {
    let folder = tempdir().unwrap();
    let digits = folder.path().join("digits");
    data::write(&digits, 2, 30);
    let sql = "SET datafusion.execution.target_partitions = 4;
        SELECT count(pixel_mean(image, '28x28')) AS images, count(DISTINCT worker_pid()) AS workers FROM digits; SELECT 7 AS n";
    assert_eq!(standalone(&[("digits", &digits)], sql, &[]).rows(), [vec!["60", "1"], vec!["n"], vec!["7"]]);
}
