"""Compares `wisp tokenize` with Hugging Face's tokenizers on generated strings.

    strings.py WISP COUNT MODEL…

MODEL is a GGUF file, whose vocabulary is put into the pipeline that its family's
tokenizer.json has, or a folder with a tokenizer.json. COUNT strings for each, in two ways:
control tokens read as text, and as tokens. Needs tokenizers, transformers,
sentencepiece (with protobuf) and gguf.
"""

import json
import pathlib
import random
import re
import subprocess
import sys
import unicodedata

from gguf import GGUFReader
from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers.convert_slow_tokenizer import generate_merges

CONTROL, USER_DEFINED = 3, 4
# Control tokens whatever their type: some converters mark them as ordinary.
ENDS = {"</s>", "<|tool_response>", "<|im_end|>", "<|endoftext|>", "<|end|>", "<|eot_id|>", "<end_of_turn>", "<eos>"}
CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace("{1,3}", "")
QWEN35 = CONTRACTION + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
# This list of letters is not written down a second time.
RULES = pathlib.Path(__file__).parents[2] / "src/split/rules.rs"
DEEPSEEK_WORD = re.search(r'DEEPSEEK_WORD: &str = r"(.*)"', RULES.read_text())[1]
HAN = "[一-龥ࠀ-一가-퟿]+"


def split(*patterns):
    return [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]


GPT2 = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
BYTES = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
DIGITS = [pre_tokenizers.Digits(individual_digits=True)]
NFC = normalizers.NFC()

# tokenizer.ggml.pre: normalizer and pre-tokenizers of the models' tokenizer.json.
BYTE_LEVEL = {
    "gpt-2": (None, GPT2),
    "mpt": (NFC, GPT2),
    "smollm": (None, DIGITS + GPT2),
    "starcoder": (None, DIGITS + GPT2),
    "refact": (None, DIGITS + GPT2),
    "command-r": (NFC, DIGITS + GPT2),
    "llama-bpe": (None, split(LLAMA3) + BYTES),
    "qwen2": (NFC, split(QWEN2) + BYTES),
    "qwen35": (None, split(QWEN35) + BYTES),
    "deepseek-coder": (None, split("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", HAN) + DIGITS + BYTES),
    "deepseek-llm": (None, split("[\r\n]", DEEPSEEK_WORD, r"\s?[!-/:-~！-／：-～‘-‟\u3000-。]+", r"\s+$", HAN) + [pre_tokenizers.Digits(False)] + BYTES),
    "falcon": (None, [pre_tokenizers.Punctuation("contiguous")] + GPT2 + [pre_tokenizers.Digits(False)] + split("[0-9][0-9][0-9]")),
}


class Vocabulary:
    """Of a GGUF file."""

    def __init__(self, path):
        self.fields = GGUFReader(path).fields
        self.tokens, self.types = self.get("tokens"), self.get("token_type")
        self.types = [CONTROL if token in ENDS else kind for token, kind in zip(self.tokens, self.types)]
        self.ids = {token: id for id, token in enumerate(self.tokens)}

    def get(self, key, default=None):
        field = self.fields.get(f"tokenizer.ggml.{key}")
        return field.contents() if field else default

    def of(self, kind):
        return [token for token, its in zip(self.tokens, self.types) if its == kind]

    def tokenizer(self):
        kind = {"gpt2": self.byte_level, "llama": self.sentencepiece, "gemma4": self.gemma4, "bert": self.wordpiece, "t5": self.unigram}
        tokenizer = kind[self.get("model")]()
        if isinstance(tokenizer, SentencePiece):
            return tokenizer
        added = lambda kind, special: [AddedToken(token, special=special, normalized=False) for token in self.of(kind)]
        tokenizer.add_special_tokens(added(CONTROL, True))
        tokenizer.add_tokens(added(USER_DEFINED, False))
        return tokenizer

    def merges(self):
        # A token may begin with a space.
        pairs = ((merge, merge.index(" ", 1)) for merge in self.get("merges"))
        return [(merge[:at], merge[at + 1:]) for merge, at in pairs]

    def byte_level(self):
        pre = self.get("pre")
        normalizer, parts = BYTE_LEVEL[pre]
        tokenizer = Tokenizer(models.BPE(self.ids, self.merges(), ignore_merges=pre == "llama-bpe"))
        if normalizer:
            tokenizer.normalizer = normalizer
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(parts)
        return tokenizer

    def characters(self, merges, prefix):
        tokenizer = Tokenizer(models.BPE(self.ids, merges, unk_token=self.tokens[self.get("unknown_token_id", 0)], fuse_unk=True, byte_fallback=True))
        spaces = [normalizers.Replace(" ", "▁")]
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁")] * prefix + spaces)
        return tokenizer

    def sentencepiece(self):
        scores = dict(zip(self.tokens, self.get("scores")))
        control = set(self.of(CONTROL))
        merges = generate_merges({t: i for t, i in self.ids.items() if t not in control}, scores)
        return self.characters(merges, self.get("add_space_prefix", True))

    def gemma4(self):
        return self.characters(self.merges(), False)

    def unigram(self):
        """SentencePiece itself: the tokenizers library maps characters in ways of its own."""
        proto = sentencepiece_model_pb2.ModelProto()
        for token, score, kind in zip(self.tokens, self.get("scores"), self.types):
            proto.pieces.add(piece=token, score=score, type=kind)
        proto.trainer_spec.model_type = proto.trainer_spec.UNIGRAM
        proto.trainer_spec.unk_id = self.get("unknown_token_id")
        proto.normalizer_spec.precompiled_charsmap = bytes(self.get("precompiled_charsmap"))
        proto.normalizer_spec.add_dummy_prefix = self.get("add_space_prefix")
        proto.normalizer_spec.remove_extra_whitespaces = self.get("remove_extra_whitespaces")
        return SentencePiece(proto)

    def wordpiece(self):
        # The file marks beginnings of words; WordPiece the other pieces. Control tokens have no mark.
        plain = lambda token: token[1:] if token.startswith("▁") else token if token in self.of(CONTROL) else f"##{token}"
        vocab = {plain(token): id for token, id in self.ids.items()}
        tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=1 << 30))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        return tokenizer


class SentencePiece:
    """With the methods of a tokenizer that are used here."""

    def __init__(self, proto):
        self.processor = SentencePieceProcessor(model_proto=proto.SerializeToString())

    def encode_batch(self, texts, add_special_tokens):
        return [self.processor.encode(text) for text in texts]


def load(model):
    """A tokenizer and the texts of its special tokens."""
    if pathlib.Path(model).is_dir():
        tokenizer = Tokenizer.from_file(f"{model}/tokenizer.json")
        tokenizer.no_truncation()
        tokenizer.no_padding()
        added = tokenizer.get_added_tokens_decoder().values()
        return tokenizer, [token.content for token in added]
    vocabulary = Vocabulary(model)
    return vocabulary.tokenizer(), (vocabulary.of(CONTROL) + vocabulary.of(USER_DEFINED))[:400]


SCRIPTS = [(0x41, 0x7B), (0xC0, 0x180), (0x370, 0x400), (0x400, 0x500), (0x590, 0x600), (0x600, 0x700), (0x900, 0x980), (0xE00, 0xE80), (0x1100, 0x1200), (0x1E00, 0x2000), (0x3040, 0x3100), (0x4E00, 0x5000), (0xAC00, 0xAD00), (0x10330, 0x10350), (0x1D400, 0x1D500), (0x20000, 0x20100)]
SPACES = " " * 8 + "\n\n\n\r\t\x0b\x0c\x85\xa0\u1680\u2003\u2009\u2028\u2029\u202f\u3000\ufeff\u200b"
MARKS = "\u0300\u0301\u0308\u0323\u0345\u064b\u093c\u0e31\u1dc0\u20d0\u20e3\ufe0f\u3099\u1161\u11a8"
EMOJI = ["😀", "👍🏽", "👨‍👩‍👧", "👩🏿‍🚀", "🇩🇪", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "❤️", "#️⃣", "☺", "🤷‍♀️"]
WORDS = "the of and to in that it's we'll I'M don't DON'T Hello hello world GPT iPhone x1y2 naïve Straße 你好世界 こんにちは привет مرحبا नमस्ते สวัสดี 안녕 İstanbul ſ K Å ﬁ ½ Ⅷ".split()
CODE = ["def f(x):\n    return x\n", "for (int i = 0; i < n; ++i) {\n\t\t", "{\"a\": [1, 2.5e-3, null]}", "<div class='x'>", "```rust\n", "https://a.b/c?d=e&f#g", "a->b::c", "!!!", "...", "--", "==", "\\n", "${x}", "@user", "\\ud83d\\ude00"]
CONTRACTIONS = ["'s", "'T", "'re", "'VE", "'m", "'ll", "'D", "’s", "''", "'ſ"]
NUMBERS = ["0", "7", "12", "123", "1234", "1234567", "3.14159", "1,000", "٣٤", "１２", "²³", "①", "१२३", "0x1F", "1e-10"]
ODD = ["\x00", "\x01", "\x1b[0m", "\x7f", "\x9f", "\ufffd", "\ufffe", "\uffff", "\U0010ffff", "\ue000", "\ud7ff", "\u200d", "\u200e", "\u2060", "\u00ad", "▁", "▁▁", "Ġ", "Ċ", "<0x0A>", "##a", "[UNK]"]


def strings(count, special):
    """The same each time for the same special tokens."""
    draw = random.Random(20240131)
    letters = lambda: "".join(chr(draw.randrange(*script)) for _ in range(draw.randint(1, 6))) if (script := draw.choice(SCRIPTS)) else ""
    any_character = lambda: chr(draw.choice([draw.randrange(0x20, 0x3000), draw.randrange(0xD800), draw.randrange(0xE000, 0x110000)]))
    partly = lambda: (text := draw.choice(special))[: draw.randint(1, len(text))]
    pieces = [
        letters, letters, any_character,
        lambda: draw.choice(SPACES) * draw.choice([1, 1, 1, 2, 3, 7, 16]),
        lambda: "".join(draw.choices(SPACES, k=draw.randint(1, 5))),
        lambda: " " + draw.choice(WORDS), lambda: draw.choice(WORDS),
        lambda: draw.choice(WORDS) + draw.choice(MARKS), lambda: unicodedata.normalize("NFD", draw.choice(WORDS)),
        lambda: draw.choice(EMOJI), lambda: draw.choice(CODE), lambda: draw.choice(CONTRACTIONS),
        lambda: draw.choice(NUMBERS), lambda: draw.choice(ODD), lambda: draw.choice(["\r\n", "\n", "\n\n", " \r\n "]),
        lambda: draw.choice("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~«»—…。、") * draw.choice([1, 1, 3]),
        lambda: draw.choice(special), partly,
    ]
    yield ""
    for _ in range(count - 1):
        yield "".join(draw.choice(pieces)() for _ in range(draw.randint(1, 12)))


def compare(wisp, model, count):
    tokenizer, special = load(model)
    texts = list(strings(count, special))
    # Escapes: a character beyond U+FFFF is a pair of surrogates.
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    wrong = 0
    ways = [([], True), (["--parse-special"], False)]
    # SentencePiece knows no control tokens in text.
    for flags, as_text in ways[:1] if isinstance(tokenizer, SentencePiece) else ways:
        command = [wisp, "tokenize", model, "--no-special", "--lines", "--json", *flags]
        out = subprocess.run(command, input=lines.encode(), capture_output=True)
        if out.returncode:
            sys.exit(f"{model}: {out.stderr.decode()}")
        tokenizer.encode_special_tokens = as_text
        got = [json.loads(line)["tokens"] for line in out.stdout.splitlines()]
        assert len(got) == len(texts)
        want = [getattr(row, "ids", row) for row in tokenizer.encode_batch(texts, add_special_tokens=False)]
        different = [row for row in zip(texts, got, want) if row[1] != row[2]]
        wrong += len(different)
        print(f"{pathlib.Path(model).name}{' ' if flags else ''}{' '.join(flags)}: {len(different)} of {count} differ", flush=True)
        for text, ours, theirs in sorted(different, key=lambda row: len(row[0]))[:3]:
            print(f"    {text!r}: {ours}, not {theirs}")
    return wrong


if __name__ == "__main__":
    wisp, count, *paths = sys.argv[1:]
    sys.exit(1 if sum(compare(wisp, path, int(count)) for path in paths) else 0)
