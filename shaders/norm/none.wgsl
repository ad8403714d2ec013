// interface norm: what becomes of a head of queries or keys before it turns. Here nothing.
fn norm_begin(first: u32, is_query: bool, thread: u32) {}

fn normed(value: f32, i: u32, is_query: bool) -> f32 {
    return value;
}
