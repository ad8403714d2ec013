//! What an adapter can do, and which kernel variant follows from it.
//! The only capability tests of the project.

use wisp_base::{Error, Result, Setting};

use crate::coop::Coop;

/// Whether this is compiled for a program of its own. Where this is asked first, browsers do
/// not download the code for what only such a program does.
pub const NATIVE: bool = !cfg!(target_arch = "wasm32");

/// What an adapter offers and the caller did not switch off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Subgroup operations.
    pub subgroups: bool,
    /// Arithmetic and storage of 16-bit floats in shaders.
    pub f16: bool,
    /// Packed 4×8-bit integer dot products.
    pub dot: bool,
    /// Cooperative matrices, if there are any that a kernel can use.
    pub coop: Option<Coop>,
}

/// Capabilities switched off by the caller: `subgroups=off,f16=off,dot=off,coop=off`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Off {
    /// Do without subgroup operations.
    pub subgroups: bool,
    /// Do without 16-bit floats.
    pub f16: bool,
    /// Do without packed dot products.
    pub dot: bool,
    /// Do without cooperative matrices.
    pub coop: bool,
}

impl Off {
    /// Everything off: the kernels that run anywhere.
    pub const ALL: Off = Off { subgroups: true, f16: true, dot: true, coop: true };

    /// Reads `name=off` (or `name=on`) pairs, comma-separated; an empty text switches nothing off.
    pub fn parse(text: &str) -> Result<Self> {
        let mut off = Off::default();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let wrong = || {
                Error::input(format!(
                    "`{pair}` is not one of subgroups=off, f16=off, dot=off, coop=off"
                ))
                .about(Setting::Caps)
            };
            let (name, state) = pair.split_once('=').ok_or_else(wrong)?;
            let state = match state {
                "off" => true,
                "on" => false,
                _ => return Err(wrong()),
            };
            match name {
                "subgroups" => off.subgroups = state,
                "f16" => off.f16 = state,
                "dot" => off.dot = state,
                "coop" => off.coop = state,
                _ => return Err(wrong()),
            }
        }
        Ok(off)
    }
}

/// How threads of a workgroup add up: `shaders/reduce/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reduce {
    /// Subgroup operations.
    Subgroup,
    /// Workgroup memory.
    Workgroup,
}

/// What activations are stored as: `shaders/scalar/`. Accumulation is f32 in either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// 16-bit floats.
    F16,
    /// 32-bit floats.
    F32,
}

impl Scalar {
    /// Bytes a number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
        }
    }
}

/// One of the four ways in which every kernel can be linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Variant {
    /// How threads add up.
    pub reduce: Reduce,
    /// What activations are stored as.
    pub scalar: Scalar,
}

impl Variant {
    /// All four, the most demanding first.
    pub const ALL: [Variant; 4] = [
        Variant { reduce: Reduce::Subgroup, scalar: Scalar::F16 },
        Variant { reduce: Reduce::Subgroup, scalar: Scalar::F32 },
        Variant { reduce: Reduce::Workgroup, scalar: Scalar::F16 },
        Variant { reduce: Reduce::Workgroup, scalar: Scalar::F32 },
    ];

    /// The best one that `caps` allow.
    pub fn best(caps: Caps) -> Self {
        Variant {
            reduce: if caps.subgroups { Reduce::Subgroup } else { Reduce::Workgroup },
            scalar: if caps.f16 { Scalar::F16 } else { Scalar::F32 },
        }
    }

    /// Can a device with `caps` run it?
    pub fn runs_on(self, caps: Caps) -> bool {
        (self.reduce == Reduce::Workgroup || caps.subgroups)
            && (self.scalar == Scalar::F32 || caps.f16)
    }

    /// The file under `shaders/reduce/`.
    pub fn reduce_file(self) -> &'static str {
        match self.reduce {
            Reduce::Subgroup => "reduce/subgroup",
            Reduce::Workgroup => "reduce/workgroup",
        }
    }

    /// The file under `shaders/scalar/`.
    pub fn scalar_file(self) -> &'static str {
        match self.scalar {
            Scalar::F16 => "scalar/f16",
            Scalar::F32 => "scalar/f32",
        }
    }
}

impl std::fmt::Display for Variant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (_, reduce) = self.reduce_file().split_once('/').unwrap_or_default();
        let (_, scalar) = self.scalar_file().split_once('/').unwrap_or_default();
        write!(f, "{reduce} {scalar}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_flags_are_read_and_wrong_ones_named() {
        let off = Off::parse("subgroups=off, f16=off").unwrap();
        assert!(off.subgroups && off.f16 && !off.dot);
        assert_eq!(Off::parse("").unwrap(), Off::default());
        let error = Off::parse("f16=0").unwrap_err().to_string();
        assert!(error.contains("`f16=0` is not one of subgroups=off"), "{error}");
    }
}
