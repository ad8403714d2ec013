//! The curves between the two products of a feed-forward layer: `shaders/activation/`.

use wisp_gpu::Kernel;

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// x·sigmoid(x) (Elfwing et al. 2017).
    Silu,
    /// GELU (Hendrycks and Gimpel 2016) by tanh.
    Gelu,
    /// GELU by the error function.
    GeluErf,
    /// 1/(1 + exp(−x)).
    Sigmoid,
    /// max(x, 0).
    Relu,
    /// max(x, 0)² (So et al. 2021).
    ReluSquared,
    /// x·sigmoid(alpha·x) with x at most `limit`; its gated unit is gpt-oss's.
    Clamped {
        /// Multiplies x in the sigmoid.
        alpha: f32,
        /// The gate is at most this, the up projection within ± this.
        limit: f32,
    },
}

impl Activation {
    /// gpt-oss's, as published.
    pub const GPT_OSS: Self = Self::Clamped { alpha: 1.702, limit: 7.0 };

    /// Its value at `x`.
    pub fn of(self, x: f32) -> f32 {
        let x = f64::from(x);
        let y = match self {
            Self::Silu => x / (1.0 + (-x).exp()),
            Self::Gelu => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
                0.5 * x * (1.0 + inner.tanh())
            }
            Self::GeluErf => 0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Relu => x.max(0.0),
            Self::ReluSquared => x.max(0.0).powi(2),
            Self::Clamped { alpha, limit } => {
                let most = x.min(f64::from(limit));
                most / (1.0 + (-f64::from(alpha) * most).exp())
            }
        };
        y as f32
    }

    /// What gate and up projection of a gated unit become (Shazeer 2020).
    pub fn gated(self, gate: f32, up: f32) -> f32 {
        match self {
            Self::Clamped { limit, .. } => self.of(gate) * (up.max(-limit).min(limit) + 1.0),
            _ => self.of(gate) * up,
        }
    }

    /// The function itself.
    pub(crate) fn link(self, kernel: Kernel) -> Kernel {
        let kernel = kernel.link("activation", self.file());
        match self {
            Self::Clamped { alpha, limit } => {
                kernel.set_f32("ALPHA", alpha).set_f32("LIMIT", limit)
            }
            _ => kernel,
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Silu => "activation/silu",
            Self::Gelu => "activation/gelu",
            Self::GeluErf => "activation/gelu_erf",
            Self::Sigmoid => "activation/sigmoid",
            Self::Relu => "activation/relu",
            Self::ReluSquared => "activation/relu_squared",
            Self::Clamped { .. } => "activation/clamped",
        }
    }
}

/// The error function by its series 2/√π·exp(−x²)·Σ 2ⁿ·x²ⁿ⁺¹/(2n + 1)!!, all terms of
/// one sign, to f64's precision; beyond ±6 it is ±1.
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the functions to seven places, by PyTorch.
    #[test]
    fn curves_have_their_published_values() {
        for (activation, at_one, at_minus_two) in [
            (Activation::Silu, 0.731_058_6, -0.238_405_85),
            (Activation::Gelu, 0.841_192, -0.045_402_348),
            (Activation::GeluErf, 0.841_344_7, -0.045_500_264),
            (Activation::Sigmoid, 0.731_058_6, 0.119_202_92),
            (Activation::Relu, 1.0, 0.0),
            (Activation::ReluSquared, 1.0, 0.0),
            (Activation::GPT_OSS, 0.845_795_8, -0.064_341_38),
        ] {
            assert!((activation.of(1.0) - at_one).abs() < 1e-6, "{activation:?}");
            assert!((activation.of(-2.0) - at_minus_two).abs() < 1e-6, "{activation:?}");
        }
    }
}
