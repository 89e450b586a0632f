//! The engines that compute: one for each thread of DataFusion.

use std::cell::OnceCell;
use std::env;
use std::sync::OnceLock;

use datafusion::common::{DataFusionError, Result, plan_datafusion_err};
use pixelfeat::{Backend, Engine, EngineOptions};

/// The environment variable that names what computes: `cpu`, which is the default, `gpu` or `hybrid`.
///
/// It is read once. `gpu` and `hybrid` need the cargo feature `gpu`; `WGPU_ADAPTER_NAME` then chooses among several adapters. It
/// is an error if there is no GPU that works. If the GPU fails later, the CPU finishes the batches that are under way, and
/// everything after them is an error until the process is restarted.
///
/// The features of integer pixels are the same on each. `gpu` adds float pixels up in f32, and `hybrid` leaves them to the CPU.
/// What a GPU has no kernels for is computed on the CPU.
pub const BACKEND: &str = "PIXELFEAT_BACKEND";

thread_local! {
    static ENGINE: OnceCell<Engine> = const { OnceCell::new() };
}

/// The engine of this thread.
///
/// DataFusion computes each partition on a thread of its own. An engine of one thread does most of its work on one thread,
/// whoever calls it: if all partitions shared one, they would wait for each other. Engines that use a GPU share its device.
pub fn engine() -> Result<Engine> {
    engine_on(backend()?)
}

/// As [`engine`], with a backend, which is the same in all calls of a thread.
pub fn engine_on(backend: Backend) -> Result<Engine> {
    #[cfg(feature = "gpu")]
    if backend != Backend::Cpu {
        crate::gpu::check(backend)?;
    }
    ENGINE.with(|own| {
        if let Some(engine) = own.get() {
            return Ok(engine.clone());
        }
        let options = EngineOptions::backend(backend).with_threads(1);
        let engine = Engine::new(options).map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(own.get_or_init(|| engine).clone())
    })
}

/// What [`BACKEND`] says.
pub fn backend() -> Result<Backend> {
    static NAMED: OnceLock<Result<Backend, String>> = OnceLock::new();
    let named = NAMED.get_or_init(|| {
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
    named.clone().map_err(|why| plan_datafusion_err!("{why}"))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread;
    use std::time::Duration;

    use pixelfeat::{FeatureSpec, Featurizer, Observed, Observer, synthetic};

    use super::*;

    /// Waits on the thread that computes until another one is there as well.
    struct Meeting(Sender<()>, Receiver<()>);

    impl Observer for Meeting {
        fn observe(&mut self, _: &Observed<'_>) -> pixelfeat::Result<()> {
            // The other one may have met this one and be gone.
            let _ = self.0.send(());
            let met = self.1.recv_timeout(Duration::from_secs(30));
            met.map_err(|_| pixelfeat::Error::Internal("no other thread computed meanwhile".to_owned()))
        }
    }

    #[test]
    fn threads_compute_at_the_same_time() {
        let ((to_one, from_two), (to_two, from_one)) = (channel(), channel());
        let meetings = [Meeting(to_two, from_two), Meeting(to_one, from_one)];
        let threads = meetings.map(|mut meeting| {
            thread::spawn(move || {
                let digits = synthetic::Digits::new(10, 1, 10).next().unwrap().unwrap();
                let featurizer = Featurizer::new(engine_on(Backend::Cpu).unwrap(), FeatureSpec::default());
                featurizer.featurize_batch(&digits, Some(&mut meeting)).map(|features| features.num_rows())
            })
        });
        for thread in threads {
            assert_eq!(thread.join().unwrap().unwrap(), 10);
        }
    }
}
