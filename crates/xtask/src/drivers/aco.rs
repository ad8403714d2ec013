//! RADV's machine code: how many loads are in flight where a kernel first waits for one.
//!
//! The code is read from top to bottom, as if both sides of every branch were taken. Of the
//! innermost loops, the one that loads the most bytes counts; of equal ones, the one with more
//! waits. Two iterations of it are simulated and the second is counted, so that loads which the
//! iteration before issued (a prefetch) are in flight at its start.

use std::collections::{BTreeMap, HashMap, VecDeque};

/// What the innermost loop does with global memory; without a loop, what the whole kernel does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loads {
    /// Loads in flight at the first wait, per thread.
    pub first: u32,
    /// Their bytes.
    pub bytes: u32,
    /// Waits with loads issued since the wait before: dependent trips to memory.
    pub waits: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Load(u32),
    /// Until no more than so many loads are in flight.
    Wait(usize),
}

/// Reads an assembly text.
pub fn loads(assembly: &str) -> Loads {
    let (ops, loops) = read(assembly);
    let inner = loops
        .iter()
        .filter(|(from, to)| {
            let within = |(a, b): &&(usize, usize)| a >= from && b <= to && (a, b) != (from, to);
            !loops.iter().any(|other| within(&other))
        })
        .map(|(from, to)| &ops[*from..*to])
        .filter(|body| bytes(body) > 0)
        .map(|body| (bytes(body), count(body, 2)))
        .max_by_key(|(bytes, loads)| (*bytes, loads.waits));
    inner.map_or_else(|| count(&ops, 1), |(_, loads)| loads)
}

fn bytes(body: &[Op]) -> u32 {
    body.iter().map(|op| if let Op::Load(bytes) = op { *bytes } else { 0 }).sum()
}

/// Simulates so many iterations of `body` and counts in the last.
fn count(body: &[Op], iterations: usize) -> Loads {
    let mut in_flight = VecDeque::new();
    let mut fresh = false;
    let mut loads = Loads::default();
    for _ in 0..iterations {
        loads = Loads::default();
        for op in body {
            match *op {
                Op::Load(bytes) => {
                    in_flight.push_back(bytes);
                    fresh = true;
                }
                Op::Wait(left) if in_flight.len() > left => {
                    if loads.first == 0 {
                        loads.first = in_flight.len() as u32;
                        loads.bytes = in_flight.iter().sum();
                    }
                    loads.waits += u32::from(fresh);
                    fresh = false;
                    in_flight.drain(..in_flight.len() - left);
                }
                Op::Wait(_) => {}
            }
        }
    }
    loads
}

/// Loads and waits, and the loops among them, from a branch's target to the branch.
fn read(assembly: &str) -> (Vec<Op>, Vec<(usize, usize)>) {
    let mut ops = Vec::new();
    let mut loops = Vec::new();
    let mut blocks = HashMap::new();
    for line in assembly.lines() {
        let line = line.split(';').next().unwrap_or_default().trim();
        if let Some(block) = line.strip_suffix(':') {
            blocks.insert(block, ops.len());
            continue;
        }
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        if let Some(bytes) = load(name) {
            ops.push(Op::Load(bytes));
        } else if let Some(left) = wait(name, rest) {
            ops.push(Op::Wait(left));
        } else if name.starts_with("s_cbranch") || name == "s_branch" {
            let target = rest.split_whitespace().next_back().unwrap_or_default();
            if let Some(from) = blocks.get(target) {
                loops.push((*from, ops.len()));
            }
        }
    }
    // Several branches may lead back to one block: the last one ends the loop.
    let ends: BTreeMap<usize, usize> = loops.into_iter().collect();
    (ops, ends.into_iter().collect())
}

/// Bytes that an instruction loads from memory, if it does.
fn load(name: &str) -> Option<u32> {
    let (memory, what) = name.split_once("_load_")?;
    if !["buffer", "global", "flat", "scratch"].contains(&memory) {
        return None;
    }
    let bits = |width: &str| width.parse::<u32>().ok().map(|bits| bits / 8);
    Some(match what {
        "dword" => 4,
        _ if what.starts_with("dwordx") => 4 * what.strip_prefix("dwordx")?.parse::<u32>().ok()?,
        _ if what.contains("byte") || what.contains("u8") || what.contains("i8") => 1,
        _ if what.contains("short") || what.contains("16") => 2,
        _ => what.strip_prefix('b').and_then(bits).unwrap_or(4),
    })
}

/// Loads that may still be in flight after a wait, if the instruction waits for loads.
fn wait(name: &str, rest: &str) -> Option<usize> {
    match name {
        // Up to RDNA 3: one instruction for all counters.
        "s_waitcnt" => rest.split_once("vmcnt(")?.1.split(')').next()?.parse().ok(),
        // RDNA 4. Of two counters in one, the loads' is the upper byte.
        "s_wait_loadcnt" => hex(rest),
        "s_wait_loadcnt_dscnt" => hex(rest).map(|both| both >> 8),
        _ => None,
    }
}

fn hex(text: &str) -> Option<usize> {
    usize::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Mesa 26.2 writes it for navi31, shortened.
    const SERIAL: &str = "\
BB0:
	s_load_b128 s[8:11], s[0:1], null                           ; f4080200 f8000000
	s_waitcnt lgkmcnt(0)                                        ; bf89fc07
	buffer_load_b32 v9, v8, s[8:11], 0 offen                    ; e05c0000 80420c08
	s_waitcnt vmcnt(0)                                          ; bf8903f7
BB2:
	v_cmpx_gt_u32_e32 0x80, v7                                  ; 7d980eff 00000080
	s_cbranch_execz BB5                                         ; bfa50084
BB3:
	s_clause 0x1                                                ; bf850006
	buffer_load_b128 v[12:15], v8, s[8:11], 0 offen             ; e05c0000 80420c08
	buffer_load_b128 v[16:19], v8, s[8:11], 0 offen offset:16   ; e05c0010 80421008
	s_waitcnt vmcnt(1)                                          ; bf8927f7
	v_fmac_f32_e32 v2, v43, v43                                 ; 5604572b
	s_waitcnt vmcnt(0) lgkmcnt(0)                               ; bf8903f7
BB5:
	buffer_load_d16_b16 v9, v8, s[8:11], 0 offen                ; e05c0000 80420c08
	s_waitcnt vmcnt(0)                                          ; bf8903f7
	s_cbranch_scc0 BB2                                          ; bfa1fd5a
BB6:
	s_endpgm                                                    ; bfb00000
";

    #[test]
    fn trips_to_memory_are_counted_in_the_inner_loop() {
        assert_eq!(loads(SERIAL), Loads { first: 2, bytes: 32, waits: 2 });
    }

    #[test]
    fn loads_of_the_iteration_before_are_in_flight() {
        let ahead = "\
BB0:
	buffer_load_dwordx4 v[4:7], v8, s[8:11], 0 offen            ; e05c0000 80420c08
BB1:
	buffer_load_dwordx4 v[12:15], v8, s[8:11], 0 offen          ; e05c0000 80420c08
	s_waitcnt vmcnt(1)                                          ; bf8927f7
	s_branch BB1                                                ; bfa1fd5a
";
        assert_eq!(loads(ahead), Loads { first: 2, bytes: 32, waits: 1 });
    }

    #[test]
    fn later_chips_have_a_wait_for_each_counter() {
        let chip = "\
BB0:
	buffer_load_b256 v[4:11], v8, s[8:11], null offen           ; c4068000
	buffer_load_b64 v[12:13], v8, s[8:11], null offen           ; c4068000
	s_wait_kmcnt 0x0                                            ; bfc70000
	s_wait_loadcnt 0x1                                          ; bfc00001
	s_wait_loadcnt_dscnt 0x2                                    ; bfc80002
";
        assert_eq!(loads(chip), Loads { first: 2, bytes: 40, waits: 1 });
    }
}
