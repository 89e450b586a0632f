//! A cluster of processes on this machine, in one test binary.

mod cluster;
mod data;
mod errors;
mod lost;
mod queries;
