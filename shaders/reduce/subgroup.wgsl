// interface reduce: sums and maxima over threads. Here by subgroup operations;
// workgroup memory joins the subgroups. That neighbouring threads are
// neighbouring lanes is true of every driver we know; the self-check would tell.
// The kernel declares THREADS (a workgroup) and LANES (neighbours that share a
// row, at most a subgroup).
var<workgroup> reduce_shared: array<f32, THREADS>;

// Over LANES neighbours; each of them gets the sum. LANES is a power of two.
fn reduce_lanes(value: f32, thread: u32) -> f32 {
    var sum = value;
    for (var reach = LANES / 2u; reach > 0u; reach /= 2u) {
        sum += subgroupShuffleXor(sum, reach);
    }
    return sum;
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
