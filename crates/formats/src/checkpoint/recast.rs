//! Tensors given in other formats than they lie in: decoded and encoded while they are read.

use super::Checkpoint;
use crate::TensorInfo;
use std::fmt;
use std::rc::Rc;
use wisp_base::quant::decode;
use wisp_base::{Error, Format, Result};

/// Makes bytes of whole rows: the tensor in its new format, the first row, the numbers. Given
/// from outside, so that a browser does not download encoders.
pub type Encode = Rc<dyn Fn(&TensorInfo, u64, &[f32]) -> Result<Vec<u8>>>;

#[derive(Clone)]
pub(super) struct Recast {
    /// What each tensor lies as, where it is given as something else.
    stored: Vec<Option<TensorInfo>>,
    encode: Encode,
}

impl fmt::Debug for Recast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.stored.iter().flatten().map(|tensor| &tensor.name)).finish()
    }
}

impl Checkpoint {
    /// From now on gives each tensor in the format that `choose` names.
    ///
    /// # Errors
    /// A row is not whole blocks of it; it was done already.
    pub fn recast(&mut self, choose: impl Fn(&TensorInfo) -> Format, encode: Encode) -> Result<()> {
        if self.recast.is_some() {
            return Err(Error::input("the weights are given in other formats already"));
        }
        let mut stored = Vec::with_capacity(self.tensors.len());
        for tensor in &mut self.tensors {
            let format = choose(tensor);
            if format == tensor.format {
                stored.push(None);
                continue;
            }
            let bytes = crate::gguf::tensor_bytes(&tensor.shape, format)
                .map_err(|why| Error::input(format!("tensor {} {why}", tensor.name)))?;
            let new = TensorInfo { format, bytes, ..tensor.clone() };
            stored.push(Some(std::mem::replace(tensor, new)));
        }
        self.recast = Some(Recast { stored, encode });
        Ok(())
    }

    /// What the tensor lies as, if it is given as something else.
    pub fn stored(&self, tensor: &TensorInfo) -> Option<&TensorInfo> {
        self.recast.as_ref()?.stored.get(*self.index.get(&tensor.name)?)?.as_ref()
    }

    /// Rows that were read as `stored`, as `tensor` gives them.
    pub(super) fn encoded(
        &self,
        stored: &TensorInfo,
        tensor: &TensorInfo,
        first: u64,
        bytes: &[u8],
    ) -> Result<Vec<u8>> {
        let Some(recast) = &self.recast else { return Ok(bytes.to_vec()) };
        let cols = tensor.cols() as usize;
        let rows = bytes.len() / stored.format.bytes(cols).max(1);
        let mut numbers = vec![0.0; rows * cols];
        decode(stored.format, bytes, &mut numbers)?;
        (recast.encode)(tensor, first, &numbers)
    }
}
