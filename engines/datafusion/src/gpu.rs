//! The GPU of the process.

use std::sync::{Arc, OnceLock};

use datafusion::common::{Result, exec_datafusion_err};
use pixelfeat::Backend;
use pixelfeat::gpu::{Gpu, GpuError};

use crate::engine::BACKEND;

/// Checks that it works. If it did not, engines would compute on the CPU, and nobody would notice.
///
/// # Errors
/// If no GPU can be opened, or if the one that was opened has failed since.
pub fn check(backend: Backend) -> Result<()> {
    // Engines share this device. It is held here, since it would be closed whenever no engine has work for it.
    static GPU: OnceLock<Result<Arc<Gpu>, GpuError>> = OnceLock::new();
    let error = match GPU.get_or_init(|| Gpu::shared(true)) {
        Ok(gpu) => gpu.error(),
        Err(error) => Some(error.clone()),
    };
    let refusal = |error| exec_datafusion_err!("{BACKEND} is {backend}, but no GPU can be used: {error}");
    error.map_or(Ok(()), |error| Err(refusal(error)))
}

#[cfg(test)]
mod tests {
    use std::env;

    use pixelfeat::{FeatureSpec, Featurizer, synthetic};

    use super::*;
    use crate::engine::engine_on;

    #[test]
    fn a_gpu_computes_until_it_fails_and_is_then_an_error() {
        let engine = engine_on(Backend::Gpu);
        let gpu = match Gpu::shared(true) {
            Ok(gpu) => gpu,
            Err(error) => {
                assert!(env::var("PIXELFEAT_REQUIRE_GPU").as_deref() != Ok("1"), "a GPU is required: {error}");
                let refusal = engine.unwrap_err().strip_backtrace();
                return assert!(refusal.contains(&format!("no GPU can be used: {error}")), "{refusal}");
            }
        };
        let digits = synthetic::Digits::new(10, 1, 10).next().unwrap().unwrap();
        let featurizer = Featurizer::new(engine.unwrap(), FeatureSpec::default());
        let featurize = || featurizer.featurize(digits.column(0)).unwrap();
        let features = featurize();
        assert_eq!(featurizer.engine().info().backend, Backend::Gpu);
        gpu.device().unwrap().0.destroy();
        // The batches that are under way have their features.
        assert_eq!(featurize().list_values(), features.list_values());
        let refusal = engine_on(Backend::Gpu).unwrap_err().strip_backtrace();
        assert!(refusal.contains("PIXELFEAT_BACKEND is gpu, but no GPU can be used: the GPU device"), "{refusal}");
    }
}
