// Gated delta rule (Yang et al. 2024), token by token: with q, k scaled to length 1, q by
// 1/√KEY_DIM besides, β = σ(b) and g = decay·softplus(a + dt_bias), a head's state becomes
//   S ← e^g·S,  δ = β·(v - Sᵀk),  S ← S + k·δᵀ,  and its result is Sᵀq.
// Columns of S know nothing of each other. LANES threads hold COLS columns over a whole run,
// so that the state is read and written once a run. Draft tokens leave no trace in it: they have a
// dispatch of their own behind that of the others, which writes nothing back. Of the old S, Sᵀk and Sᵀq are summed together: Sᵀq of the new one is e^g·Sᵀq + (k·q)·δ. A
// workgroup has some columns of a head of one run; what all of them need of a few tokens it loads
// together.
//!import scalar
//!import reduce
//!import lib/step
const THREADS: u32 = 64u;
const LANES: u32 = 1u;
const COLS: u32 = 1u;
const ROWS4: u32 = 1u; // vec4s of a column per thread
const TOKENS: u32 = 1u; // loaded together
const SHARE: u32 = 1u; // threads that load a token
const KEY_HEADS: u32 = 1u;
const HEADS: u32 = 1u;
const KEY_DIM4: u32 = 1u;
const VALUE_DIM: u32 = 1u;
const DRAFTS: bool = false; // the draft tokens of a run, from the state behind the others
const GROUPED: bool = false; // neighbouring heads have the same key, else those KEY_HEADS apart
const X_STRIDE4: u32 = 1u;
const GATES_STRIDE: u32 = 1u;
const Y_STRIDE: u32 = 1u;
const COLUMNS: u32 = THREADS / LANES * COLS; // of a workgroup

@group(0) @binding(1) var<storage, read> x: array<scalar4>; // [tokens, X_STRIDE4]: q, k, v
@group(0) @binding(2) var<storage, read_write> y: array<scalar>; // [tokens, Y_STRIDE]
@group(0) @binding(4) var<storage, read> decay: array<f32>; // [HEADS]
@group(0) @binding(5) var<storage, read> gates: array<scalar>; // [tokens, GATES_STRIDE]: b, a
@group(0) @binding(6) var<storage, read> dt_bias: array<f32>; // [HEADS]
@group(0) @binding(10) var<storage, read_write> slots: array<vec4f>; // [slot, HEADS, VALUE_DIM, KEY_DIM4]

var<workgroup> keys: array<vec4f, TOKENS * KEY_DIM4>;
var<workgroup> queries: array<vec4f, TOKENS * KEY_DIM4>;
var<workgroup> values: array<f32, TOKENS * COLUMNS>;
var<workgroup> factors: array<vec3f, TOKENS>; // e^g, β, k·q

fn softplus(x: f32) -> f32 {
    return max(x, 0.0) + log(1.0 + exp(-abs(x)));
}

// Keys, queries and what is multiplied with, of tokens first … last.
fn load_keys(first: u32, last: u32, head: u32, thread: u32) {
    let key_head = select(head % KEY_HEADS, head / (HEADS / KEY_HEADS), GROUPED);
    let at = min(thread / SHARE, TOKENS - 1u);
    let part = thread % SHARE;
    let token = min(first + at, last);
    let query = token * X_STRIDE4 + key_head * KEY_DIM4;
    let key = query + KEY_HEADS * KEY_DIM4;
    var kk = 0.0;
    var qq = 0.0;
    var kq = 0.0;
    for (var i = part; i < KEY_DIM4; i += SHARE) {
        let k = vec4f(x[key + i]);
        let q = vec4f(x[query + i]);
        kk += dot(k, k);
        qq += dot(q, q);
        kq += dot(k, q);
    }
    let key_scale = inverseSqrt(reduce_lanes(kk, thread, SHARE) + 1e-6);
    let squares = (reduce_lanes(qq, thread, SHARE) + 1e-6) * f32(4u * KEY_DIM4);
    let query_scale = inverseSqrt(squares);
    kq = reduce_lanes(kq, thread, SHARE) * key_scale * query_scale;
    if (thread >= SHARE * TOKENS) {
        return;
    }
    for (var i = part; i < KEY_DIM4; i += SHARE) {
        keys[at * KEY_DIM4 + i] = vec4f(x[key + i]) * key_scale;
        queries[at * KEY_DIM4 + i] = vec4f(x[query + i]) * query_scale;
    }
    if (part == 0u) {
        let beta = 1.0 / (1.0 + exp(-f32(gates[token * GATES_STRIDE + head])));
        let a = f32(gates[token * GATES_STRIDE + HEADS + head]) + dt_bias[head];
        factors[at] = vec3(exp(decay[head] * softplus(a)), beta, kq);
    }
}

// The workgroup's values.
fn load_values(first: u32, last: u32, head: u32, column: u32, thread: u32) {
    for (var i = thread; i < TOKENS * COLUMNS; i += THREADS) {
        let row = min(first + i / COLUMNS, last) * X_STRIDE4 + 2u * KEY_HEADS * KEY_DIM4;
        let at = head * VALUE_DIM + min(column + i % COLUMNS, VALUE_DIM - 1u);
        values[i] = f32(x[row + at / 4u][at % 4u]);
    }
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let lane = thread % LANES;
    let own = thread / LANES * COLS; // of the workgroup's columns
    let column = group.x * COLUMNS + own;
    let head = group.y;
    let run = step_run(group.z);
    let state = (step_sequence(run.x) * HEADS + head) * VALUE_DIM;
    let is_new = step_position(run.x) == 0u && !DRAFTS;

    // Threads beyond the last column hold it too, and store nothing.
    var s: array<vec4f, COLS * ROWS4>;
    //!unroll
    for (var c = 0u; c < COLS; c++) {
        //!unroll
        for (var r = 0u; r < ROWS4; r++) {
            let i = r * LANES + lane;
            let at = (state + min(column + c, VALUE_DIM - 1u)) * KEY_DIM4 + min(i, KEY_DIM4 - 1u);
            s[c * ROWS4 + r] = select(slots[at], vec4f(), is_new || i >= KEY_DIM4);
        }
    }
    let begin = run.x + select(0u, run.z, DRAFTS);
    let end = run.x + select(run.z, run.y, DRAFTS);
    for (var first = begin; first < end; first += TOKENS) {
        workgroupBarrier();
        load_keys(first, end - 1u, head, thread);
        load_values(first, end - 1u, head, group.x * COLUMNS, thread);
        workgroupBarrier();
        for (var t = 0u; t < min(TOKENS, end - first); t++) {
            var sk: array<f32, COLS>;
            var sq: array<f32, COLS>;
            //!unroll
            for (var c = 0u; c < COLS; c++) {
                sk[c] = 0.0;
                sq[c] = 0.0;
            }
            //!unroll
            for (var r = 0u; r < ROWS4; r++) {
                // What is beyond the end of a column is 0.
                let at = t * KEY_DIM4 + min(r * LANES + lane, KEY_DIM4 - 1u);
                let k = keys[at];
                let q = queries[at];
                //!unroll
                for (var c = 0u; c < COLS; c++) {
                    sk[c] += dot(s[c * ROWS4 + r], k);
                    sq[c] += dot(s[c * ROWS4 + r], q);
                }
            }
            let kept = factors[t].x;
            var delta: array<f32, COLS>;
            //!unroll
            for (var c = 0u; c < COLS; c++) {
                let seen = kept * reduce_lanes(sk[c], thread, LANES);
                let read = kept * reduce_lanes(sq[c], thread, LANES);
                delta[c] = factors[t].y * (values[t * COLUMNS + own + c] - seen);
                if (lane == 0u && column + c < VALUE_DIM) {
                    let at = (first + t) * Y_STRIDE + head * VALUE_DIM + column + c;
                    y[at] = to_scalar(read + factors[t].z * delta[c]);
                }
            }
            //!unroll
            for (var r = 0u; r < ROWS4; r++) {
                let i = r * LANES + lane;
                let k = keys[t * KEY_DIM4 + min(i, KEY_DIM4 - 1u)];
                //!unroll
                for (var c = 0u; c < COLS; c++) {
                    let next = kept * s[c * ROWS4 + r] + delta[c] * k;
                    s[c * ROWS4 + r] = select(next, vec4f(), i >= KEY_DIM4);
                }
            }
        }
    }
    // Behind all tokens: a branch for each vec4 within their loop takes compilers gigabytes.
    //!unroll
    for (var c = 0u; c < COLS; c++) {
        //!unroll
        for (var r = 0u; r < ROWS4; r++) {
            let i = r * LANES + lane;
            if (!DRAFTS && i < KEY_DIM4 && column + c < VALUE_DIM) {
                slots[(state + column + c) * KEY_DIM4 + i] = s[c * ROWS4 + r];
            }
        }
    }
}
