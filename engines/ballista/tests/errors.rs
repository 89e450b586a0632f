//! Queries that cannot be answered, and what is said about them.

use std::net::TcpListener;
use std::sync::Arc;

use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::{create_scheduler, start_grpc_service_with_listener};
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tempfile::tempdir;
use tokio::runtime::Runtime;

use crate::cluster::{Cluster, client, standalone};
use crate::data;

#[test]
fn wrong_queries_are_refused_before_a_task_runs() {
    let folder = tempdir().unwrap();
    let digits = folder.path().join("digits");
    data::write(&digits, 1, 10);
    let mut cluster = Cluster::start(1);
    let error = |sql: &str| cluster.error(&[("digits", digits.as_path())], sql);
    let told = error("SELECT pixel_features(image, '28by28') FROM digits");
    assert!(told.contains("pixel_features") && told.contains("28by28"), "{told}");
    let told = error("SELECT pixel_mean(id, '28x28') FROM digits");
    assert!(told.contains("pixel_mean") && told.contains("Int64"), "{told}");
    let told = error("SELECT pixel_feature(image) FROM digits");
    assert!(told.contains("'pixel_feature'"), "{told}");
    let told = error("SELEC 1");
    assert!(told.contains("SELEC"), "{told}");
    let told = error(" ");
    assert!(told.contains("no SQL"), "{told}");
    let told = cluster.error(&[("digits", &folder.path().join("none.parquet"))], "SELECT * FROM digits");
    assert!(told.contains("none.parquet"), "{told}");
    cluster.executors[0].kill();
    assert_eq!(cluster.executors[0].count("Execute task"), 0);
}

/// Ballista alone only says that the task was rejected.
#[test]
fn an_executor_without_the_functions_is_told_apart() {
    let folder = tempdir().unwrap();
    let digits = folder.path().join("digits");
    data::write(&digits, 1, 10);
    let cluster = Cluster::start(0);
    let runtime = Runtime::new().unwrap();
    let work_dir = folder.path().join("work").to_str().unwrap().to_owned();
    let [port, grpc_port] = free_ports();
    let config = ExecutorProcessConfig {
        scheduler_port: cluster.address.rsplit_once(':').unwrap().1.parse().unwrap(),
        port,
        grpc_port,
        vcores: 1,
        work_dir: Some(work_dir),
        ..ExecutorProcessConfig::default()
    };
    runtime.spawn(start_executor_process(Arc::new(config)));
    let tables = [("digits", digits.as_path())];
    // It computes what needs no function of ours.
    assert_eq!(cluster.rows(&tables, "SELECT count(id) FROM digits"), [["10"]]);
    let told = cluster.error(&tables, "SELECT abs(pixel_mean(image, '28x28')), worker_pid() FROM digits");
    for part in
        ["The query calls pixel_mean, worker_pid.", "`pixelfeat-ballista executor`", "override_function_registry"]
    {
        assert!(told.contains(part), "{told}");
    }
    runtime.shutdown_background();
}

#[test]
fn a_scheduler_without_the_functions_is_told_apart() {
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let config = SchedulerConfig { bind_port: address.port(), min_ready_executors: 0, ..SchedulerConfig::default() };
    runtime.spawn(async move {
        let cluster = BallistaCluster::new_from_config(&config).await?;
        let scheduler = create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, Arc::new(config)).await?;
        start_grpc_service_with_listener(listener, scheduler).await
    });
    let told = client(&address.to_string(), &[], "SELECT worker_pid()", &["--executors", "0"]).end().unwrap_err();
    for part in ["The query calls worker_pid.", "`pixelfeat-ballista scheduler`"] {
        assert!(told.contains(part), "{told}");
    }
    runtime.shutdown_background();
}

#[test]
fn a_cluster_that_is_not_there_is_told_apart() {
    // Somebody listens there, so that no scheduler of another test gets the port. But nobody answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let told = client(&address, &[], "SELECT 1", &["--wait", "0"]).end().unwrap_err();
    assert!(told.contains("no scheduler answers at") && told.contains(&address), "{told}");
    let cluster = Cluster::start(0);
    let told = client(&cluster.address, &[], "SELECT 1", &["--wait", "0"]).end().unwrap_err();
    assert!(told.contains("has 0 of 1 executors"), "{told}");
}

/// Without that the client would only miss an executor, and only after some seconds.
#[test]
fn a_client_says_why_its_own_cluster_has_ended() {
    let folder = tempdir().unwrap();
    let none = folder.path().join("none");
    let none = none.to_str().unwrap();
    let told = standalone(&[], "SELECT 1", &[("TMPDIR", none)]).end().unwrap_err();
    assert!(told.contains(none), "{told}");
}

fn free_ports() -> [u16; 2] {
    // No other process of the tests takes ports from here.
    let listen = |()| (15_000..20_000).find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok()).unwrap();
    let listeners = [(); 2].map(listen);
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
