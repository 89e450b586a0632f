//! Where a file came from, and whether it changed.
//!
//! - A [`Digest`] tells what the rows of a table hold, whatever file they are in. [`Digesting`] makes one of the rows that are
//!   written, [`DigestBuilder`] of any batches.
//! - A [`Comparison`] tells whether two tables hold the same rows, and the first that differ.
//! - [`dvc_md5`] is the hash by which DVC knows a file or folder.
//! - A [`Recorder`] watches a run and makes the [`Record`] of its output: inputs, options and version. It stands in the footer
//!   of the output, and is enough to make it again.
//! - [`RunEvents`] are the events of OpenLineage 2-0-2 of a run; a [`Sender`] takes them to a file, the console or a server.
//! - An [`EventLog`] reads a file of such events, and tells which runs never ended.

mod canonical;
mod columns;
mod config;
mod digest;
mod dvc;
mod event_log;
mod events;
mod facets;
mod http;
mod input;
mod lanes;
mod numbers;
mod record;
mod recorder;
mod rows;
mod run_id;
mod same;
mod sender;
mod source;
mod transport;

pub use crate::base::keys::{DIGEST_KEY, LINEAGE_KEY};
pub use config::Settings;
pub use digest::{Digest, DigestBuilder, DigestHandle, Digesting};
pub use dvc::dvc_md5;
pub use event_log::{EventLog, LoggedRun};
pub use events::{End, Facts, RunEvents};
pub use http::Http;
pub use input::Input;
pub use record::{Column, Record};
pub use recorder::{Recorder, Written};
pub use rows::RowDigest;
pub use run_id::RunId;
pub use same::{Comparison, Difference};
pub use sender::Sender;
pub use source::Source;
pub use transport::Transport;
