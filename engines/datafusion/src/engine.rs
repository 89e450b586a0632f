//! The engines that compute: one for each thread of DataFusion.

use std::cell::OnceCell;
use std::env;
use std::sync::OnceLock;

use datafusion::common::{DataFusionError, Result, plan_datafusion_err};
use pixelfeat::{Backend, Engine, EngineOptions};

/// The environment variable that names what computes: `cpu`, which is the default, `gpu` or `hybrid`.
///
/// It is read once. `gpu` and `hybrid` need the cargo feature `gpu`; `WGPU_ADAPTER_NAME` then chooses among several adapters.
pub const BACKEND: &str = "PIXELFEAT_BACKEND";

thread_local! {
    static ENGINE: OnceCell<Engine> = const { OnceCell::new() };
}

/// The engine of this thread.
///
/// DataFusion computes each partition on a thread of its own. An engine of one thread does most of its work on one thread,
/// whoever calls it: if all partitions shared one, they would wait for each other. Engines that use a GPU share its device.
pub fn engine() -> Result<Engine> {
    ENGINE.with(|own| {
        if let Some(engine) = own.get() {
            return Ok(engine.clone());
        }
        let options = EngineOptions::backend(backend()?).with_threads(1);
        let engine = Engine::new(options).map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(own.get_or_init(|| engine).clone())
    })
}

/// What [`BACKEND`] says.
pub fn backend() -> Result<Backend> {
    static TOLD: OnceLock<Result<Backend, String>> = OnceLock::new();
    let told = TOLD.get_or_init(|| {
        let value = env::var_os(BACKEND).unwrap_or_default();
        match value.to_str() {
            Some("" | "cpu") => Ok(Backend::Cpu),
            Some("gpu" | "hybrid") if !cfg!(feature = "gpu") => {
                Err(format!("{BACKEND} is `{}`, which this build has no feature `gpu` for", value.display()))
            }
            Some("gpu") => Ok(Backend::Gpu),
            Some("hybrid") => Ok(Backend::Hybrid),
            _ => Err(format!("{BACKEND} is `{}`; it can be cpu, gpu or hybrid", value.display())),
        }
    });
    told.clone().map_err(|why| plan_datafusion_err!("{why}"))
}
