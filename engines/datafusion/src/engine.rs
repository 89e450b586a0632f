//! The engines that compute: one for each thread of DataFusion.

use std::cell::OnceCell;
use std::env;
use std::sync::OnceLock;

use datafusion::common::{DataFusionError, Result, plan_datafusion_err, plan_err};
use pixelfeat::{Backend, Engine, EngineOptions};

/// The environment variable that names what computes: `cpu`, which is the default, `gpu` or `hybrid`.
///
/// It is read once. `gpu` and `hybrid` need the cargo feature `gpu`; `WGPU_ADAPTER_NAME` then chooses among several adapters. It
/// is an error if there is no GPU that works.
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
        let backend = backend()?;
        let options = EngineOptions::backend(backend).with_threads(1);
        let engine = Engine::new(options).map_err(|error| DataFusionError::External(Box::new(error)))?;
        // The engine would compute on the CPU instead, and nobody would notice.
        let info = engine.info();
        if backend != Backend::Cpu && info.adapter.is_none() {
            return plan_err!("{BACKEND} is {backend}, but no GPU can be used: {}", info.reason);
        }
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
                let featurizer = Featurizer::new(engine().unwrap(), FeatureSpec::default());
                featurizer.featurize_batch(&digits, Some(&mut meeting)).map(|features| features.num_rows())
            })
        });
        for thread in threads {
            assert_eq!(thread.join().unwrap().unwrap(), 10);
        }
    }
}
