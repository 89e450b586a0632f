//! `pixelfeat-ballista`: a Ballista cluster that knows pixelfeat's SQL functions.

mod client;
mod cluster;
mod copies;
mod executor;
mod failures;
mod functions;
mod messages;
mod scheduler;
mod worker_pid;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Features of images by SQL, on one machine or many: a Ballista cluster that knows pixelfeat's functions.
#[derive(Parser)]
#[command(name = "pixelfeat-ballista", version, max_term_width = 110, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Plan queries and give their tasks to executors
    Scheduler(scheduler::Options),
    /// Compute tasks: one executor a machine, or one a GPU
    Executor(executor::Options),
    /// Run SQL on the cluster and print the tables
    Client(client::Options),
}

const EXAMPLES: &str = "\
Examples:
  pixelfeat-ballista client --standalone --table digits=digits.parquet \"SELECT label, pixel_mean(image, '28x28') FROM digits\"
  pixelfeat-ballista scheduler
  pixelfeat-ballista executor
  pixelfeat-ballista client \"SELECT worker_pid()\"

Nobody has to log in: whoever reaches a port can run queries. Leave the ports to a network that you trust.";

/// Plans can be deep, and the frames of a build without optimisation are large.
const STACK_BYTES: usize = 32 << 20;

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            messages::say(&format!("error: {}", messages::one_line(&error.to_string())));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK_BYTES).build()?;
    // On a thread of the runtime, for its stack.
    runtime.block_on(runtime.spawn(async {
        match command {
            Command::Scheduler(options) => scheduler::run(options).await,
            Command::Executor(options) => executor::run(options).await,
            Command::Client(options) => client::run(options).await,
        }
    }))?
}
