//! Encoders of the formats with grids; `iq.rs` has their layouts.

use super::iq_search::{Found, Grid, Plan, Signs, find};
use super::k::SUPER;
use crate::Format;
use std::sync::OnceLock;

/// Eight values an entry, magnitudes: 4-bit scales of eighths.
const TWO: Plan = Plan {
    signs: Signs::Even,
    each: 16,
    most: 15.0,
    unit: 0.125,
    shifts: &[&[0.0]],
    largest: 1.2,
    ratio: 0.94,
    scales: 14,
};

/// Four values an entry.
const THREE: Plan = Plan { each: 32, unit: 0.25, ratio: 0.96, ..TWO };

/// Signs in the entries, moved by an eighth.
const ONE: Plan = Plan {
    signs: Signs::None,
    most: 7.0,
    unit: 1.0,
    shifts: &[&[0.125, -0.125]],
    largest: 1.2,
    ratio: 0.88,
    scales: 12,
    ..TWO
};

/// Puts a nibble at place `at` of some.
fn put(bytes: &mut [u8], at: usize, nibble: u8) {
    bytes[at / 2] |= nibble << (at % 2 * 4);
}

pub(super) fn encode_3s(x: &[f32; SUPER], importance: &[f32; SUPER]) -> Option<[u8; 110]> {
    static GRID: OnceLock<Grid<4>> = OnceLock::new();
    let grid = GRID.get_or_init(|| Grid::new(Format::IQ3_S, 8));
    let plan = Plan { signs: Signs::Free, unit: 1.0, ..THREE };
    let found = find(grid, &plan, x, importance)?;
    let mut bytes = [0; 110];
    [bytes[0], bytes[1]] = found.d.to_le_bytes();
    for (at, (entry, _)) in found.entries.iter().enumerate() {
        bytes[2 + at] = *entry as u8;
        bytes[66 + at / 8] |= ((entry >> 8) as u8) << (at % 8);
    }
    bytes[74..106].copy_from_slice(&found.signs);
    for (at, number) in found.numbers[..8].iter().enumerate() {
        put(&mut bytes[106..], at, *number);
    }
    Some(bytes)
}

/// Four times seven signs and a scale, as IQ3_XXS and IQ2_XXS have them.
fn signs_and_scale(found: &Found, part: usize) -> [u8; 4] {
    let signs = found.signs[4 * part..][..4].iter().rev();
    let signs = signs.fold(0, |word, signs| word << 7 | u32::from(signs & 127));
    (signs | u32::from(found.numbers[part]) << 28).to_le_bytes()
}

pub(super) fn encode_3xxs(x: &[f32; SUPER], importance: &[f32; SUPER]) -> Option<[u8; 98]> {
    static GRID: OnceLock<Grid<4>> = OnceLock::new();
    let grid = GRID.get_or_init(|| Grid::new(Format::IQ3_XXS, 12));
    let found = find(grid, &THREE, x, importance)?;
    let mut bytes = [0; 98];
    [bytes[0], bytes[1]] = found.d.to_le_bytes();
    for (byte, (entry, _)) in bytes[2..].iter_mut().zip(found.entries) {
        *byte = entry as u8;
    }
    for part in 0..8 {
        bytes[66 + 4 * part..][..4].copy_from_slice(&signs_and_scale(&found, part));
    }
    Some(bytes)
}

pub(super) fn encode_2s(x: &[f32; SUPER], importance: &[f32; SUPER]) -> Option<[u8; 82]> {
    static GRID: OnceLock<Grid<8>> = OnceLock::new();
    let grid = GRID.get_or_init(|| Grid::new(Format::IQ2_S, 12));
    let found = find(grid, &Plan { signs: Signs::Free, ..TWO }, x, importance)?;
    let mut bytes = [0; 82];
    [bytes[0], bytes[1]] = found.d.to_le_bytes();
    for (at, (entry, _)) in found.entries[..32].iter().enumerate() {
        bytes[2 + at] = *entry as u8;
        bytes[66 + at / 4] |= ((entry >> 8) as u8) << (at % 4 * 2);
    }
    bytes[34..66].copy_from_slice(&found.signs);
    for (at, number) in found.numbers.iter().enumerate() {
        put(&mut bytes[74..], at, *number);
    }
    Some(bytes)
}

pub(super) fn encode_2xs(x: &[f32; SUPER], importance: &[f32; SUPER]) -> Option<[u8; 74]> {
    static GRID: OnceLock<Grid<8>> = OnceLock::new();
    let grid = GRID.get_or_init(|| Grid::new(Format::IQ2_XS, 16));
    let found = find(grid, &TWO, x, importance)?;
    let mut bytes = [0; 74];
    [bytes[0], bytes[1]] = found.d.to_le_bytes();
    for (at, ((entry, _), signs)) in found.entries.iter().zip(found.signs).enumerate() {
        let both = entry | u16::from(signs & 127) << 9;
        bytes[2 + 2 * at..][..2].copy_from_slice(&both.to_le_bytes());
    }
    for (at, number) in found.numbers.iter().enumerate() {
        put(&mut bytes[66..], at, *number);
    }
    Some(bytes)
}

pub(super) fn encode_2xxs(x: &[f32; SUPER], importance: &[f32; SUPER]) -> Option<[u8; 66]> {
    static GRID: OnceLock<Grid<8>> = OnceLock::new();
    let grid = GRID.get_or_init(|| Grid::new(Format::IQ2_XXS, 24));
    let found = find(grid, &Plan { each: 32, ..TWO }, x, importance)?;
    let mut bytes = [0; 66];
    [bytes[0], bytes[1]] = found.d.to_le_bytes();
    for part in 0..8 {
        let into = &mut bytes[2 + 8 * part..][..8];
        for (byte, (entry, _)) in into.iter_mut().zip(&found.entries[4 * part..][..4]) {
            *byte = *entry as u8;
        }
        into[4..].copy_from_slice(&signs_and_scale(&found, part));
    }
    Some(bytes)
}

fn grid_1() -> &'static Grid<8> {
    static GRID: OnceLock<Grid<8>> = OnceLock::new();
    GRID.get_or_init(|| Grid::new(Format::IQ1_S, 8))
}

pub(super) fn encode_1s(x: &[f32; SUPER], importance: &[f32; SUPER]) -> Option<[u8; 50]> {
    let plan = Plan { each: 32, shifts: &[&[0.125], &[-0.125]], ..ONE };
    let found = find(grid_1(), &plan, x, importance)?;
    let mut bytes = [0; 50];
    [bytes[0], bytes[1]] = found.d.to_le_bytes();
    for (part, entries) in found.entries[..32].chunks_exact(4).enumerate() {
        let mut bits = u16::from(found.numbers[part]) << 12;
        for (at, (entry, shift)) in entries.iter().enumerate() {
            bytes[2 + 4 * part + at] = *entry as u8;
            bits |= entry >> 8 << (3 * at) | u16::from(*shift < 0.0) << 15;
        }
        bytes[34 + 2 * part..][..2].copy_from_slice(&bits.to_le_bytes());
    }
    Some(bytes)
}

pub(super) fn encode_1m(x: &[f32; SUPER], importance: &[f32; SUPER]) -> Option<[u8; 56]> {
    let found = find(grid_1(), &ONE, x, importance)?;
    let mut bytes = [0; 56];
    for (at, (entry, shift)) in found.entries[..32].iter().enumerate() {
        bytes[at] = *entry as u8;
        put(&mut bytes[32..], at, (entry >> 8) as u8 | u8::from(*shift < 0.0) << 3);
    }
    for (at, numbers) in found.numbers.chunks_exact(4).enumerate() {
        let d = found.d.to_bits() >> (4 * at) << 12;
        let bits = numbers.iter().rev().fold(0, |bits, number| bits << 3 | u16::from(*number));
        bytes[48 + 2 * at..][..2].copy_from_slice(&(d | bits).to_le_bytes());
    }
    Some(bytes)
}
