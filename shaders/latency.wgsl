// y = where a chain of TURNS loads ends, each of which says where the next one is: how long an
// adapter takes for a load, since none can begin before the one ahead of it has ended. It goes on
// where the dispatch before has ended, so that no cache has what is asked for.
const TURNS: u32 = 1u;

@group(0) @binding(1) var<storage, read> x: array<u32>; // [words]
@group(0) @binding(2) var<storage, read_write> y: array<u32>; // [1]

@compute @workgroup_size(1)
fn main() {
    var at = y[0];
    for (var turn = 0u; turn < TURNS; turn++) {
        at = x[at];
    }
    y[0] = at;
}
