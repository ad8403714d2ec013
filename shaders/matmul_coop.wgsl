// Y[t, r] = Σ_c X[t, c]·W[r, c] by cooperative matrices: products of f16, sums in f32.
// As matmul, in tiles of TILE_T tokens × TILE_R rows. A step along the columns takes
// STEP of them; both tiles lie in workgroup memory as f16, W's unpacked and rounded (by
// 2⁻¹¹ of a weight at most, from 2⁻¹⁴ on). A subgroup keeps FRAGMENTS_T × FRAGMENTS_R
// fragments of the result.
//!import scalar
//!import weight
//!import output
//!import bias
//!import fragment
//!import element
//!import lib/columns
//!import lib/step
const SUBGROUP: u32 = 32u; // threads of a subgroup
const SUBGROUPS_T: u32 = 2u; // subgroups along the tokens
const SUBGROUPS_R: u32 = 2u; // subgroups along the rows
const FRAGMENTS_T: u32 = 4u; // a subgroup, along the tokens
const FRAGMENTS_R: u32 = 2u; // a subgroup, along the rows
const STEP: u32 = 32u; // a multiple of 32
const COLS: u32 = 1u;
const N_ROWS: u32 = 1u; // of this shard of W
const FIRST_ROW: u32 = 0u; // of this shard in W
const X_STRIDE4: u32 = 1u;
const FOR_OUTPUTS: bool = false; // rows of X are rows of logits, not tokens

const SUBGROUPS: u32 = SUBGROUPS_T * SUBGROUPS_R;
const THREADS: u32 = SUBGROUPS * SUBGROUP;
const TILE_T: u32 = SUBGROUPS_T * FRAGMENTS_T * SIZE;
const TILE_R: u32 = SUBGROUPS_R * FRAGMENTS_R * SIZE;
const BLOCKS: u32 = (COLS + BLOCK - 1u) / BLOCK;
// Rows of the tiles are 16 bytes longer than they need be, so that those of a fragment
// lie in different banks.
const STRIDE: u32 = STEP + 8u;
const STEP_BLOCKS: u32 = STEP / BLOCK; // blocks of a row a step
const STAGE_R: u32 = FRAGMENTS_R * SIZE;

@group(0) @binding(1) var<storage, read> x: array<scalar4>; // [tokens, X_STRIDE4]

var<workgroup> tile_x: array<Element, TILE_T * STRIDE / EACH>; // [TILE_T, STRIDE]
var<workgroup> tile_w: array<Element, TILE_R * STRIDE / EACH>; // [TILE_R, STRIDE]
// Results on their way out: of each subgroup, SIZE tokens × STAGE_R rows.
var<workgroup> stage: array<f32, SUBGROUPS * SIZE * STAGE_R>;

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let tokens = select(step_tokens(), step_outputs(), FOR_OUTPUTS);
    let first_token = group.y * TILE_T;
    let first_row = group.x * TILE_R;
    let subgroup = thread / SUBGROUP;
    let part_t = subgroup / SUBGROUPS_R * FRAGMENTS_T * SIZE;
    let part_r = subgroup % SUBGROUPS_R * STAGE_R;
    var sums: array<FragmentY, FRAGMENTS_R * FRAGMENTS_T>;
    for (var column = 0u; column < BLOCKS * BLOCK; column += STEP) {
        workgroupBarrier();
        for (var i = thread; i < TILE_T * (STEP / 8u); i += THREADS) {
            let token = i / (STEP / 8u);
            let at8 = i % (STEP / 8u);
            let column4 = column / 4u + 2u * at8;
            var lo = scalar4();
            var hi = scalar4();
            if (first_token + token < tokens && column4 < X_STRIDE4) {
                let at = (first_token + token) * X_STRIDE4 + column4;
                lo = scalar4(masked(vec4f(x[at]), column4));
                hi = scalar4(masked(vec4f(x[at + 1u]), column4 + 1u));
            }
            put_x(token * (STRIDE / 4u) + 2u * at8, lo);
            put_x(token * (STRIDE / 4u) + 2u * at8 + 1u, hi);
        }
        for (var i = thread; i < TILE_R * STEP_BLOCKS; i += THREADS) {
            let row = i / STEP_BLOCKS;
            let part = column / BLOCK + i % STEP_BLOCKS;
            let to = (row * STRIDE + i % STEP_BLOCKS * BLOCK) / 4u;
            if (first_row + row < N_ROWS && part < BLOCKS) {
                var block = weight_block((first_row + row) * BLOCKS + part);
                for (var eight = 0u; eight < BLOCK / 8u; eight++) {
                    let w = weight8(&block, eight);
                    put_w(to + 2u * eight, to_scalar4(w.lo));
                    put_w(to + 2u * eight + 1u, to_scalar4(w.hi));
                }
            } else {
                for (var four = 0u; four < BLOCK / 4u; four++) {
                    put_w(to + four, scalar4());
                }
            }
        }
        workgroupBarrier();
        for (var k = 0u; k < STEP; k += SIZE) {
            var fragments: array<FragmentX, FRAGMENTS_T>;
            //!unroll
            for (var t = 0u; t < FRAGMENTS_T; t++) {
                let at = (part_t + t * SIZE) * STRIDE + k;
                fragments[t] = coopLoadT<FragmentX>(&tile_x[at / EACH], STRIDE / EACH);
            }
            //!unroll
            for (var r = 0u; r < FRAGMENTS_R; r++) {
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
    let mine = subgroup * SIZE * STAGE_R;
    //!unroll
    for (var t = 0u; t < FRAGMENTS_T; t++) {
        workgroupBarrier();
        //!unroll
        for (var r = 0u; r < FRAGMENTS_R; r++) {
            coopStoreT(sums[r * FRAGMENTS_T + t], &stage[mine + r * SIZE], STAGE_R);
        }
        workgroupBarrier();
        for (var i = thread % SUBGROUP; i < SIZE * STAGE_R / 2u; i += SUBGROUP) {
            let token = first_token + part_t + t * SIZE + i / (STAGE_R / 2u);
            let row = first_row + part_r + 2u * (i % (STAGE_R / 2u));
            if (token < tokens) {
                let even = stage[mine + 2u * i] + bias_at(row);
                let odd = stage[mine + 2u * i + 1u] + bias_at(row + 1u);
                output_pair(token, row, even, odd);
            }
        }
    }
}
