//! What measures: a loaded model ([`bench()`], [`sweep`]), each kernel ([`KernelBench`]), a roofline of
//! the operations ([`roofline`]), and a model of cost for GPUs that are not here ([`predict`]).

mod kernels;
mod model;
mod predict;
mod roofline;
mod sweep;

pub use kernels::{KernelBench, KernelTime};
pub use model::{BenchOptions, BenchReport, OpTime, Spread, bench};
pub use predict::{
    Bound, Description, GPUS, GpuSpec, OpPrediction, Prediction, Waits, Work, describe, predict,
    predict_on,
};
pub use roofline::roofline;
pub use sweep::{Load, Point, sweep};
