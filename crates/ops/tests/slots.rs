//! Copies of slots on a device.
#![allow(clippy::unwrap_used)]

use wisp_gpu::{Gpu, Off, Tuning, Variant};
use wisp_graph::{DeviceResources, Resource, Shared, StateSize, Tape, Target};

/// A snapshot of one sequence becomes the state of another one, in every layer.
#[test]
fn slots_are_copied_to_snapshots_and_back() {
    let gpu = pollster::block_on(Gpu::open(None, Off::default())).unwrap();
    let mut tape = Tape::new();
    let lens = [6, 8];
    let ids: Vec<_> = (0..2)
        .map(|layer| tape.resource(Resource::Slots { layer, name: "state", len: lens[layer] }))
        .collect();
    let target = Target::least(Variant::ALL[0], Tuning::CPU);
    let state = StateSize { pages: 0, slots: 2, snapshots: 3 };
    let sizes = Shared::sizes(1, 1, 1, 1);
    let device = DeviceResources::allocate(&gpu, &tape, &target, state, sizes);
    let device = pollster::block_on(device).unwrap();
    for (id, len) in ids.iter().zip(lens) {
        let numbers: Vec<f32> = (0..2 * len).map(|at| at as f32).collect();
        gpu.write(device.slots(*id).unwrap(), 0, bytemuck::cast_slice(&numbers));
    }
    let copy = |from, to| {
        let mut encoder = gpu.encoder();
        device.copy_slot(&mut encoder, from, to)?;
        gpu.submit(encoder).map(|_| ())
    };
    copy(0, 4).unwrap();
    copy(4, 1).unwrap();
    for (id, len) in ids.iter().zip(lens) {
        let bytes = gpu.read(device.slots(*id).unwrap(), 0, 8 * len as u64);
        let bytes = pollster::block_on(bytes).unwrap();
        let numbers: &[f32] = bytemuck::cast_slice(&bytes);
        let expected: Vec<f32> = (0..2 * len).map(|at| (at % len) as f32).collect();
        assert_eq!(numbers, expected);
    }
    for (from, to) in [(0, 1), (2, 3), (0, 5), (7, 0)] {
        assert!(copy(from, to).is_err(), "{from} to {to}");
    }
}
