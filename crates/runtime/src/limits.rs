//! What an adapter can do at most: bytes and multiplications a second, as a program sees them.

use web_time::Instant;
use wisp_base::Result;
use wisp_gpu::{Binding, Gpu, Kernel};

const ROUNDS: usize = 5;

/// Bytes read and written a second by copies from one buffer to another: the
/// memory's speed, as far as a program can see it. The best of some rounds.
pub(crate) async fn copy_bandwidth(gpu: &Gpu) -> Result<f64> {
    const COPIES: u64 = 4;
    // More than caches hold; on a processor it is main memory, which the model has too.
    let bytes: u64 = if gpu.facts().kind == "cpu" { 32 << 20 } else { 64 << 20 };
    let bytes = bytes.min(gpu.facts().max_buffer);
    let (from, to) =
        gpu.catch(|| (gpu.buffer("copy from", bytes), gpu.buffer("copy to", bytes))).await?;
    let mut best = f64::INFINITY;
    // The first round touches the memory for the first time.
    for round in 0..=ROUNDS {
        let mut encoder = gpu.encoder();
        for _ in 0..COPIES {
            encoder.copy_buffer_to_buffer(&from, 0, &to, 0, bytes);
        }
        let start = Instant::now();
        gpu.submit(encoder)?;
        gpu.flush().await?;
        if round > 0 {
            best = best.min(start.elapsed().as_secs_f64());
        }
    }
    gpu.release(&from);
    gpu.release(&to);
    Ok((2 * COPIES * bytes) as f64 / best)
}

/// Floating-point operations a second of f32 multiplications with additions that need no
/// memory (`shaders/peak.wgsl`): what no kernel here exceeds. The best of some rounds.
pub(crate) async fn peak_flops(gpu: &Gpu) -> Result<f64> {
    const THREADS: u32 = 64;
    const CHAINS: f64 = 8.0 * 4.0;
    // Some milliseconds each, so that handing the work over does not count.
    let (groups, turns) = if gpu.facts().kind == "cpu" { (64, 4096u32) } else { (16_384, 4096) };
    let kernel = Kernel::new("peak").set("THREADS", THREADS).set("ROUNDS", turns);
    let pipeline = gpu.pipeline(&kernel).await?;
    let bytes = u64::from(groups * THREADS) * 4;
    let (x, y) = gpu.catch(|| (gpu.buffer("peak x", 8), gpu.buffer("peak y", bytes))).await?;
    gpu.write(&x, 0, bytemuck::cast_slice(&[0.5f32, 1.0]));
    let bound = gpu.bind(&pipeline, &[Binding::whole("x", &x), Binding::whole("y", &y)])?;
    let mut best = f64::INFINITY;
    for round in 0..=ROUNDS {
        let mut encoder = gpu.encoder();
        pipeline.dispatch(&mut gpu.pass(&mut encoder), &bound, [groups, 1, 1]);
        let start = Instant::now();
        gpu.submit(encoder)?;
        gpu.flush().await?;
        if round > 0 {
            best = best.min(start.elapsed().as_secs_f64());
        }
    }
    gpu.release(&x);
    gpu.release(&y);
    Ok(f64::from(groups * THREADS) * f64::from(turns) * CHAINS * 2.0 / best)
}
