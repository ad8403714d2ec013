// y[i] = what chains of multiplications and additions come to: how many an adapter does a
// second. Eight chains hide each other's latency; the result is kept, so that none is left out.
const THREADS: u32 = 64u;
const ROUNDS: u32 = 1u;

@group(0) @binding(1) var<storage, read> x: array<f32>; // [2]: factor, addend
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [groups · THREADS]

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let factor = vec4f(x[0]);
    let addend = vec4f(x[1]);
    let start = vec4f(f32(id.x)) + vec4f(0.0, 1.0, 2.0, 3.0);
    var a = start;
    var b = start + vec4f(4.0);
    var c = start + vec4f(8.0);
    var d = start + vec4f(12.0);
    var e = start + vec4f(16.0);
    var f = start + vec4f(20.0);
    var g = start + vec4f(24.0);
    var h = start + vec4f(28.0);
    for (var round = 0u; round < ROUNDS; round++) {
        a = fma(a, factor, addend);
        b = fma(b, factor, addend);
        c = fma(c, factor, addend);
        d = fma(d, factor, addend);
        e = fma(e, factor, addend);
        f = fma(f, factor, addend);
        g = fma(g, factor, addend);
        h = fma(h, factor, addend);
    }
    y[id.x] = dot(a + b + c + d + e + f + g + h, vec4f(1.0));
}
