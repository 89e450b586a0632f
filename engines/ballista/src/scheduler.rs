//! The scheduler.

use std::net::Ipv4Addr;
use std::sync::Arc;

use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::{create_scheduler, start_grpc_service_with_listener};
use clap::Args;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use log::LevelFilter;
use tokio::net::TcpListener;

use crate::cluster::Address;
use crate::{Result, functions, messages};

#[derive(Args)]
pub struct Options {
    /// The address to listen at: 0.0.0.0 for other machines
    #[arg(long, value_name = "IP", default_value_t = Ipv4Addr::LOCALHOST)]
    host: Ipv4Addr,
    /// The port to listen at; 0 is any free one
    #[arg(long, default_value_t = 50050)]
    port: u16,
    /// The name by which executors reach this machine [default: HOST, if that is no 0.0.0.0]
    #[arg(long, value_name = "NAME", required_if_eq("host", "0.0.0.0"))]
    advertise: Option<String>,
    /// Give an executor up after this many seconds without a heartbeat; its tasks are then done again
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    executor_timeout: u64,
    /// Show Ballista's messages: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", value_parser = messages::level, default_value = "warn")]
    log: LevelFilter,
}

impl Options {
    /// For clients in the same process.
    pub fn local() -> Self {
        Self { host: Ipv4Addr::LOCALHOST, port: 0, advertise: None, executor_timeout: 60, log: LevelFilter::Off }
    }
}

/// Serves until the process is ended.
///
/// # Errors
/// The port is taken.
pub async fn run(options: Options) -> Result<()> {
    messages::show(options.log);
    let (address, serving) = start(options).await?;
    messages::say(&format!("scheduler at {address}"));
    serving.await
}

/// Begins to listen. The address is known then; the future serves.
pub async fn start(options: Options) -> Result<(Address, impl Future<Output = Result<()>> + Send)> {
    let listener = TcpListener::bind((options.host, options.port)).await;
    let listener = listener.map_err(|error| format!("cannot listen at {}:{}: {error}", options.host, options.port))?;
    let host = options.advertise.unwrap_or_else(|| options.host.to_string());
    let address = Address { host, port: listener.local_addr()?.port() };
    let config = Arc::new(SchedulerConfig {
        bind_host: options.host.to_string(),
        bind_port: address.port,
        external_host: address.host.clone(),
        executor_timeout_seconds: options.executor_timeout,
        // So the timeout holds to within a quarter.
        expire_dead_executor_interval_seconds: (options.executor_timeout / 4).clamp(1, 15),
        no_executors_grace_period_seconds: options.executor_timeout,
        executor_termination_grace_period: 30,
        override_session_builder: Some(Arc::new(functions::session_state)),
        ..SchedulerConfig::default()
    });
    config.validate()?;
    let cluster = BallistaCluster::new_from_config(&config).await?;
    let scheduler = create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, config).await?;
    Ok((address, async { Ok(start_grpc_service_with_listener(listener, scheduler).await?) }))
}
