//! An executor.

use std::fs;
use std::future::pending;
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::PathBuf;
use std::pin::pin;
use std::process;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use ballista_core::extension::SessionConfigExt;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_executor::terminate::sig_term;
use clap::Args;
use datafusion::prelude::SessionConfig;
use log::LevelFilter;
use tokio::signal::ctrl_c;
use tokio::time::sleep;

use crate::cluster::Address;
use crate::{Result, cluster, functions, messages};

/// Ports of which any will do. Systems take others for outgoing connections, so that nobody takes a free one before Ballista
/// listens there.
const ANY_PORT: Range<u16> = 20_000..32_000;
/// How many of them are tried.
const ATTEMPTS: usize = 100;
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Args)]
pub struct Options {
    /// Where the scheduler is
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:50050")]
    scheduler: Address,
    /// The address to listen at: 0.0.0.0 for other machines
    #[arg(long, value_name = "IP", default_value_t = Ipv4Addr::LOCALHOST)]
    host: Ipv4Addr,
    /// The port for results, from which clients and other executors read; 0 is any free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The port for tasks, to which the scheduler connects; 0 is any free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    task_port: u16,
    /// The name by which others reach this machine [default: the address from which it connects to the scheduler]
    #[arg(long, value_name = "NAME")]
    advertise: Option<String>,
    /// Task slots: how many partitions are computed at once, each on one thread; 0 is as many as there are cores
    #[arg(long, value_name = "N", default_value_t = 0)]
    vcores: usize,
    /// Where to keep rows between stages and results [default: a temporary folder]
    #[arg(long, value_name = "FOLDER")]
    work_dir: Option<PathBuf>,
    /// Seconds between signs of life; well below the scheduler's --executor-timeout
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    heartbeat: u64,
    /// Wait this long for the scheduler to start
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    wait: u64,
    /// Show Ballista's messages: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", value_parser = messages::level, default_value = "warn")]
    log: LevelFilter,
}

impl Options {
    /// For a scheduler in the same process.
    pub fn local(scheduler: Address) -> Self {
        Self {
            scheduler,
            host: Ipv4Addr::LOCALHOST,
            port: 0,
            task_port: 0,
            advertise: None,
            vcores: 0,
            work_dir: None,
            heartbeat: 10,
            wait: 10,
            log: LevelFilter::Off,
        }
    }
}

/// Computes tasks until SIGINT or SIGTERM, and says when it can begin.
///
/// # Errors
/// The options do not fit this machine, there is no scheduler, or it does not answer any more or has given this executor up.
pub async fn run(options: Options) -> Result<()> {
    messages::show(options.log);
    compute(options, |line| messages::say(&line)).await
}

/// Computes tasks until SIGINT or SIGTERM. Calls `ready` with a line on the executor when the scheduler knows it.
pub async fn compute(options: Options, ready: impl FnOnce(String)) -> Result<()> {
    let (work_dir, _temporary) = match options.work_dir {
        Some(folder) => {
            fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
            (folder, None)
        }
        None => tempfile::tempdir().map(|folder| (folder.path().to_owned(), Some(folder)))?,
    };
    let work_dir = work_dir.to_str().ok_or_else(|| format!("{}: the name is not UTF-8", work_dir.display()))?;
    let functions = functions::session_state(SessionConfig::new_with_ballista())?;
    functions::try_out(&functions).await?;
    cluster::wait_for_executors(&options.scheduler, 0, Duration::from_secs(options.wait)).await?;
    let (port, grpc_port) = ports(options.host, options.port, options.task_port)?;
    let config = ExecutorProcessConfig {
        bind_host: options.host.to_string(),
        external_host: options.advertise,
        port,
        grpc_port,
        scheduler_host: options.scheduler.host.clone(),
        scheduler_port: options.scheduler.port,
        vcores: if options.vcores == 0 { available_parallelism()?.get() } else { options.vcores },
        work_dir: Some(work_dir.to_owned()),
        executor_heartbeat_interval_seconds: options.heartbeat,
        override_function_registry: Some(Arc::new(BallistaFunctionRegistry::from(&functions))),
        ..ExecutorProcessConfig::default()
    };
    let health = config.health.clone();
    let line = format!("executor {} with {} slots, known to {}", process::id(), config.vcores, options.scheduler);
    let mut serving = pin!(start_executor_process(Arc::new(config)));
    let told_to_end = async {
        while !health.is_ready() {
            sleep(PAUSE).await;
        }
        signal(|| ready(line)).await;
    };
    tokio::select! {
        // Ballista hears the signal as well, and ends.
        biased;
        () = told_to_end => return Ok(serving.await?),
        ended = &mut serving => ended?,
    }
    // Ballista takes that for no error.
    let (host, scheduler) = (options.host, options.scheduler);
    cluster::wait_for_executors(&scheduler, 0, Duration::ZERO).await?;
    Err(format!("the scheduler at {scheduler} has given this executor up, or another program has taken {host}:{port}")
        .into())
}

/// Waits for SIGINT or SIGTERM. Calls `listening` when it would notice them.
pub async fn signal(listening: impl FnOnce()) {
    tokio::select! {
        biased;
        _ = ctrl_c() => (),
        _ = sig_term() => (),
        // Is polled last, when both listen.
        () = async { listening(); pending().await } => (),
    }
}

/// Ports that are free at this moment: those that are asked for, or any if they are 0.
///
/// Ballista tells the scheduler the ports of its configuration, even if they are 0. It listens for tasks before that, but for
/// results only afterwards, and if it cannot, it ends as if all were well.
fn ports(host: Ipv4Addr, port: u16, task_port: u16) -> Result<(u16, u16)> {
    let listen = |port: u16| match port {
        0 => (0..ATTEMPTS)
            .map(|attempt| ANY_PORT.start + (RandomState::new().hash_one(attempt) % ANY_PORT.len() as u64) as u16)
            .find_map(|port| TcpListener::bind((host, port)).ok())
            .ok_or_else(|| format!("cannot listen at {host}: no port from {ANY_PORT:?} is free")),
        port => TcpListener::bind((host, port)).map_err(|error| format!("cannot listen at {host}:{port}: {error}")),
    };
    let (results, tasks) = (listen(port)?, listen(task_port)?);
    Ok((results.local_addr()?.port(), tasks.local_addr()?.port()))
}
