//! Where the scheduler is, and whether it has executors.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::Result;

const PAUSE: Duration = Duration::from_millis(100);
/// The longest that a scheduler may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// The host and port of a scheduler. The address of IPv6 stands in brackets, as in a URL.
#[derive(Clone)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let (host, port) = text.rsplit_once(':').ok_or("HOST:PORT is expected")?;
        let port = port.parse().map_err(|_| "the port is no number up to 65535")?;
        if host.is_empty() { Err("the host is missing") } else { Ok(Self { host: host.to_owned(), port }) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Waits until the scheduler at `address` knows as many live executors as wanted.
///
/// # Errors
/// After `wait`: it does not answer, or it has fewer executors.
pub async fn wait_for_executors(address: &Address, wanted: usize, wait: Duration) -> Result<()> {
    let end = Instant::now() + wait;
    loop {
        let count = executors(address).await;
        match count {
            Ok(count) if count >= wanted => return Ok(()),
            _ if Instant::now() < end => sleep(PAUSE).await,
            Ok(count) => {
                return Err(format!(
                    "the scheduler at {address} has {count} of {wanted} executors; \
                     `pixelfeat-ballista executor --scheduler {address}` starts one"
                )
                .into());
            }
            Err(error) => return Err(format!("no scheduler answers at {address}: {error}").into()),
        }
    }
}

/// How many live executors the scheduler knows. It tells at `/readyz`, beside gRPC.
async fn executors(address: &Address) -> io::Result<usize> {
    let answer = timeout(ANSWER, async {
        let mut stream = TcpStream::connect(address.to_string()).await?;
        let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.map(|_| answer)
    });
    let answer = answer.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    // "ready: 2 executors registered", or "not ready: 0/1 executors registered".
    let count = answer.rsplit_once("ready: ").map(|(_, count)| count.split(|c: char| !c.is_ascii_digit()).next());
    count.flatten().and_then(|count| count.parse().ok()).ok_or_else(|| io::Error::other("it is no Ballista scheduler"))
}
