// Rotary position embedding (Su et al. 2021): the angles of a position, and which numbers of
// a head turn together. A pair (a, b) at angle φ = position·frequency becomes
// (a·cos φ - b·sin φ, a·sin φ + b·cos φ).
//!import lib/step
const ROPE_FIRST: u32 = 0u; // the first number of a head that turns
const ROPE_DIM: u32 = 4u; // so many turn
const INTERLEAVED: bool = true; // pairs are (2i, 2i + 1), else (i, i + ROPE_DIM / 2)
// Queries are times 1 + TEMPERATURE·ln(1 + ⌊position / TEMPERATURE_LENGTH⌋).
const TEMPERATURE: f32 = 0.0;
const TEMPERATURE_LENGTH: u32 = 1u;

// Row at which the table for long contexts begins; 0: there is one only.
const LONG_TABLE: u32 = 0u;

const HALF: u32 = max(ROPE_DIM / 2u, 1u);
const FINE: u32 = 256u;

// (cos, sin) of the angles of positions 0 … FINE-1, then of 0, FINE, 2·FINE, …:
// each [HALF]. Their product as complex numbers is exact to rounding at any
// position, where cos() of a large angle is not.
@group(0) @binding(12) var<storage, read> rope: array<vec2f>;

// Rows of a token's position: the fine one, the coarse one.
fn rope_rows(token: u32) -> vec2<u32> {
    let position = step_position(token);
    let first = select(0u, LONG_TABLE, step_is_long(token));
    return vec2(first + position % FINE, first + FINE + position / FINE);
}

// (cos φ, sin φ) of a pair.
fn turn(rows: vec2<u32>, pair: u32) -> vec2f {
    let fine = rope[rows.x * HALF + pair];
    let coarse = rope[rows.y * HALF + pair];
    return vec2(fine.x * coarse.x - fine.y * coarse.y, fine.x * coarse.y + fine.y * coarse.x);
}

fn query_temperature(position: u32) -> f32 {
    if (TEMPERATURE == 0.0) {
        return 1.0;
    }
    return 1.0 + TEMPERATURE * log(1.0 + f32(position / TEMPERATURE_LENGTH));
}

// Whether number `i` of a head rotates.
fn rotates(i: u32) -> bool {
    return i >= ROPE_FIRST && i - ROPE_FIRST < ROPE_DIM;
}

// Where number `i` of a head is in its pair, and the other one.
struct Rotation {
    pair: u32,
    second: bool,
    other: u32,
}

fn rotation(i: u32) -> Rotation {
    let r = i - ROPE_FIRST;
    let second = select(r >= HALF, r % 2u == 1u, INTERLEAVED);
    let reach = select(HALF, 1u, INTERLEAVED);
    return Rotation(
        select(r % HALF, r / 2u, INTERLEAVED),
        second,
        select(i + reach, i - reach, second),
    );
}
