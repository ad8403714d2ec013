// The USED experts of most weight for each token, as pairs (number, weight): from
// logits, softmax or sigmoid gives each expert's probability; what an expert is chosen
// by may have a bias of its own (DeepSeek-V3). A token a workgroup.
//!import reduce
//!import bias
const THREADS: u32 = 64u;
const LANES: u32 = 1u;
const EXPERTS: u32 = 1u;
const USED: u32 = 1u;
const GROUPS: u32 = 1u; // experts stand in groups; only GROUPS_USED of them are looked at
const GROUPS_USED: u32 = 1u;
const SIGMOID: bool = false;
const NORMALIZE: bool = false; // weights of a token's experts sum to 1
const FACTOR: f32 = 1.0;
const X_STRIDE: u32 = 1u;
const Y_STRIDE: u32 = 1u;
const FIRST_ROW: u32 = 0u;

const LOWEST: f32 = -3.0e38;
const EACH: u32 = EXPERTS / GROUPS;

@group(0) @binding(1) var<storage, read> x: array<f32>; // [tokens, X_STRIDE]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [tokens, Y_STRIDE]

var<workgroup> scores: array<f32, EXPERTS>;
var<workgroup> group_scores: array<f32, GROUPS>;

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let row = group.x * X_STRIDE;
    var top = LOWEST;
    for (var e = thread; e < EXPERTS; e += THREADS) {
        top = max(top, x[row + e]);
    }
    top = reduce_max(top, thread);
    var total = 0.0;
    for (var e = thread; e < EXPERTS; e += THREADS) {
        total += exp(x[row + e] - top);
    }
    total = reduce_add(total, thread);
    for (var e = thread; e < EXPERTS; e += THREADS) {
        var p = exp(x[row + e] - top) / total;
        if (SIGMOID) {
            p = 1.0 / (1.0 + exp(-x[row + e]));
        }
        scores[e] = p + bias_at(e);
    }
    workgroupBarrier();
    if (GROUPS > 1u) {
        // A group is as good as its best two with sigmoid, its best with softmax.
        for (var g = thread; g < GROUPS; g += THREADS) {
            var best = LOWEST;
            var second = LOWEST;
            for (var e = g * EACH; e < (g + 1u) * EACH; e++) {
                second = max(second, min(best, scores[e]));
                best = max(best, scores[e]);
            }
            group_scores[g] = select(best, best + second, SIGMOID && EACH > 1u);
        }
        workgroupBarrier();
        for (var e = thread; e < EXPERTS; e += THREADS) {
            let own = e / EACH;
            var better = 0u;
            for (var g = 0u; g < GROUPS; g++) {
                let ahead = group_scores[g] > group_scores[own];
                better += u32(ahead || (group_scores[g] == group_scores[own] && g < own));
            }
            if (better >= GROUPS_USED) {
                scores[e] = LOWEST;
            }
        }
        workgroupBarrier();
    }
    var sum = 0.0;
    for (var u = 0u; u < USED; u++) {
        var best = LOWEST;
        for (var e = thread; e < EXPERTS; e += THREADS) {
            best = max(best, scores[e]);
        }
        best = reduce_max(best, thread);
        var first = -f32(EXPERTS); // the lowest number of those that are best, negated
        for (var e = thread; e < EXPERTS; e += THREADS) {
            if (scores[e] == best) {
                first = max(first, -f32(e));
            }
        }
        let chosen = min(u32(-reduce_max(first, thread)), EXPERTS - 1u);
        if (thread == 0u) {
            var p = exp(x[row + chosen] - top) / total;
            if (SIGMOID) {
                p = 1.0 / (1.0 + exp(-x[row + chosen]));
            }
            sum += p;
            scores[chosen] = LOWEST;
            y[group.x * Y_STRIDE + 2u * u] = f32(chosen);
            y[group.x * Y_STRIDE + 2u * u + 1u] = FACTOR * p;
        }
        workgroupBarrier();
    }
    if (NORMALIZE && thread == 0u) {
        for (var u = 0u; u < USED; u++) {
            y[group.x * Y_STRIDE + 2u * u + 1u] /= max(sum, 1e-20);
        }
    }
}
