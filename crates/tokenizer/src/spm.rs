//! SentencePiece's BPE, as a GGUF file has it (`llama`): of neighbours whose
//! joined text is a token, the pair with the best score is joined first; what is
//! no token in the end is written byte by byte.

use crate::tokenizer::{Kind, Token};
use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

/// What stands for a space.
pub(crate) const SPACE: &str = "▁";

pub(crate) struct Spm {
    pieces: HashMap<Vec<u8>, u32>,
    scores: Vec<f32>,
    bytes: Vec<Option<u32>>,
    unknown: Option<u32>,
    add_space_prefix: bool,
}

/// A stretch of the text, in a list of those that are left.
struct Symbol {
    start: usize,
    /// 0: it has become part of another.
    length: usize,
    before: usize,
    after: usize,
}

const NONE: usize = usize::MAX;

struct Pair {
    score: f32,
    left: usize,
    right: usize,
    length: usize,
}

impl Ord for Pair {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pair {}

impl Spm {
    /// `scores` are as many as `tokens`.
    pub(crate) fn new(
        tokens: &[Token],
        scores: Vec<f32>,
        unknown: Option<u32>,
        add_space_prefix: bool,
    ) -> Self {
        let bytes = byte_tokens(tokens);
        let spelt = |(_, token): &(u32, &Token)| {
            matches!(token.kind, Kind::Normal | Kind::Unused | Kind::UserDefined)
                && !token.text.is_empty()
                && !is_byte_name(&token.text)
        };
        let mut pieces = HashMap::with_capacity(tokens.len());
        for (id, token) in (0..).zip(tokens).filter(spelt) {
            pieces.entry(token.text.clone().into_bytes()).or_insert(id);
        }
        Self { pieces, scores, bytes, unknown, add_space_prefix }
    }

    /// Appends the ids of `text`; `first`: nothing or a control token is before it.
    pub(crate) fn encode(&self, text: &[u8], first: bool, ids: &mut Vec<u32>) {
        let mut escaped = Vec::with_capacity(text.len() + 3);
        if first && self.add_space_prefix {
            escaped.extend(SPACE.bytes());
        }
        for byte in text {
            match byte {
                b' ' => escaped.extend(SPACE.bytes()),
                byte => escaped.push(*byte),
            }
        }
        let mut symbols = characters(&escaped);
        let mut queue = BinaryHeap::new();
        for right in 1..symbols.len() {
            self.offer(&escaped, &symbols, right - 1, right, &mut queue);
        }
        while let Some(pair) = queue.pop() {
            let (left, right) = (&symbols[pair.left], &symbols[pair.right]);
            if left.length == 0 || right.length == 0 || left.length + right.length != pair.length {
                continue;
            }
            let after = right.after;
            symbols[pair.left].length = pair.length;
            symbols[pair.left].after = after;
            symbols[pair.right].length = 0;
            if after != NONE {
                symbols[after].before = pair.left;
            }
            let before = symbols[pair.left].before;
            self.offer(&escaped, &symbols, before, pair.left, &mut queue);
            self.offer(&escaped, &symbols, pair.left, after, &mut queue);
        }
        for symbol in symbols.iter().filter(|symbol| symbol.length > 0) {
            let piece = &escaped[symbol.start..symbol.start + symbol.length];
            match self.pieces.get(piece) {
                Some(id) => ids.push(*id),
                None => {
                    let of_byte = |byte: &u8| self.bytes[usize::from(*byte)].or(self.unknown);
                    ids.extend(piece.iter().filter_map(of_byte));
                }
            }
        }
    }

    fn offer(
        &self,
        text: &[u8],
        symbols: &[Symbol],
        left: usize,
        right: usize,
        queue: &mut BinaryHeap<Pair>,
    ) {
        if left == NONE || right == NONE {
            return;
        }
        let start = symbols[left].start;
        let length = symbols[left].length + symbols[right].length;
        if let Some(id) = self.pieces.get(&text[start..start + length]) {
            let score = self.scores.get(*id as usize).copied().unwrap_or(0.0);
            queue.push(Pair { score, left, right, length });
        }
    }
}

fn characters(text: &[u8]) -> Vec<Symbol> {
    let mut symbols: Vec<Symbol> = Vec::with_capacity(text.len());
    let mut start = 0;
    let mut push = |length: usize| {
        let index = symbols.len();
        let before = index.checked_sub(1).unwrap_or(NONE);
        symbols.push(Symbol { start, length, before, after: index + 1 });
        start += length;
    };
    for chunk in text.utf8_chunks() {
        chunk.valid().chars().for_each(|c| push(c.len_utf8()));
        chunk.invalid().iter().for_each(|_| push(1));
    }
    if let Some(last) = symbols.last_mut() {
        last.after = NONE;
    }
    symbols
}

/// The tokens named `<0x00>` to `<0xFF>`.
pub(crate) fn byte_tokens(tokens: &[Token]) -> Vec<Option<u32>> {
    let mut bytes = vec![None; 256];
    for (id, token) in (0..).zip(tokens).filter(|(_, token)| is_byte_name(&token.text)) {
        if let [byte] = crate::json::piece(&token.text)[..] {
            bytes[usize::from(byte)].get_or_insert(id);
        }
    }
    bytes
}

fn is_byte_name(text: &str) -> bool {
    let hex = text.strip_prefix("<0x").and_then(|text| text.strip_suffix('>'));
    hex.is_some_and(|hex| hex.len() == 2 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
