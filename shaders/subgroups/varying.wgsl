// interface subgroups: where a thread is, and in which subgroup. Here of a size that the
// compiler chooses for each kernel, from SUBGROUP threads on.
struct Place {
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) size: u32,
}

fn subgroup_of(place: Place) -> u32 {
    return place.subgroup;
}

// How many the workgroup has. Compilers that have chosen a size know it, as they would not know
// `num_subgroups`.
fn subgroup_count(place: Place) -> u32 {
    return THREADS / place.size;
}
