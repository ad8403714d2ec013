// Random numbers by the PCG hash pcg3d (Jarzynski and Olano 2020, "Hash Functions for GPU
// Rendering").
fn pcg3d(key: vec3<u32>) -> vec3<u32> {
    var v = key * 1664525u + 1013904223u;
    v.x += v.y * v.z;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    v ^= v >> vec3(16u);
    v.x += v.y * v.z;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    return v;
}

// Uniform in (0, 1), never either end. Exact: steps of 2⁻²³, and of 2⁻³² below 2⁻⁹, where
// the logarithm tells them apart.
fn uniform_of(bits: u32) -> f32 {
    if (bits < 0x800000u) {
        return (f32(bits) + 0.5) / 4294967296.0;
    }
    return (f32(bits >> 9u) + 0.5) / 8388608.0;
}
