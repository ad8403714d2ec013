// Which positions the query of a token looks at: first, and behind the last.
//!import lib/step
const WINDOW: u32 = 0u; // so many up to its own position; 0: all
const AHEAD: u32 = 0u; // with a window, so many behind its own

fn window_begin(token: u32) -> u32 {
    if (WINDOW == 0u) {
        return 0u;
    }
    return max(step_position(token) + 1u, WINDOW) - WINDOW;
}

fn window_end(token: u32) -> u32 {
    if (WINDOW == 0u) {
        return step_seen(token);
    }
    return min(step_seen(token), step_position(token) + 1u + AHEAD);
}
