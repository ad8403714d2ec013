//! The self-check: at the first use of an adapter, the kernels that will be used are
//! compared with their CPU definitions. A variant that computes wrongly is replaced
//! by a safer one (before that cooperative matrices by plain products, and packed products
//! by those of f32), and the result is kept for the adapter and its driver.

pub mod autotune;
pub mod devices;
pub mod limits;
mod results;

pub use results::SelfCheckResults;

use wisp_base::{Error, KvType, Result, Setting};
use wisp_gpu::{Coop, Gpu, Reduce, Scalar, Tuning, Variant, shaders_hash};
use wisp_graph::{Resource, Tape};
use wisp_ops::cases;
use wisp_ops::check::{Case, run};

use crate::load::progress::Progress;

/// From the fastest to the safest: first without subgroups, then without f16.
const ORDER: [Variant; 4] = [
    Variant { reduce: Reduce::Subgroup, scalar: Scalar::F16 },
    Variant { reduce: Reduce::Workgroup, scalar: Scalar::F16 },
    Variant { reduce: Reduce::Subgroup, scalar: Scalar::F32 },
    Variant { reduce: Reduce::Workgroup, scalar: Scalar::F32 },
];

/// The fastest variant that computes rightly on this adapter, and the tuning with which it
/// does: without cooperative matrices or packed products, if it is they that are wrong.
///
/// # Errors
/// There is none: the adapter cannot be used. The device failed while it was checked.
pub(crate) async fn choose(
    gpu: &Gpu,
    tuning: Tuning,
    tape: &Tape,
    kv: Option<KvType>,
    results: Option<&SelfCheckResults>,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Variant, Tuning)> {
    let caps = gpu.facts().caps;
    let mut last = String::new();
    let tried = ORDER.into_iter().filter(|variant| variant.runs_on(caps)).flat_map(|variant| {
        let coop = Coop::used(caps.coop, variant, &tuning).is_some();
        let mut ways = vec![(tuning.matvec.packed, coop)];
        for way in [(tuning.matvec.packed, false), (false, coop), (false, false)] {
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
        ways.into_iter().map(move |way| (variant, way))
    });
    for (variant, (packed, coop)) in tried {
        let mut tuning = tuning;
        tuning.matvec.packed = packed;
        let mut used = Coop::used(caps.coop, variant, &tuning);
        if !coop && used.take().is_some() {
            tuning.matmul.coop = false;
        }
        let kv = kv.unwrap_or(wisp_graph::default_kv(variant));
        let mut cases = cases()?;
        cases.retain(|case| wanted(case, tape, kv));
        let key = key(gpu, tuning, variant, used, &cases);
        let known = results.and_then(|results| results.find(&key));
        let wrong = match known {
            Some(wrong) => wrong,
            None => {
                let wrong = first_wrong(gpu, tuning, &cases, variant, progress).await?;
                let wrong = wrong.unwrap_or_default();
                if let Some(results) = results {
                    results.add(&key, &wrong);
                }
                wrong
            }
        };
        if wrong.is_empty() {
            return Ok((variant, tuning));
        }
        let special = [(packed, " packed"), (used.is_some(), " coop")];
        let special: String = special.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
        last =
            format!("{variant}{special} kernels compute wrongly on {} ({wrong})", gpu.facts().name);
        progress(Progress::Note(format!("{last}: a safer variant is used")));
    }
    let error = Error::device(format!("{last}, and no variant is right"));
    Err(error.hint("choose another adapter with ", Setting::Device, ""))
}

/// What is wrong with the first case that is.
async fn first_wrong(
    gpu: &Gpu,
    tuning: Tuning,
    cases: &[Case],
    variant: Variant,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<String>> {
    for (done, case) in cases.iter().enumerate() {
        progress(Progress::Checking { done, total: cases.len() });
        let made = run(gpu, case, variant, tuning).await;
        // No model has kernels of these odd sizes: their memory is for its weights.
        gpu.forget_pipelines();
        match made {
            Ok(report) if report.passed() => {}
            Ok(report) => {
                return Ok(Some(format!(
                    "{}: error {:.1e}, allowed {:.1e}",
                    report.case, report.error, report.bound
                )));
            }
            // A variant whose kernels the driver does not compile is wrong too, unless
            // the device is gone for good.
            Err(error) => {
                gpu.check()?;
                return Ok(Some(format!("{}: {error}", case.name)));
            }
        }
    }
    Ok(None)
}

/// Does a model with this tape use what the case checks?
fn wanted(case: &Case, tape: &Tape, kv: KvType) -> bool {
    let formats = |tape: &Tape| -> Vec<_> {
        let of = |resource: &Resource| match resource {
            Resource::Weight(weight) => Some(weight.format),
            _ => None,
        };
        tape.resources().iter().filter_map(of).collect()
    };
    let used = formats(tape);
    let has = |name| tape.nodes().iter().any(|node| Some(node.op.name()) == name);
    let any = tape.nodes().is_empty();
    let latent = |tape: &Tape| {
        tape.resources().iter().any(|r| matches!(r, Resource::Paged { latent: true, .. }))
    };
    if latent(&case.tape) {
        return any || latent(tape);
    }
    if case.name.starts_with("attention") {
        // Encoders alone see both ways, and alone draw no tokens.
        let mut tokens = case.steps.iter().flat_map(|(step, _)| &step.tokens);
        let bidirectional = tokens.any(|token| token.seen > token.position + 1);
        return case.kv == kv && (any || bidirectional != has(Some("sample")));
    }
    // A norm before a product is there for the product.
    let operations = case.tape.nodes().iter().map(|node| node.op.name());
    let mut about = operations.filter(|name| *name != "rms_norm" || case.tape.nodes().len() == 1);
    (any || about.all(|name| has(Some(name))))
        && formats(&case.tape).iter().all(|format| used.contains(format))
}

/// One line without tabs that names adapter, driver, kernels and cases.
fn key(gpu: &Gpu, tuning: Tuning, variant: Variant, coop: Option<Coop>, cases: &[Case]) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    shaders_hash().hash(&mut hasher);
    for case in cases {
        case.name.hash(&mut hasher);
    }
    tuning.to_string().hash(&mut hasher);
    coop.hash(&mut hasher);
    format!("{} | {variant} | {:016x}", adapter(gpu), hasher.finish())
}

/// The adapter and its driver, in a line without tabs.
pub(crate) fn adapter(gpu: &Gpu) -> String {
    let facts = gpu.facts();
    let text = format!("{} | {} | {}", facts.name, facts.backend, facts.driver);
    text.replace(['\t', '\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use wisp_base::Format;
    use wisp_gpu::Off;
    use wisp_graph::{Kind, Part, Rows, Value, Weight};
    use wisp_ops::{Linear, record};

    /// Wrong by a little in one place, as a broken driver is.
    const WRONG: &str = "
        var<workgroup> reduce_shared: array<f32, THREADS>;
        fn reduce_lanes(value: f32, thread: u32) -> f32 { return value * 1.01; }
        fn reduce_add(value: f32, thread: u32) -> f32 { return value; }
        fn reduce_max(value: f32, thread: u32) -> f32 { return value; }
    ";

    type Chosen = (Result<(Variant, Tuning)>, Vec<String>, bool);

    fn choose_with(gpu: &Gpu, results: Option<&SelfCheckResults>) -> Chosen {
        choose_tuned(gpu, gpu.tuning(), results)
    }

    fn choose_tuned(gpu: &Gpu, tuning: Tuning, results: Option<&SelfCheckResults>) -> Chosen {
        let (mut notes, mut checked) = (Vec::new(), false);
        let chosen = pollster::block_on(choose(
            gpu,
            tuning,
            &Tape::new(),
            None,
            results,
            &mut |p| match p {
                Progress::Note(note) => notes.push(note),
                Progress::Checking { .. } => checked = true,
                _ => {}
            },
        ));
        (chosen, notes, checked)
    }

    #[test]
    fn a_wrong_kernel_is_caught_replaced_by_a_safer_one_and_remembered() {
        let gpu = pollster::block_on(Gpu::open(None, Off::default())).unwrap();
        if !gpu.facts().caps.subgroups {
            return; // Nothing is safer than what is left.
        }
        let folder = tempfile::tempdir().unwrap();
        let file = SelfCheckResults::from(folder.path().join("new/self-check.txt"));
        gpu.replace_shader("reduce/subgroup", WRONG);
        let (chosen, notes, checked) = choose_with(&gpu, Some(&file));
        assert_eq!(chosen.unwrap().0.reduce, Reduce::Workgroup);
        assert!(notes[0].contains("subgroup"), "{notes:?}");
        assert!(notes[0].contains("compute wrongly on"), "{notes:?}");
        assert!(notes[0].contains("error"), "{notes:?}");
        assert!(checked);

        let (chosen, _, checked) = choose_with(&gpu, Some(&file));
        assert_eq!(chosen.unwrap().0.reduce, Reduce::Workgroup);
        assert!(!checked, "the result was not remembered");

        let text = SelfCheckResults::from(file.text());
        let (chosen, _, checked) = choose_with(&gpu, Some(&text));
        assert_eq!(chosen.unwrap().0.reduce, Reduce::Workgroup);
        assert!(!checked, "the result was not carried over");
    }

    #[test]
    fn packed_products_that_are_wrong_are_replaced_by_those_of_f32() {
        let gpu = pollster::block_on(Gpu::open(None, Off::default())).unwrap();
        let mut tuning = gpu.tuning();
        tuning.matvec.packed = true;
        // As a driver whose bytes have no sign.
        const FILE: &str = include_str!("../../../../shaders/product/packed.wgsl");
        let right = "dot4I8Packed(e.x, codes.x)";
        assert!(FILE.contains(right));
        let unsigned = FILE.replace(right, "i32(dot4U8Packed(e.x, codes.x))");
        gpu.replace_shader("product/packed", unsigned.leak());
        let (chosen, notes, _) = choose_tuned(&gpu, tuning, None);
        let (variant, chosen) = chosen.unwrap();
        assert_eq!((variant, chosen), (Variant::best(gpu.facts().caps), gpu.tuning()));
        assert!(notes[0].contains("packed kernels compute wrongly"), "{notes:?}");
    }

    #[test]
    fn wrong_cooperative_matrices_are_replaced_by_plain_products() {
        const WRONG: &str = "
            const EACH: u32 = 4u;
            alias Element = vec4<f16>;
            fn put_x(at4: u32, value: vec4<f16>) { tile_x[at4] = value; }
            fn put_w(at4: u32, value: vec4<f16>) { tile_w[at4] = value * 1.01h; }
        ";
        let gpu = pollster::block_on(Gpu::open(None, Off::default())).unwrap();
        let variant = Variant::best(gpu.facts().caps);
        let mut tuning = Tuning::GPU;
        if Coop::used(gpu.facts().caps.coop, variant, &tuning).is_none() {
            return; // Only newer drivers have them.
        }
        let mut tape = Tape::new();
        let (name, cols) = ("x".into(), 64);
        let x = tape.input(Value { name, rows: Rows::Tokens, cols, kind: Kind::Activation });
        let parts = vec![Part { tensor: "w".into(), rows: 0..64 }];
        let (format, rows) = (Format::F16, 64);
        let w = Weight { parts, interleave: false, format, rows, cols };
        let w = tape.resource(Resource::Weight(w));
        record(&mut tape, Linear::PLAIN, &[x], &[w]).unwrap();
        gpu.replace_shader("element/vec4", WRONG);
        let mut notes = Vec::new();
        let mut note = |progress| {
            if let Progress::Note(note) = progress {
                notes.push(note);
            }
        };
        let chosen = pollster::block_on(choose(&gpu, tuning, &tape, None, None, &mut note));
        tuning.matmul.coop = false;
        assert_eq!(chosen.unwrap(), (variant, tuning));
        assert!(notes[0].contains("f16 coop kernels compute wrongly on"), "{notes:?}");
    }

    #[test]
    fn an_adapter_on_which_nothing_is_right_is_refused() {
        let gpu = pollster::block_on(Gpu::open(None, Off::default())).unwrap();
        gpu.replace_shader("reduce/subgroup", WRONG);
        gpu.replace_shader("reduce/workgroup", WRONG);
        let (chosen, ..) = choose_with(&gpu, None);
        let error = chosen.unwrap_err().to_string();
        assert!(error.contains("no variant is right: choose another adapter"), "{error}");
    }
}
