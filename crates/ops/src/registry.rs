//! The cases of all operations, which lie below this file.

use wisp_base::Result;

use crate::check::Case;

/// Every case of every operation, fused as models are.
///
/// # Errors
/// None, unless a case is wrong.
pub fn cases() -> Result<Vec<Case>> {
    let fused = |case: Case| Ok(Case { tape: crate::fuse(case.tape)?, ..case });
    plain_cases()?.into_iter().map(fused).collect()
}

/// Every case, of plain operations as they are recorded.
///
/// # Errors
/// None, unless a case is wrong.
pub fn plain_cases() -> Result<Vec<Case>> {
    let mut all = crate::embed::cases()?;
    all.extend(crate::rms_norm::cases()?);
    all.extend(crate::linear::cases()?);
    all.extend(crate::layer_norm::cases()?);
    all.extend(crate::add_norm::cases()?);
    all.extend(crate::head_linear::cases()?);
    all.extend(crate::qk_norm::cases()?);
    all.extend(crate::cast::cases()?);
    all.extend(crate::short_conv::cases()?);
    all.extend(crate::gated_delta::cases()?);
    all.extend(crate::output_gate::cases()?);
    all.extend(crate::route::cases()?);
    all.extend(crate::experts::cases()?);
    all.extend(crate::rope::cases()?);
    all.extend(crate::rope_append::cases()?);
    all.extend(crate::append_kv::cases()?);
    all.extend(crate::add::cases()?);
    all.extend(crate::glu::cases()?);
    all.extend(crate::pointwise::cases()?);
    all.extend(crate::attention::cases()?);
    all.extend(crate::sample::cases()?);
    for case in &mut all {
        case.compare.iter().for_each(|value| case.tape.keep(*value));
    }
    Ok(all)
}
