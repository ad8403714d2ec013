"""Makes tests/golden/smollm2/ from the default model's GGUF: see README.md beside this file.

usage: python make_smollm2.py SmolLM2-135M-Instruct.Q4_1.gguf OUT_DIR
"""

import hashlib
import json
import pathlib
import sys

import jinja2
import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from gguf_llama import greedy, load, logits_of, nll_of

STEPS = 48
COLUMNS = 64

LONG = (
    "The lighthouse stood at the end of a narrow spit of land, and every evening its keeper, an old woman named "
    "Marta, climbed the one hundred and forty-two steps to light the lamp. She had done so for thirty years. In "
    "winter the wind shook the glass and the sea threw foam as high as the gallery; in summer the swallows nested "
    "under the iron railing and she walked around them. Ships that passed at night knew the rhythm of her light: "
    "two short flashes, a pause, then one long flash. Sailors said that no other lamp on the coast burned so "
    "steadily. When the harbour office wrote that a machine would replace her, she read the letter twice, folded "
    "it, and put it in the drawer with the matches. The engineer arrived in March with three boxes and a ladder. "
    "He was young, polite and always cold. For a week he measured, drilled and wrote figures in a green notebook, "
    "and each evening she brought him soup and asked him what the machine would do when the fog came. On the "
    "eighth day the fog came. It rolled in from the north before noon, thick as wool, and"
)

# name, text; a chat is rendered with the file's own template.
PROMPTS = [
    ("chat", [{"role": "user", "content": "Why is the sky blue?"}]),
    ("code", "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n    if n < 2:\n        return n\n"),
    ("french", "Le café était fermé à 8h — « désolé », dit-elle. Ça coûte 12 € 😀. Ensuite, nous"),
    ("json", '{"items": [{"id": 1, "price": 12.50, "qty": 3}, {"id": 2, "price": 7.25, "qty": 10}, {"id": 3, "price":'),
    ("story", "Once upon a time, in a small village by the sea, there lived"),
    ("short", "Hello"),
    ("long", LONG),
]


def tokenizer_of(meta):
    """The byte-level BPE of the file's metadata, digits split one by one (`smollm`)."""
    words = meta["tokenizer.ggml.tokens"]
    merges = [tuple(m.split(" ")) for m in meta["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({w: i for i, w in enumerate(words)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [w for w, kind in zip(words, meta["tokenizer.ggml.token_type"]) if kind == 3]
    tokenizer.add_special_tokens([AddedToken(w, normalized=False, special=True) for w in control])
    return tokenizer


def main(path, out):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    model, meta = load(path)
    tokenizer = tokenizer_of(meta)
    template = jinja2.Environment().from_string(meta["tokenizer.chat_template"])
    vocab = model.config.vocab_size
    columns = np.sort(np.random.default_rng(2).choice(vocab, COLUMNS, replace=False))
    prompts = []
    for name, text in PROMPTS:
        entry = {"name": name}
        if isinstance(text, list):
            entry["messages"] = text
            text = template.render(messages=text, add_generation_prompt=True)
        tokens = tokenizer.encode(text, add_special_tokens=False).ids
        chosen, margins = greedy(model, tokens, STEPS)
        sequence = tokens + chosen
        logits = logits_of(model, sequence)
        forced = logits[len(tokens) - 1 : -1].argmax(dim=-1).tolist()
        differ = [i for i in range(STEPS) if forced[i] != chosen[i]]
        if any(margins[i] > 1e-3 for i in differ):
            raise SystemExit(f"{name}: cached and uncached forward passes disagree at steps {differ}")
        last = logits[len(tokens) - 1].numpy()
        np.save(out / f"{name}.last_logits.npy", last.astype("<f4"))
        np.save(out / f"{name}.columns.npy", logits[:, columns].numpy().astype("<f4"))
        np.save(out / f"{name}.norms.npy", torch.linalg.vector_norm(logits.double(), dim=-1).numpy().astype("<f4"))
        entry |= {
            "text": text,
            "tokens": tokens,
            "greedy_tokens": chosen,
            "greedy_margins": [round(m, 6) for m in margins],
            "greedy_text": tokenizer.decode(chosen, skip_special_tokens=True),
            "nll": [round(x, 7) for x in nll_of(logits, sequence)],
        }
        prompts.append(entry)
        print(f"{name}: {len(tokens)} tokens, least margin {min(margins):.4f}: {entry['greedy_text']!r}")
    golden = {
        "model": pathlib.Path(path).name,
        "sha256": hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest(),
        "vocab": vocab,
        "columns": columns.tolist(),
        "prompts": prompts,
    }
    text = json.dumps(golden, ensure_ascii=False, indent=1)
    # Lists of numbers on one line each: short diffs, and still readable.
    (out / "golden.json").write_text(one_line_lists(text) + "\n", encoding="utf-8")


def one_line_lists(text):
    """Joins the lines of every list that holds numbers only."""
    lines, run = [], None
    for line in text.split("\n"):
        part = line.strip()
        if run is not None:
            run.append(part)
            if part.startswith("]"):
                lines.append(run[0] + " ".join(run[1:-1]) + run[-1])
                run = None
        elif part.endswith("[") and part != '"prompts": [' and part != '"messages": [':
            run = [line]
        else:
            lines.append(line)
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    torch.manual_seed(0)
    main(sys.argv[1], sys.argv[2])
