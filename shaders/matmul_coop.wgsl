// Y[t, r] = Σ_c X[t, c]·W[r, c] by cooperative matrices: products of f16, sums in f32.
// As matmul, in tiles of TILE_T tokens × TILE_R rows, of which `tile` says which tokens, and
// which matrix. A step along the columns takes 32 of them; both tiles lie in workgroup memory
// as f16, W's unpacked and rounded (by 2⁻¹¹ of a weight at most, from 2⁻¹⁴ on). What the next
// step needs is loaded into registers before the products of this one.
// The tile has PARTS_T × PARTS_R parts of FRAGMENTS_T × FRAGMENTS_R fragments. A subgroup
// keeps one, or where subgroups are larger than SUBGROUP threads, neighbours along the rows.
//!import scalar
//!import weight
//!import input
//!import output
//!import tile
//!import lib/prefetch
//!import fragment
//!import element
//!import subgroups
const SUBGROUP: u32 = 32u; // threads of the smallest subgroup
const SPREAD: u32 = 1u; // how many times as many the largest has
const PARTS_T: u32 = 4u;
const PARTS_R: u32 = 2u; // a multiple of SPREAD
const FRAGMENTS_T: u32 = 2u;
const FRAGMENTS_R: u32 = 2u;
const COLS: u32 = 1u;
const MATRICES: u32 = 1u;
const N_ROWS: u32 = 1u; // of this shard of W
const FIRST_ROW: u32 = 0u; // of this shard in W

const THREADS: u32 = PARTS_T * PARTS_R * SUBGROUP;
const TILE_T: u32 = PARTS_T * FRAGMENTS_T * SIZE;
const TILE_R: u32 = PARTS_R * FRAGMENTS_R * SIZE;
// Rows of the tiles are 16 bytes longer than they need be, so that those of a fragment
// lie in different banks.
const STRIDE: u32 = 40u;
const MOST_R: u32 = FRAGMENTS_R * SPREAD; // fragments of a subgroup along the rows

var<workgroup> tile_x: array<Element, TILE_T * STRIDE / EACH>; // [TILE_T, STRIDE]
var<workgroup> tile_w: array<Element, TILE_R * STRIDE / EACH>; // [TILE_R, STRIDE]
// Results on their way out: a fragment of each subgroup.
var<workgroup> stage: array<f32, PARTS_T * PARTS_R * SIZE * SIZE>;

fn keep_x(c: u32, t: u32, value: vec4f) {
    put_x(t * (STRIDE / 4u) + c, scalar4(value));
}

fn keep_w(c: u32, row: u32, value: vec4f) {
    put_w(row * (STRIDE / 4u) + c, to_scalar4(value));
}

@compute @workgroup_size(THREADS)
fn main(place: Place) {
    let tile = tile_at(place.group.y, place.group.x * TILE_R);
    if (tile.count > 0u) {
        multiply(tile, place.group.x * TILE_R, place);
    }
}

// Cooperative matrices must be behind no condition that threads may differ in, and naga takes
// all but those of loops for such: hence loops of no turn or one.
fn multiply(tile: Tile, first_row: u32, place: Place) {
    let thread = place.thread;
    let subgroup = subgroup_of(place);
    let subgroups = subgroup_count(place);
    // Of a subgroup along the rows: compilers know it and leave out the other fragments.
    let fragments_r = FRAGMENTS_R * (PARTS_T * PARTS_R / subgroups);
    let across = subgroups / PARTS_T; // subgroups along the rows
    let part_t = subgroup / across * (FRAGMENTS_T * SIZE);
    let part_r = subgroup % across * (fragments_r * SIZE);
    var source = source_of(tile, first_row, thread);
    var sums: array<FragmentY, MOST_R * FRAGMENTS_T>;
    var loaded = load(&source, 0u, thread);
    keep(&loaded, 0u, thread);
    workgroupBarrier();
    for (var eight = 0u; eight < EIGHTS; eight += 4u) {
        loaded = load(&source, eight + 4u, thread);
        for (var k = 0u; k < 32u; k += SIZE) {
            var fragments: array<FragmentX, FRAGMENTS_T>;
            //!unroll
            for (var t = 0u; t < FRAGMENTS_T; t++) {
                let at = (part_t + t * SIZE) * STRIDE + k;
                fragments[t] = coopLoadT<FragmentX>(&tile_x[at / EACH], STRIDE / EACH);
            }
            //!unroll
            for (var r = 0u; r < MOST_R; r++) {
                for (var own = r; own < fragments_r; own += MOST_R) {
                    // By columns: W's transpose is what X is multiplied by.
                    let at = (part_r + r * SIZE) * STRIDE + k;
                    let w = coopLoad<FragmentW>(&tile_w[at / EACH], STRIDE / EACH);
                    //!unroll
                    for (var t = 0u; t < FRAGMENTS_T; t++) {
                        let sum = r * FRAGMENTS_T + t;
                        sums[sum] = coopMultiplyAdd(fragments[t], w, sums[sum]);
                    }
                }
            }
        }
        workgroupBarrier();
        keep(&loaded, eight + 4u, thread);
        workgroupBarrier();
    }
    //!unroll
    for (var t = 0u; t < FRAGMENTS_T; t++) {
        //!unroll
        for (var r = 0u; r < MOST_R; r++) {
            for (var own = r; own < fragments_r; own += MOST_R) {
                coopStoreT(sums[r * FRAGMENTS_T + t], &stage[subgroup * SIZE * SIZE], SIZE);
            }
            workgroupBarrier();
            let end = select(0u, subgroups * (SIZE * SIZE / 2u), r < fragments_r);
            for (var i = thread; i < end; i += THREADS) {
                let whose = i / (SIZE * SIZE / 2u); // subgroup
                let own = i % (SIZE * SIZE / 2u);
                let token = (whose / across * FRAGMENTS_T + t) * SIZE + own / (SIZE / 2u);
                let row = (whose % across * fragments_r + r) * SIZE + 2u * (own % (SIZE / 2u));
                if (token < tile.count) {
                    tile_output(tile, token, first_row + row, stage[2u * i], stage[2u * i + 1u]);
                }
            }
            workgroupBarrier();
        }
    }
}
