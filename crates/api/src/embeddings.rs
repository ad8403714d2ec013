//! Embeddings.

use serde::Serialize;
use serde_json::Value;
use wisp_tokenizer::Tokenizer;

use crate::common::refuse_rest;
use crate::error::Refusal;
use crate::fields::{Fields, token, wrong};

/// A text, or its tokens.
#[derive(Debug, Clone, PartialEq)]
pub enum EmbeddingInput {
    /// As it is.
    Text(String),
    /// Used as given.
    Tokens(Vec<u32>),
}

impl EmbeddingInput {
    /// Its tokens, those of a text with what the model wants around it.
    ///
    /// # Errors
    /// A text that cannot be tokenized.
    pub fn tokens(self, tokenizer: &Tokenizer) -> wisp_base::Result<Vec<u32>> {
        match self {
            Self::Text(text) => tokenizer.encode(text.as_bytes(), true, true),
            Self::Tokens(tokens) => Ok(tokens),
        }
    }
}

/// How vectors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbeddingFormat {
    /// A list of numbers.
    Float,
    /// The bytes of little-endian f32 numbers.
    Base64,
}

/// A checked request for vectors.
#[derive(Debug, Clone)]
pub struct EmbeddingRequest {
    /// The model that is asked for, if one is named.
    pub model: Option<String>,
    /// At least one.
    pub inputs: Vec<EmbeddingInput>,
    /// How they are wanted.
    pub format: EmbeddingFormat,
}

impl EmbeddingRequest {
    /// Checks a request's body.
    ///
    /// # Errors
    /// A field that is wrong or not known, or that this version does not honour, by its path.
    pub fn read(body: Value) -> Result<Self, Refusal> {
        let mut fields = Fields::of("", body)?;
        let value = fields.take("input");
        let inputs = value.as_ref().and_then(inputs).filter(|inputs| !inputs.is_empty());
        let must = "a text, a list of texts, a list of token ids, or a list of such lists";
        let inputs = inputs.ok_or_else(|| wrong("input", value.as_ref(), must))?;
        let format = match fields.text("encoding_format")?.as_deref() {
            None | Some("float") => EmbeddingFormat::Float,
            Some("base64") => EmbeddingFormat::Base64,
            Some(other) => {
                return Err(wrong("encoding_format", Some(&other.into()), "float or base64"));
            }
        };
        let model = fields.text("model")?;
        refuse_rest(fields)?;
        Ok(Self { model, inputs, format })
    }
}

/// What a client may give.
pub(crate) fn inputs(value: &Value) -> Option<Vec<EmbeddingInput>> {
    let tokens = |list: &Vec<Value>| -> Option<EmbeddingInput> {
        let ids: Option<Vec<u32>> = list.iter().map(token).collect();
        ids.filter(|ids| !ids.is_empty()).map(EmbeddingInput::Tokens)
    };
    let one = |value: &Value| match value {
        Value::String(text) if !text.is_empty() => Some(EmbeddingInput::Text(text.clone())),
        Value::Array(list) => tokens(list),
        _ => None,
    };
    match value {
        Value::Array(list) if list.iter().any(Value::is_number) => {
            tokens(list).map(|tokens| vec![tokens])
        }
        Value::Array(list) => list.iter().map(one).collect(),
        other => one(other).map(|one| vec![one]),
    }
}

/// Vectors, in the order of the inputs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EmbeddingResponse {
    object: &'static str,
    data: Vec<EmbeddingObject>,
    model: String,
    usage: EmbeddingUsage,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct EmbeddingObject {
    object: &'static str,
    index: usize,
    embedding: Vector,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
enum Vector {
    Float(Vec<f32>),
    Base64(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct EmbeddingUsage {
    prompt_tokens: usize,
    total_tokens: usize,
}

impl EmbeddingResponse {
    /// As text. Its keys are names: it can always be written.
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Of vectors that the engine gave.
    pub fn new(
        model: String,
        vectors: Vec<Vec<f32>>,
        format: EmbeddingFormat,
        prompt_tokens: usize,
    ) -> Self {
        let written = |vector: Vec<f32>| match format {
            EmbeddingFormat::Float => Vector::Float(vector),
            EmbeddingFormat::Base64 => {
                let bytes: Vec<u8> = vector.into_iter().flat_map(f32::to_le_bytes).collect();
                Vector::Base64(base64(&bytes))
            }
        };
        let data = vectors.into_iter().enumerate().map(|(index, vector)| EmbeddingObject {
            object: "embedding",
            index,
            embedding: written(vector),
        });
        let usage = EmbeddingUsage { prompt_tokens, total_tokens: prompt_tokens };
        Self { object: "list", data: data.collect(), model, usage }
    }
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let known = digit <= three.len();
            let at = (bits >> (18 - 6 * digit) & 63) as usize;
            text.push(if known { char::from(DIGITS[at]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let cases =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (bytes, text) in cases {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[251, 255]), "+/8=");
    }
}
