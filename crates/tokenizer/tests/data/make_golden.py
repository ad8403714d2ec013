#!/usr/bin/env python3
"""Makes tokens.json and chat.json: what Hugging Face's tokenizers and
transformers make of small vocabularies and of chat templates.

    pip install tokenizers transformers jinja2
    python make_golden.py

    pip install gguf numpy
    python make_golden.py model.gguf out.json

The second form writes the same for a whole model's vocabulary (pre-tokenizers
of PRE only), which `WISP_TEST_VOCABULARY=out.json cargo test -p wisp-tokenizer`
compares; it is too large to commit.
"""

import json
import random
import sys
from pathlib import Path

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,
                        pre_tokenizers, processors, trainers)
from transformers.utils.chat_template_utils import _compile_jinja_template

HERE = Path(__file__).parent

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")


def split(*patterns):
    stages = [pre_tokenizers.Split(Regex(p), "isolated") for p in patterns]
    stages.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
    return pre_tokenizers.Sequence(stages)


PRE = {
    "default": split(r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"),
    # These two as models have them, not as llama.cpp writes them.
    "gpt-2": pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    "smollm": pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]),
    "llama-bpe": split(LLAMA3),
    "qwen2": split(QWEN2),
}

CORPUS = """The quick brown fox jumps over the lazy dog. It's what they've said: "We'll see", he'd say, I'm sure you're right.
In 2024 there were 1234567 of them, 3.14159 each; on 12/31/1999 at 23:59:59 the total was $42.00 (about 7%).
def main(argument, *rest):
    if argument is None:
        return [value for value in rest if value != 0]
    for index in range(10):
        print(f"{index}: {argument[index]}")   # the words of the argument
\treturn {"name": "value", "list": [1, 2, 3], "other": null}
for (int i = 0; i < count; ++i) { sum += values[i]; }  // and so on
Der Bär läuft über die Straße, während die Frösche größer werden und die Gäste Käse essen.
Où êtes-vous allé cet été, à la plage ou à la forêt ? Ça dépend, naïve élève.
Привет, мир! Быстрая лиса прыгает через ленивую собаку, и снова привет, мир.
你好，世界。今天的天气很好，我们去公园散步吧。世界很大，今天很好。
こんにちは、世界。今日はとても良い天気です。これはテストです。
안녕하세요 세계 안녕하세요 여러분
مرحبا بالعالم كيف حالك اليوم مرحبا
नमस्ते दुनिया आप कैसे हैं नमस्ते
Hello world, hello hello HELLO Hello. hello123 world456 ALLCAPS CamelCase snake_case kebab-case
emoji 😀😀 👍🏽 👨‍👩‍👧 🇩🇪 and signs → ← ≤ ≥ ∑ ∞ © ® ™ … “quoted” ‘words’ — dash – dash
""" * 3

TEXTS = [
    "", " ", "  ", "   ", "    ", "\n", "\n\n", "\n\n\n", "\r\n", "\r\n\r\n", "\t", "\t\t", " \n", "\n ",
    " \n \n ", "a", " a", "a ", "  a", "a  ", "   a   b    c     ", "\ta\t\tb\n\n\tc", "a\n\n\nb", "a \n b",
    "a\r\nb\rc", "x = 1\n\n    y = 2\n", "\u00a0", "a\u00a0b", "a\u00a0\u00a0b", "a\u2003\u2003b\u3000c",
    "a\u200bb\u200dc", "\u2028x\u2029", "\x85x\x85\x85y", "\x0b\x0cx", "\x00", "\x00\x01\x02\x7f", "a\x1cb\x1dc",
    "Hello, world!", "Hello world", " Hello  World ", "The quick brown fox", "HELLO hello Hello",
    "It's they've we'll I'm you're he'd don't", "IT'S THEY'VE WE'LL I'M YOU'RE HE'D DON'T", "it'ſ 'S 'S 'LL'll",
    "'", "''", "'s", " 's", "''s", "'sa", "o'clock 'tis '90s", "x’s y’ll",
    "0", "1", "12", "123", "1234", "12345", "123456", "1234567890", "1 2 3", " 12 345 ", "3.14159", "1,000,000.00",
    "12abc34", "abc123def", "٣٤٥", "१२३४", "Ⅷ ⅔ ²³ ①②", "１２３４", "1\u0300", "0x1F", "1e-10", "2024-01-31T23:59:59Z",
    "!", "!!", "!!!", "?!", "...", "…", "a.b.c", "a,b;c:d", "(a) [b] {c}", "<a> <b/> </c>", "$1 + $2 = $3", "a==b!=c<=d>=e",
    "^~|`", "a|b|c", "a+b-c*d/e", "~~~^^^", "#!/bin/sh\n", "//comment\n\n\ncode", "a_b__c", "-- --- ----", "!\n", "!\n\n!", "!\r\n a",
    "été à la forêt", "e\u0301te\u0301", "Straße ÄÖÜäöüß", "ﬁ ﬀ ﬆ 'ﬆ", "İstanbul ıi", "K\u212a \u1e9e",
    "Привет, мир!", "привет123мир", "Ελληνικά", "עברית", "مرحبا بالعالم", "नमस्ते दुनिया", "ไทย ภาษา", "ខ្មែរ",
    "你好，世界。", "今天123天气", "こんにちは、世界", "カタカナ ｶﾀｶﾅ", "안녕하세요 세계", "\u1112\u1161\u11ab", "中 文 间 隔",
    "😀", "😀😀 👍🏽", "👨‍👩‍👧‍👦", "🇩🇪🇫🇷", "a😀b", "x 😀 y", "☺️ ❤️", "🏴\U000e0067\U000e0062\U000e007f",
    "\U00010348 \U0001d54f\U0001d7d8", "\u0378", "\ue000", "\ufffd", "\ufeffbom", "\uffff", "\U0010ffff",
    "→ ← ≤ ≥ ∑ ∞", "© ® ™", "“quoted” ‘words’ — –", "¿qué? ¡sí!", "½ ¼ ¾", "ª º µ", "ˈaɪ ʰ ˇ", "a\u0300\u0301\u0302b",
    "z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢", "extraordinary", " extraordinary", "an extraordinary thing", "helloextraordinary",
    "<|start|>", "<|end|>", "<|start|>user\nhi<|end|>\n", " <|start|> x", "<|start|><|end|>", "<|start|", "<|start|>>", "<<|end|>>",
    "<|endoftext|>", "<|end|><|endoftext|><|end", "<|endo", "<tool>", "<tool>{}</tool>", "a<tool>b", "<tool><tool2>", "<tool", "x<tool2>y",
    "Ġ", "Ċ", "ĠHello", "Ã©", "▁", "▁Hello", "<0x0A>", "<s>", "</s>", "[INST]", "##a",
    "def f(x):\n\treturn x + 1\n\n\nclass A:\n    pass\n", "{\"a\": [1, 2.5, null, true]}", "https://example.com/a?b=c&d=e#f",
    "user@example.com", "C:\\Users\\x", "SELECT * FROM t WHERE a='b';", "a" * 40, "ab" * 30, " " * 33 + "x", "\n" * 17, "=" * 50, "1" * 31,
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore.",
]


def random_texts(count):
    """Strings of pieces that pre-tokenizers care for."""
    pieces = [" ", "  ", "\n", "\r", "\t", "\u3000", "a", "the", " hello", "Z", "ß", "ж", "你", "é", "e\u0301", "1", "23", "٣", "²", "'s", "'LL",
              "'", "’", ".", "!", "?!", "=", "$", "|", "_", "-", "<", ">", "😀", "\u200d", "\u0300", "\x00", "<|end|>", "<tool>", "<|start|>"]
    random.seed(7)
    return ["".join(random.choices(pieces, k=random.randint(2, 14))) for _ in range(count)]


SPECIAL = ["<|endoftext|>", "<|start|>", "<|end|>"]
USER_DEFINED = ["<tool>", "<tool><tool2>", "</tool>"]


def add_tokens(tokenizer):
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in USER_DEFINED])


def train(name):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = PRE[name]
    if name == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    # As SmolLM2's: some bytes have no token.
    if name == "smollm":
        alphabet = []
    trainer = trainers.BpeTrainer(vocab_size=640, min_frequency=2, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS.splitlines(keepends=True), trainer)
    file = json.loads(tokenizer.to_str())
    # A word that no merges make: whether merges are ignored can be seen.
    vocab = file["model"]["vocab"]
    vocab["Ġextraordinary"] = len(vocab)
    file["model"]["ignore_merges"] = name == "llama-bpe"
    tokenizer = Tokenizer.from_str(json.dumps(file))
    tokenizer.decoder = decoders.ByteLevel()
    add_tokens(tokenizer)
    return tokenizer


def vocabulary(tokenizer, name):
    """As a GGUF file has it."""
    vocab = tokenizer.get_vocab(with_added_tokens=True)
    tokens = sorted(vocab, key=vocab.get)
    assert [vocab[t] for t in tokens] == list(range(len(tokens)))
    types = [3 if t in SPECIAL else 4 if t in USER_DEFINED else 1 for t in tokens]
    merges = [m if isinstance(m, str) else " ".join(m) for m in json.loads(tokenizer.to_str())["model"]["merges"]]
    return {"pre": name, "tokens": tokens, "types": types, "merges": merges}


def encodings(tokenizer, texts):
    """[text, ids, ids where control tokens' text is plain (null: the same)]"""
    rows = []
    for text in texts:
        tokenizer.encode_special_tokens = False
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        tokenizer.encode_special_tokens = True
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        rows.append([text, ids, None if plain == ids else plain])
    tokenizer.encode_special_tokens = False
    return rows


def decodings(tokenizer, count, length=9):
    """[ids, text, text with control tokens]"""
    random.seed(11)
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    rows = []
    for _ in range(count):
        ids = random.choices(range(size), k=length)
        if random.random() < 0.5:
            ids[random.randrange(length)] = tokenizer.token_to_id(random.choice(SPECIAL))
        rows.append([ids, tokenizer.decode(ids, skip_special_tokens=True), tokenizer.decode(ids, skip_special_tokens=False)])
    return rows


def sentencepiece_like():
    """As Llama 2's tokenizer.json: spaces are ▁, unknown characters are <0xNN>."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    lines = [line for line in CORPUS.splitlines() if line.isascii()]
    trainer = trainers.BpeTrainer(vocab_size=400, show_progress=False,
                                  special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)])
    tokenizer.train_from_iterator((word for line in lines for word in line.split()), trainer)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    file = json.loads(tokenizer.to_str())
    file["added_tokens"] = [t for t in file["added_tokens"] if not t["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(file))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


def wordpiece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=200, show_progress=False, special_tokens=["[UNK]", "[CLS]", "[SEP]"])
    tokenizer.train_from_iterator(CORPUS.splitlines()[:2], trainer)
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return tokenizer


def json_file(tokenizer, texts):
    rows = []
    for text in texts:
        ids = tokenizer.encode(text).ids
        rows.append([text, ids, tokenizer.decode(ids)])
    return {"file": tokenizer.to_str(), "rows": rows}


def tokens_json():
    golden = {"gguf": [], "json": {}}
    for name in PRE:
        tokenizer = train(name)
        golden["gguf"].append(vocabulary(tokenizer, name) | {
            "encode": encodings(tokenizer, TEXTS + random_texts(60)), "decode": decodings(tokenizer, 25)})
        if name == "llama-bpe":
            tokenizer.post_processor = processors.TemplateProcessing(single="<|start|> $A", special_tokens=[("<|start|>", tokenizer.token_to_id("<|start|>"))])
            golden["json"]["byte_level"] = json_file(tokenizer, random_texts(60))
    plain = ["", "Hello world", "The quick brown fox", "  two  spaces ", "été 你好 😀", "a\nb", "<s>x</s>", "it's 12345!"]
    golden["json"]["sentencepiece"] = json_file(sentencepiece_like(), plain)
    golden["json"]["wordpiece"] = json_file(wordpiece(), plain)
    return golden


CHATML = """{%- for message in messages %}
    {%- if loop.first and message.role != 'system' %}
        {{- '<|im_start|>system\\nBe brief.<|im_end|>\\n' }}
    {%- endif %}
    {{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

# A template on one line with line ends in its strings, as SmolLM2's is.
ONE_LINE = """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
Be useful<|im_end|>
' }}{% endif %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}"""

LLAMA_STYLE = """{{- bos_token }}
{%- if not today is defined %}{%- set today = "26 Jul 2024" %}{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set instructions = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set instructions = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Today: " + today + "\\n\\n" + instructions + "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("Only one call at a time!") }}
        {%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
        {{- '{"name": "' + call.name + '", "parameters": ' }}
        {{- call.arguments | tojson }}
        {{- "}<|eot_id|>" }}
    {%- else %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

QWEN_STYLE = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- else %}
        {{- 'You help.' }}
    {%- endif %}
    {{- "\\n\\n# Tools\\n\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools>\\n\\nAnswer with {\\"name\\": <function-name>}<|im_end|>\\n" }}
{%- elif messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}
            {{- '\\n' + message.content }}
        {%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' }}{{- tool_call.name }}{{- '", "arguments": ' }}{{- tool_call.arguments | tojson }}{{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}{{- message.content }}{{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

GEMMA_STYLE = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '
' + message['content'] | trim + '<end_of_turn>
' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model
'}}{% endif %}"""

THINKING = """{%- set ns = namespace(last=-1, found=false, text='') %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if not ns.found and message.role == "user" and not (message.content.startswith('<r>') and message.content.endswith('</r>')) %}
        {%- set ns.found = true %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content %}
    {%- if '</think>' in content %}
        {%- set ns.text = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
        {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
    {%- endif %}
    {{- loop.index ~ '/' ~ loop.length ~ ' ' ~ message.role.upper() ~ ': ' }}
    {%- if message.role == 'assistant' %}
        {%- generation %}
        {{- content.strip('\\n') + '\\n' }}
        {%- endgeneration %}
    {%- else %}
        {{- content ~ '\\n' }}
    {%- endif %}
{%- endfor %}
{{- ns.last }} {{ ns.text }}"""

# Every corner in a few lines; what is printed is what is compared.
CORNERS = r"""{% set d = {'b': 1, 'a': [1.0, 2.5, 1e-7, 1e16, 123456789.0, true, none, "x\"y\\z\n\t\u00e9😀<&>'"], 'c': {}, 'e': [], '1': -3} %}
{{ d | tojson }}
{{ d | tojson(indent=2) }}
{{ d | tojson(ensure_ascii=true) }}
{{ d | tojson(sort_keys=true, separators=(',', ':')) }}
    {# a comment on its own line #}
  {% if true %}
    indented
  {%- endif %}
after {{ missing }}|{{ messages[0].missing }}|{{ missing is defined }}|{{ missing is not defined }}|{{ missing or 'other' }}|{{ missing | default('d') }}
{% for key, value in d.items() %}{{ key }}={{ value if value is string or value is number else '?' }};{% endfor %}

{% for x in range(10) %}{% if x == 2 %}{% continue %}{% endif %}{% if x > 5 %}{% break %}{% endif %}{{ x }}{{ ', ' if not loop.last }}{% endfor %}

{{ true }} {{ false }} {{ none }} {{ 1.0 }} {{ 7 // 2 }} {{ 7 / 2 }} {{ 7 % 3 }} {{ 2 ** 5 }} {{ -1 }}
{{ [1, 'a', none, true, 2.5] }} {{ {'k': 'v', 'n': [1]} }} {{ 'a' ~ 1 ~ none ~ true }}
{{ 'a,b,c'.split(',') | join('-') }} {{ ' x '.strip() }}| {{ 'abc'[1:] }} {{ 'abc'[::-1] }} {{ 'abc'[-1] }} {{ 'Hello'.lower() }} {{ 'hello'.title() }} {{ 'a-b'.replace('-', '+') }}
{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'c')) }} {{ 'b' in 'abc' }} {{ 'x' not in ['a'] }} {{ d.get('b') }} {{ d.get('zz', 5) }} {{ d.keys() | list }} {{ 'b' in d }}
{{ 'k=v=w'.split('=', 1) }} {{ 'a b  c'.split() }} {{ 'xxabxx'.strip('x') }} {{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.py'.removesuffix('.py') }} {{ 'a.b.c'.rsplit('.', 1) }} {{ 'a:b'.partition(':') | list }} {{ 'a\nb'.splitlines() }}
{{ messages | map(attribute='role') | join(',') }} {{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ messages | rejectattr('role', 'equalto', 'user') | map(attribute='role') | list }} {{ [3, 1, 2] | sort }} {{ [1, 2, 3] | first }} {{ [1, 2, 3] | last }} {{ [1, 2] | sum }} {{ 'x' | upper }} {{ 'a b' | title }} {{ 'abc' | length }} {{ '%s is %d' | format('x', 3) }} {{ ['a', 'b'] + ['c'] }} {{ 5 | string + 'x' }} {{ '5' | int + 1 }} {{ 3.7 | int }}
{% macro show(x, y='z') %}[{{ x }}{{ y }}]{% endmacro %}{{ show('a') }}{{ show('b', y='c') }}{% set block %}in a block{% endset %}{{ block | upper }}
{% set ns = namespace(n=0) %}{% for i in [1, 2, 3] %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }} {% for i in [] %}x{% else %}empty{% endfor %} {{ loop is defined }}
{% for m in messages %}{{ loop.previtem.role if loop.previtem is defined }}>{{ m.role }}>{{ loop.nextitem.role if not loop.last }} {% endfor %}
{% filter upper %}filtered{% endfilter %} {{ "a\\n" }} {% raw %}{{ raw }}{% endraw %} {{ '{{' }} {{ messages[0]['role'] is string }} {{ messages is iterable }} {{ messages is mapping }} {{ d is mapping }} {{ 1 is number }} {{ none is none }} {{ tools is none }} {{ d.a | tojson | length }}
{{ (1, 2) | list }} {{ dict(a=1, b='c') | tojson }} {{ 'a' if false }} {{ 10 > 9 and not false }} {{ 'é😀' | length }} {{ 'x' * 3 }} {{ '<b>' }} {{ '<b>' | e }} {{ '  a ' | trim }}|{{ 'aXbX' | replace('X', 'y') }} {{ 'wrap' | indent(2, true) }} {{ [1, [2]] | tojson }} {{ 1.5 | round }} {{ -3 | abs }} {{ [1, 2, 3, 4] | batch(2) | list }} {{ {'b': 1, 'a': 2} | dictsort }} {{ {'b': 1}.values() | list }} {{ d | items | list | length }} {{ [1, 1, 2] | unique | list }} {{ 'abc' | list }} {{ ['x', 'y'] | join(', ') }} {{ 'a' < 'b' }} {{ [1, 2] == [1, 2] }}
trailing
"""

TOOLS = [{"type": "function", "function": {
    "name": "weather", "description": "The weather <now> & \"here\", größer 你好",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}, "days": {"type": "array", "items": {"type": "integer", "default": 1.5}}},
                   "required": ["place"]}}}]

# `items` is a key of the schema and a method of dictionaries.
ITEMS = """{% for tool in tools %}{% for name, p in tool.function.parameters.properties.items() %}{{ name }}:{{ p.type }}{% if 'items' in p %}({{ p['items'] | tojson }}){% endif %}{% for k, v in p.items() %} {{ k }}{% endfor %};{% endfor %}{% endfor %}"""

USER = [{"role": "user", "content": "Hello there"}]
SYSTEM = [{"role": "system", "content": " Be kind. "}, {"role": "user", "content": " What's \"that\"? <b> é 你好 \n"}]
LONG = SYSTEM + [{"role": "assistant", "content": "<think>\nwell\n</think>\n\nIt is so."}, {"role": "user", "content": "Really?\n"}]
CALLS = USER + [
    {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": {"place": "Köln \"x\"", "days": [1, 2], "z": None, "a": True, "f": 0.1}}}]},
    {"role": "tool", "content": "sunny"}, {"role": "tool", "content": "then rain"}, {"role": "assistant", "content": "Sun."}]

CHATS = [
    ("chatml", CHATML, [USER, SYSTEM, LONG]), ("one_line", ONE_LINE, [USER, SYSTEM, LONG]),
    ("llama", LLAMA_STYLE, [USER, SYSTEM, LONG, CALLS]), ("qwen", QWEN_STYLE, [USER, SYSTEM, LONG, CALLS]),
    ("gemma", GEMMA_STYLE, [USER, SYSTEM, LONG[1:], USER + USER]), ("thinking", THINKING, [USER, LONG]),
    ("corners", CORNERS, [LONG]), ("items", ITEMS, [USER]),
]


def chat_json():
    golden = []
    for name, source, chats in CHATS:
        template = _compile_jinja_template(source)
        rows = []
        for messages in chats:
            for tools in [None, TOOLS]:
                if name == "items" and not tools:
                    continue
                for prompt in [False, True]:
                    try:
                        text = template.render(messages=messages, tools=tools, documents=None, add_generation_prompt=prompt,
                                               bos_token="<s>", eos_token="</s>")
                        row = {"text": text}
                    except Exception as error:
                        row = {"error": str(error)}
                    rows.append({"messages": messages, "tools": tools, "prompt": prompt} | row)
        golden.append({"name": name, "source": source, "rows": rows})
    return golden


def whole_model(path, out):
    from gguf import GGUFReader
    fields = GGUFReader(path).fields
    pre, tokens, types, merges = (fields[f"tokenizer.ggml.{key}"].contents() for key in ["pre", "tokens", "token_type", "merges"])
    SPECIAL[:] = [t for t, kind in zip(tokens, types) if kind == 3]
    USER_DEFINED[:] = [t for t, kind in zip(tokens, types) if kind == 4]
    model = models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=[tuple(m.split(" ")) for m in merges], ignore_merges=pre == "llama-bpe")
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = PRE[pre]
    if pre == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    add_tokens(tokenizer)
    random.seed(3)
    pages = [p.read_text(errors="ignore") for p in sorted(Path("/usr/share/doc").glob("*/copyright"))[:40]]
    everything = ["".join(chr(c) for c in range(a, min(a + 97, 0x30000)) if not 0xD800 <= c < 0xE000) for a in range(0, 0x30000, 97)]
    texts = TEXTS + random_texts(3000) + pages + everything
    golden = {"pre": pre, "tokens": tokens, "types": types, "merges": merges, "encode": encodings(tokenizer, texts), "decode": decodings(tokenizer, 500)}
    Path(out).write_text(json.dumps({"gguf": [golden], "json": {}}))


if len(sys.argv) == 3:
    whole_model(*sys.argv[1:])
else:
    for name, golden in [("tokens.json", tokens_json()), ("chat.json", chat_json())]:
        (HERE / name).write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n")
