//! In place of a GPU in builds without the feature `gpu`: the CPU does all the work.

use super::backend::{Backend, Shares};
use super::cpu_side::Cpu;
use crate::base::pixels::PixelSlice;
use crate::features::{FeatureLayout, FeaturesMut};

/// No GPU.
#[derive(Debug)]
pub(super) struct GpuSide {
    asked: Backend,
}

impl GpuSide {
    pub fn new(asked: Backend) -> Self {
        Self { asked }
    }

    pub fn info(&self) -> (Backend, Option<String>, String) {
        let reason = match self.asked {
            Backend::Cpu => "cpu was asked for".to_owned(),
            asked => format!("{asked} was asked for; built without GPU support"),
        };
        (Backend::Cpu, None, reason)
    }

    /// Never computes anything.
    pub fn featurize(&self, _: &Cpu, _: &FeatureLayout, _: PixelSlice<'_>, _: FeaturesMut<'_>) -> Option<Shares> {
        None
    }
}
