//! What an adapter can do at most: bytes and multiplications a second, as a program sees them.

use web_time::Instant;
use wisp_base::Result;
use wisp_gpu::{Binding, CommandEncoder, Gpu, Kernel};

const ROUNDS: usize = 5;

/// Seconds from handing over what `record` records until the device has done it.
pub async fn timed(gpu: &Gpu, record: impl FnOnce(&mut CommandEncoder)) -> Result<f64> {
    let mut encoder = gpu.encoder();
    record(&mut encoder);
    let start = Instant::now();
    gpu.submit(encoder)?;
    gpu.flush().await?;
    Ok(start.elapsed().as_secs_f64())
}

/// The least time of some rounds, after one that touches the memory for the first time.
async fn least(gpu: &Gpu, record: impl Fn(&mut CommandEncoder)) -> Result<f64> {
    timed(gpu, &record).await?;
    let mut least = f64::INFINITY;
    for _ in 0..ROUNDS {
        least = least.min(timed(gpu, &record).await?);
    }
    Ok(least)
}

/// Bytes that caches do not hold; on a processor they lie in main memory, which a model does
/// too.
pub fn beyond_caches(gpu: &Gpu) -> u64 {
    let bytes = if gpu.facts().kind == "cpu" { 32 << 20 } else { 64 << 20 };
    gpu.facts().max_buffer.min(bytes)
}

/// Bytes read and written a second by copies from one buffer to another: the
/// memory's speed, as far as a program can see it. The best of some rounds.
pub async fn copy_bandwidth(gpu: &Gpu) -> Result<f64> {
    const COPIES: u64 = 4;
    let bytes = beyond_caches(gpu);
    let (from, to) =
        gpu.catch(|| (gpu.buffer("copy from", bytes), gpu.buffer("copy to", bytes))).await?;
    let copies = |encoder: &mut CommandEncoder| {
        (0..COPIES).for_each(|_| encoder.copy_buffer_to_buffer(&from, 0, &to, 0, bytes));
    };
    let seconds = least(gpu, copies).await?;
    gpu.release(&from);
    gpu.release(&to);
    Ok((2 * COPIES * bytes) as f64 / seconds)
}

/// Floating-point operations a second of f32 multiplications with additions that need no
/// memory (`shaders/peak.wgsl`): what no kernel here exceeds. The best of some rounds.
pub async fn peak_flops(gpu: &Gpu) -> Result<f64> {
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
    let dispatch = |encoder: &mut CommandEncoder| {
        pipeline.dispatch(&mut gpu.pass(encoder), &bound, [groups, 1, 1]);
    };
    let seconds = least(gpu, dispatch).await?;
    gpu.release(&x);
    gpu.release(&y);
    Ok(f64::from(groups * THREADS) * f64::from(turns) * CHAINS * 2.0 / seconds)
}
