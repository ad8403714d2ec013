//! A roofline (Williams, Waterman and Patterson 2009) as an SVG: how much an operation computes
//! a byte, how much it computes a second, and the two lines that no operation passes.

use std::fmt::Write;

use crate::OpTime;

/// The drawing's sides, and where its frame lies.
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 520.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = WIDTH - 30.0;
const TOP: f64 = 60.0;
const BOTTOM: f64 = HEIGHT - 60.0;

/// Logarithms of the axes' ends: operations per byte, operations per second.
struct Axes {
    x: (f64, f64),
    y: (f64, f64),
}

impl Axes {
    /// Whole powers of ten that hold all points and the roof's corner.
    fn around(points: &[(f64, f64)], corner: (f64, f64)) -> Self {
        let ends = |of: fn(&(f64, f64)) -> f64| {
            let all = points.iter().chain([&corner]).map(|point| of(point).log10());
            let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), at| {
                (low.min(at), high.max(at))
            });
            (low.floor(), (high + 0.3).ceil())
        };
        Self { x: ends(|point| point.0), y: ends(|point| point.1) }
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let share = |at: f64, (low, high): (f64, f64)| (at.log10() - low) / (high - low);
        (LEFT + share(x, self.x) * (RIGHT - LEFT), BOTTOM - share(y, self.y) * (BOTTOM - TOP))
    }
}

/// The drawing. `limits` are bytes and operations per second; operations that compute nothing
/// have no place in it.
pub fn roofline(title: &str, limits: (f64, f64), ops: &[OpTime]) -> String {
    let (bandwidth, flops) = limits;
    let counts = |op: &&OpTime| op.flops > 0 && op.bytes > 0 && op.gpu_us > 0.0;
    let ops: Vec<&OpTime> = ops.iter().filter(counts).collect();
    let point =
        |op: &&OpTime| (op.flops as f64 / op.bytes as f64, op.flops as f64 / op.gpu_us * 1e6);
    let points: Vec<(f64, f64)> = ops.iter().map(point).collect();
    let corner = (flops / bandwidth, flops);
    let axes = Axes::around(&points, corner);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"30\" font-size=\"16\">{}</text>\n",
        escaped(title)
    );
    svg += &grid(&axes);
    let low = 10f64.powf(axes.x.0);
    let high = 10f64.powf(axes.x.1);
    // Where the memory's line comes into the frame: from the left, or from below.
    let floor = 10f64.powf(axes.y.0);
    let from = if low * bandwidth >= floor { low } else { floor / bandwidth };
    let roof = [(from, from * bandwidth), corner, (high, flops)].map(|at| axes.place(at));
    let roof = roof.map(|(x, y)| format!("{x:.1},{y:.1}")).join(" ");
    let _ = writeln!(
        svg,
        "<polyline points=\"{roof}\" fill=\"none\" stroke=\"#c33\" stroke-width=\"2\"/>\n\
         <text x=\"{RIGHT}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#c33\">{:.1} GB/s of copies, \
         {:.1} GFLOP/s in f32</text>",
        axes.place(corner).1 - 8.0,
        bandwidth / 1e9,
        flops / 1e9
    );
    let mut labels = Labels::default();
    for (op, at) in ops.iter().zip(points) {
        let (x, y) = axes.place(at);
        let share = at.1 / flops.min(at.0 * bandwidth) * 100.0;
        let label = format!("{} {share:.0} %", op.op);
        let (to_x, to_y) = labels.place((x + 12.0, y + 4.0), &label);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#36c\"/>\n\
             <circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"#36c\"/>\n\
             <text x=\"{to_x:.1}\" y=\"{to_y:.1}\">{}</text>",
            to_x - 2.0,
            to_y - 4.0,
            escaped(&label)
        );
    }
    svg + "</svg>\n"
}

/// Where labels lie already: left end, right end, base line.
#[derive(Default)]
struct Labels(Vec<(f64, f64, f64)>);

impl Labels {
    /// The first place below `wanted` that is free, within the frame's width.
    fn place(&mut self, wanted: (f64, f64), label: &str) -> (f64, f64) {
        const LINE: f64 = 16.0;
        let width = 7.5 * label.chars().count() as f64;
        let x = wanted.0.min(RIGHT - width);
        let mut y = wanted.1;
        let meets = |y: f64, known: &(f64, f64, f64)| {
            x < known.1 && known.0 < x + width && (y - known.2).abs() < LINE
        };
        while let Some(known) = self.0.iter().find(|known| meets(y, known)) {
            y = known.2 + LINE;
        }
        self.0.push((x, x + width, y));
        (x, y)
    }
}

/// The frame, a line for each power of ten, and what the axes are.
fn grid(axes: &Axes) -> String {
    let mut svg = String::new();
    let mut line = |from: (f64, f64), to: (f64, f64)| {
        let _ = writeln!(
            svg,
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#ddd\"/>",
            from.0, from.1, to.0, to.1
        );
    };
    let powers =
        |(low, high): (f64, f64)| (low as i32..=high as i32).map(|power| 10f64.powi(power));
    let base = (10f64.powf(axes.x.0), 10f64.powf(axes.y.0));
    for x in powers(axes.x) {
        let at = axes.place((x, base.1)).0;
        line((at, TOP), (at, BOTTOM));
    }
    for y in powers(axes.y) {
        let at = axes.place((base.0, y)).1;
        line((LEFT, at), (RIGHT, at));
    }
    for x in powers(axes.x) {
        let at = axes.place((x, base.1)).0;
        let _ = writeln!(
            svg,
            "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{x}</text>",
            BOTTOM + 20.0
        );
    }
    for y in powers(axes.y) {
        let at = axes.place((base.0, y)).1;
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            at + 4.0,
            y / 1e9
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{RIGHT}\" y=\"{}\" text-anchor=\"end\">operations a byte</text>\n\
         <text x=\"{LEFT}\" y=\"{}\">GFLOP/s; each operation with its share of what the limits \
         allow it</text>",
        HEIGHT - 15.0,
        TOP - 10.0
    );
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
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
        let svg = roofline("a < b", (1e10, 1e11), &ops);
        assert!(svg.contains("a &lt; b"));
        // 2 GFLOP/s of 20, and 50 of 100.
        assert!(svg.contains(">by memory 10 %<"), "{svg}");
        assert!(svg.contains(">by arithmetic 50 %<"), "{svg}");
        assert!(!svg.contains("copies 0"));
        assert_eq!(svg.matches("<circle").count(), 2);
    }
}
