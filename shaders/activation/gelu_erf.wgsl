// interface activation. Here GELU (Hendrycks and Gimpel 2016): x/2·(1 + erf(x/√2)),
// erf by Abramowitz and Stegun 7.1.26, right to 1.5e-7.
fn activate(x: f32) -> f32 {
    let z = abs(x) * 0.7071067812;
    let t = 1.0 / (1.0 + 0.3275911 * z);
    let series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741
        + t * (-1.453152027 + t * 1.061405429))));
    // erfc(|x|/√2), small where x is far from 0: no cancellation on the negative side.
    let rest = series * exp(-z * z);
    return 0.5 * x * select(rest, 2.0 - rest, x >= 0.0);
}
