// Random numbers that depend on (seed, position, token) alone: PCG hash
// (Jarzynski and Olano 2020, "Hash Functions for GPU Rendering", pcg3d).
fn random_bits(key: vec3<u32>) -> u32 {
    var v = key * 1664525u + 1013904223u;
    v.x += v.y * v.z;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    v ^= v >> vec3(16u);
    v.x += v.y * v.z;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    return v.x ^ v.y;
}

// Uniform in (0, 1), never either end: 23 bits and a half.
fn random_open(key: vec3<u32>) -> f32 {
    return (f32(random_bits(key) >> 9u) + 0.5) / 8388608.0;
}
