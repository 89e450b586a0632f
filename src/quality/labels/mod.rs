//! Label noise, estimated by confident learning (Northcutt, Jiang and Chuang, *Confident Learning: Estimating Uncertainty in
//! Dataset Labels*, JAIR 70, 2021).

mod report;

pub use report::{LabelReport, SuspiciousRow};
