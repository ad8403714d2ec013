// interface reduce: sums and maxima over threads. Here in workgroup memory.
// The kernel declares THREADS (a workgroup).
var<workgroup> reduce_shared: array<f32, THREADS>;

// The value of another thread of the subgroup: there are none, and SHARE is 1.
fn from_lane(value: vec4f, lane: u32) -> vec4f {
    return value;
}

// Over so many neighbours, a power of two; each of them gets the sum.
fn reduce_lanes(value: f32, thread: u32, lanes: u32) -> f32 {
    if (lanes == 1u) {
        return value;
    }
    workgroupBarrier();
    reduce_shared[thread] = value;
    workgroupBarrier();
    for (var reach = lanes / 2u; reach > 0u; reach /= 2u) {
        if (thread % lanes < reach) {
            reduce_shared[thread] += reduce_shared[thread + reach];
        }
        workgroupBarrier();
    }
    return reduce_shared[thread - thread % lanes];
}

// As `reduce_lanes`: each gets the largest.
fn max_lanes(value: f32, thread: u32, lanes: u32) -> f32 {
    if (lanes == 1u) {
        return value;
    }
    workgroupBarrier();
    reduce_shared[thread] = value;
    workgroupBarrier();
    var largest = value;
    for (var i = 0u; i < lanes; i++) {
        largest = max(largest, reduce_shared[thread - thread % lanes + i]);
    }
    return largest;
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
