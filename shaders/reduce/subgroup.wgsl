// interface reduce: sums and maxima over threads. Here by subgroup operations;
// workgroup memory joins the subgroups. That neighbouring threads are
// neighbouring lanes is true of every driver we know; the self-check would tell.
// The kernel declares THREADS (a workgroup).
var<workgroup> reduce_shared: array<f32, THREADS>;

// The value of another thread of the subgroup.
fn from_lane(value: vec4f, lane: u32) -> vec4f {
    return subgroupShuffle(value, lane);
}

// Over so many neighbours, a power of two and at most a subgroup; each of them gets
// the sum.
fn reduce_lanes(value: f32, thread: u32, lanes: u32) -> f32 {
    var sum = value;
    for (var reach = lanes / 2u; reach > 0u; reach /= 2u) {
        sum += subgroupShuffleXor(sum, reach);
    }
    return sum;
}

// As `reduce_lanes`: each gets the largest.
fn max_lanes(value: f32, thread: u32, lanes: u32) -> f32 {
    var largest = value;
    for (var reach = lanes / 2u; reach > 0u; reach /= 2u) {
        largest = max(largest, subgroupShuffleXor(largest, reach));
    }
    return largest;
}

// Over the workgroup; every thread gets the sum.
fn reduce_add(value: f32, thread: u32) -> f32 {
    let size = subgroupAdd(1u);
    let part = subgroupAdd(value);
    workgroupBarrier();
    if (thread % size == 0u) {
        reduce_shared[thread / size] = part;
    }
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i * size < THREADS; i++) {
        sum += reduce_shared[i];
    }
    return sum;
}

// Over the workgroup; every thread gets the largest.
fn reduce_max(value: f32, thread: u32) -> f32 {
    let size = subgroupAdd(1u);
    let part = subgroupMax(value);
    workgroupBarrier();
    if (thread % size == 0u) {
        reduce_shared[thread / size] = part;
    }
    workgroupBarrier();
    var largest = reduce_shared[0];
    for (var i = 1u; i * size < THREADS; i++) {
        largest = max(largest, reduce_shared[i]);
    }
    return largest;
}
