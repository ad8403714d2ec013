// A one-dimensional grid folded over x and y, since one dimension ends at 65,535 groups.
const GRID_X: u32 = 32768u;

fn grid_index(group: vec3<u32>) -> u32 {
    return group.y * GRID_X + group.x;
}
