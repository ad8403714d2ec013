// interface activation. Here gpt-oss's: x·sigmoid(ALPHA·x), x at most LIMIT.
const ALPHA: f32 = 1.702;
const LIMIT: f32 = 7.0;

fn activate(x: f32) -> f32 {
    let most = min(x, LIMIT);
    return most / (1.0 + exp(-ALPHA * most));
}
