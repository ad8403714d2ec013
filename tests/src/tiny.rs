//! A tiny random Llama as a GGUF file, made on the spot: for tests of the loop, where no
//! real weights matter, and of files that are wrong. `native/tests` includes this file too.

use wisp_base::Format;
use wisp_base::quant::encode;
use wisp_formats::{Array, GgufWriter, Value};

/// Entries of its vocabulary: the bytes, three merged tokens, five others; an odd number.
pub const VOCAB: u32 = 265;
/// `<|im_end|>`, which ends a generation.
pub const END: u32 = 261;

const WIDTH: usize = 64;
const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const HEAD_DIM: usize = 16;
const FFN: usize = 96;
const LAYERS: usize = 2;

/// One tensor: name, shape in ggml's order (columns first), format, bytes.
type Tensor = (String, Vec<u64>, Format, Vec<u8>);

/// The file before it is written: tests take out or put in what they need.
#[derive(Debug, Clone)]
pub struct Tiny {
    metadata: Vec<(String, Value)>,
    tensors: Vec<Tensor>,
}

impl Tiny {
    /// A model with tokenizer and chat template, trained (it is said) for 2,048 tokens.
    pub fn new() -> Self {
        let mut random = Random(20);
        let mut tiny = Self { metadata: metadata(), tensors: Vec::new() };
        let (q, kv) = (HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM);
        tiny.matrix(&mut random, "token_embd.weight", VOCAB as usize, WIDTH, 1.0);
        for layer in 0..LAYERS {
            let name = |tensor: &str| format!("blk.{layer}.{tensor}.weight");
            tiny.ones(&name("attn_norm"));
            tiny.matrix(&mut random, &name("attn_q"), q, WIDTH, 0.2);
            tiny.matrix(&mut random, &name("attn_k"), kv, WIDTH, 0.2);
            tiny.matrix(&mut random, &name("attn_v"), kv, WIDTH, 0.2);
            tiny.matrix(&mut random, &name("attn_output"), WIDTH, q, 0.2);
            tiny.ones(&name("ffn_norm"));
            tiny.matrix(&mut random, &name("ffn_gate"), FFN, WIDTH, 0.2);
            tiny.matrix(&mut random, &name("ffn_up"), FFN, WIDTH, 0.2);
            tiny.matrix(&mut random, &name("ffn_down"), WIDTH, FFN, 0.2);
        }
        tiny.ones("output_norm.weight");
        tiny.matrix(&mut random, "output.weight", VOCAB as usize, WIDTH, 0.5);
        tiny
    }

    /// Sets a key's value, in its place or at the end.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        match self.metadata.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = value,
            None => self.metadata.push((key.to_owned(), value)),
        }
        self
    }

    /// Takes out all keys that begin so.
    #[must_use]
    pub fn without(mut self, prefix: &str) -> Self {
        let before = self.metadata.len();
        self.metadata.retain(|(key, _)| !key.starts_with(prefix));
        assert_ne!(self.metadata.len(), before, "no key begins with {prefix}");
        self
    }

    /// Takes out a tensor.
    #[must_use]
    pub fn without_tensor(mut self, name: &str) -> Self {
        let before = self.tensors.len();
        self.tensors.retain(|(known, ..)| known != name);
        assert_ne!(self.tensors.len(), before, "no tensor is called {name}");
        self
    }

    /// Puts in a tensor of F32 zeros, in another's place where that name is taken.
    #[must_use]
    pub fn with_tensor(mut self, name: &str, shape: &[u64]) -> Self {
        let bytes = vec![0; 4 * shape.iter().product::<u64>() as usize];
        let tensor = (name.to_owned(), shape.to_vec(), Format::F32, bytes);
        match self.tensors.iter_mut().find(|(known, ..)| known == name) {
            Some(old) => *old = tensor,
            None => self.tensors.push(tensor),
        }
        self
    }

    /// Changes the bytes of a tensor.
    #[must_use]
    pub fn edited(mut self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) -> Self {
        let found = self.tensors.iter_mut().find(|(known, ..)| known == name);
        edit(&mut found.expect("a tensor of that name").3);
        self
    }

    /// The files of a split model: the tensors of each, by how many they are.
    pub fn split(&self, counts: &[usize]) -> Vec<Vec<u8>> {
        let mut tensors = self.tensors.iter();
        let mut files = Vec::new();
        for (number, count) in counts.iter().enumerate() {
            let mut writer = GgufWriter::new();
            if number == 0 {
                for (key, value) in &self.metadata {
                    writer = writer.metadata(key, value.clone());
                }
            }
            writer = writer
                .metadata("split.no", Value::U16(number as u16))
                .metadata("split.count", Value::U16(counts.len() as u16))
                .metadata("split.tensors.count", Value::I32(self.tensors.len() as i32));
            for (name, shape, format, bytes) in tensors.by_ref().take(*count) {
                writer = writer.tensor(name, shape.clone(), *format, bytes.clone());
            }
            files.push(writer.finish().expect("a part of a tiny model"));
        }
        assert!(tensors.next().is_none(), "counts of fewer tensors than there are");
        files
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut writer = GgufWriter::new();
        for (key, value) in &self.metadata {
            writer = writer.metadata(key, value.clone());
        }
        for (name, shape, format, bytes) in &self.tensors {
            writer = writer.tensor(name, shape.clone(), *format, bytes.clone());
        }
        writer.finish().expect("a tiny model")
    }

    /// Rows of random numbers around 0, Q8_0.
    fn matrix(&mut self, random: &mut Random, name: &str, rows: usize, cols: usize, size: f32) {
        let numbers: Vec<f32> = (0..rows * cols).map(|_| random.next() * size).collect();
        let bytes = encode(Format::Q8_0, &numbers, None).expect("whole blocks of finite numbers");
        self.tensors.push((name.to_owned(), vec![cols as u64, rows as u64], Format::Q8_0, bytes));
    }

    /// The gain of a norm.
    fn ones(&mut self, name: &str) {
        let bytes = encode(Format::F32, &[1.0; WIDTH], None).expect("finite numbers");
        self.tensors.push((name.to_owned(), vec![WIDTH as u64], Format::F32, bytes));
    }
}

impl Default for Tiny {
    fn default() -> Self {
        Self::new()
    }
}

fn metadata() -> Vec<(String, Value)> {
    let mut tokens: Vec<String> = (0..=255).map(|byte| byte_char(byte).to_string()).collect();
    let others =
        ["ab", "abc", "Ġa", "<|im_start|>", "<s>", "<|im_end|>", "<tool>", "<|pad|>", "<|x|>"];
    tokens.extend(others.map(str::to_owned));
    let mut types = vec![1; 259];
    types.extend([3, 3, 3, 4, 3, 3]);
    let template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n\
                    {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    let merges = ["a b", "ab c", "Ġ a"].map(str::to_owned).to_vec();
    let numbers = [
        ("llama.block_count", LAYERS),
        ("llama.embedding_length", WIDTH),
        ("llama.feed_forward_length", FFN),
        ("llama.attention.head_count", HEADS),
        ("llama.attention.head_count_kv", KV_HEADS),
        ("llama.rope.dimension_count", HEAD_DIM),
        ("llama.context_length", 2048),
        ("tokenizer.ggml.bos_token_id", 260),
        ("tokenizer.ggml.eos_token_id", END as usize),
    ];
    let mut all: Vec<(String, Value)> = vec![
        ("general.architecture".into(), "llama".into()),
        ("general.name".into(), "Tiny".into()),
        ("llama.attention.layer_norm_rms_epsilon".into(), 1e-5.into()),
        ("tokenizer.ggml.model".into(), "gpt2".into()),
        ("tokenizer.ggml.pre".into(), "gpt-2".into()),
        ("tokenizer.ggml.tokens".into(), Array::String(tokens).into()),
        ("tokenizer.ggml.token_type".into(), Array::I32(types).into()),
        ("tokenizer.ggml.merges".into(), Array::String(merges).into()),
        ("tokenizer.chat_template".into(), template.into()),
    ];
    all.extend(numbers.map(|(key, number)| (key.to_owned(), Value::U32(number as u32))));
    all
}

/// GPT-2's character for a byte.
fn byte_char(byte: u8) -> char {
    let is_itself = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    if is_itself(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|byte| !is_itself(*byte)).count();
    char::from_u32(0x100 + before as u32).expect("a character")
}

/// Numbers that look random and are the same each time (xorshift64*).
struct Random(u64);

impl Random {
    /// From -1 to 1.
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 40) as f32;
        high / (1u32 << 23) as f32 - 1.0
    }
}
