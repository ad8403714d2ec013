// interface reduce: sums and maxima over threads. Here in workgroup memory.
// The kernel declares THREADS (a workgroup) and LANES (neighbours that share a row).
var<workgroup> reduce_shared: array<f32, THREADS>;

// Over LANES neighbours; each of them gets the sum. LANES is a power of two.
fn reduce_lanes(value: f32, thread: u32) -> f32 {
    if (LANES == 1u) {
        return value;
    }
    workgroupBarrier();
    reduce_shared[thread] = value;
    workgroupBarrier();
    for (var reach = LANES / 2u; reach > 0u; reach /= 2u) {
        if (thread % LANES < reach) {
            reduce_shared[thread] += reduce_shared[thread + reach];
        }
        workgroupBarrier();
    }
    return reduce_shared[thread - thread % LANES];
}

// Over the workgroup; every thread gets the sum. THREADS is a power of two.
fn reduce_add(value: f32, thread: u32) -> f32 {
    workgroupBarrier();
    reduce_shared[thread] = value;
    workgroupBarrier();
    for (var reach = THREADS / 2u; reach > 0u; reach /= 2u) {
        if (thread < reach) {
            reduce_shared[thread] += reduce_shared[thread + reach];
        }
        workgroupBarrier();
    }
    return reduce_shared[0];
}

// Over the workgroup; every thread gets the largest.
fn reduce_max(value: f32, thread: u32) -> f32 {
    workgroupBarrier();
    reduce_shared[thread] = value;
    workgroupBarrier();
    for (var reach = THREADS / 2u; reach > 0u; reach /= 2u) {
        if (thread < reach) {
            reduce_shared[thread] = max(reduce_shared[thread], reduce_shared[thread + reach]);
        }
        workgroupBarrier();
    }
    return reduce_shared[0];
}
