// interface subgroups: where a thread is, and in which subgroup. Here subgroups of SUBGROUP
// threads, as the adapter says.
struct Place {
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
}

fn subgroup_of(place: Place) -> u32 {
    return place.thread / SUBGROUP;
}

// How many the workgroup has.
fn subgroup_count(place: Place) -> u32 {
    return THREADS / SUBGROUP;
}
