//! A roofline (Williams, Waterman and Patterson 2009) as an SVG: how much an operation computes
//! a byte, how much it computes a second, and the two lines that no operation passes.

use plotters::prelude::*;
use wisp_base::{Error, Result};

use crate::OpTime;

/// The drawing's width and height.
const SIZE: (u32, u32) = (860, 520);

/// Whole powers of ten that hold all numbers.
fn around(numbers: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (low, high) = numbers
        .map(f64::log10)
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), at| (low.min(at), high.max(at)));
    10f64.powf(low.floor())..10f64.powf((high + 0.3).ceil())
}

/// The drawing. `limits` are bytes and operations per second; operations that compute nothing
/// have no place in it.
///
/// # Errors
/// It cannot be drawn.
pub fn roofline(title: &str, limits: (f64, f64), ops: &[OpTime]) -> Result<String> {
    let mut svg = String::new();
    draw(&mut svg, title, limits, ops)
        .map_err(|cause| Error::input(format!("the roofline cannot be drawn: {cause}")))?;
    Ok(svg)
}

fn draw(
    svg: &mut String,
    title: &str,
    (bandwidth, flops): (f64, f64),
    ops: &[OpTime],
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let counts = |op: &&OpTime| op.flops > 0 && op.bytes > 0 && op.gpu_us > 0.0;
    let ops: Vec<&OpTime> = ops.iter().filter(counts).collect();
    // Operations per byte, operations per second.
    let point =
        |op: &&OpTime| (op.flops as f64 / op.bytes as f64, op.flops as f64 / op.gpu_us * 1e6);
    let points: Vec<(f64, f64)> = ops.iter().map(point).collect();
    let corner = (flops / bandwidth, flops);
    let all = || points.iter().chain([&corner]);
    let (x, y) = (around(all().map(|at| at.0)), around(all().map(|at| at.1)));
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 16))
        .margin(20)
        .x_label_area_size(45)
        .y_label_area_size(75)
        .build_cartesian_2d(x.clone().log_scale(), y.clone().log_scale())?;
    chart
        .configure_mesh()
        .x_desc("operations a byte")
        .y_desc("GFLOP/s")
        .y_label_formatter(&|flops| (flops / 1e9).to_string())
        .draw()?;
    // Where the memory's line comes into the frame: from the left, or from below.
    let from = x.start.max(y.start / bandwidth);
    let roof = [(from, from * bandwidth), corner, (x.end, flops)];
    let (gigabytes, gigaflops) = (bandwidth / 1e9, flops / 1e9);
    chart
        .draw_series(LineSeries::new(roof, RED.stroke_width(2)))?
        .label(format!("{gigabytes:.1} GB/s of copies, {gigaflops:.1} GFLOP/s in f32"))
        .legend(|(x, y)| PathElement::new([(x, y), (x + 12, y)], RED.stroke_width(2)));
    for (at, (op, point)) in ops.iter().zip(&points).enumerate() {
        let share = point.1 / flops.min(point.0 * bandwidth) * 100.0;
        let color = Palette99::pick(at).to_rgba();
        chart
            .draw_series([Circle::new(*point, 5, color.filled())])?
            .label(format!("{} {share:.0} %", op.op))
            .legend(move |(x, y)| Circle::new((x + 6, y), 5, color.filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    root.present()?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn op(name: &str, bytes: u64, flops: u64) -> OpTime {
        OpTime { op: name.into(), calls: 1, gpu_us: 1000.0, bytes, flops }
    }

    #[test]
    fn shares_are_of_the_limit_that_binds() {
        // 10 GB/s and 100 GFLOP/s meet at 10 operations a byte.
        let ops = [
            op("by memory", 1_000_000, 2_000_000),
            op("by arithmetic", 100_000, 50_000_000),
            op("copies", 5, 0),
        ];
        let svg = roofline("a < b", (1e10, 1e11), &ops).unwrap();
        assert!(svg.contains("a &lt; b"));
        // 2 GFLOP/s of 20, and 50 of 100.
        assert!(svg.contains("by memory 10 %"), "{svg}");
        assert!(svg.contains("by arithmetic 50 %"), "{svg}");
        assert!(!svg.contains("copies 0"));
        // A point and one in the legend, each.
        assert_eq!(svg.matches("<circle").count(), 4);
    }
}
