"""What transformers' Jinja makes of llama.cpp's chat templates, for conversations of all kinds.

    make.py FOLDER [TEXTS]

FOLDER holds the *.jinja files (`cargo xtask vectors` fetches them). Writes golden.json: for
each template its SHA-256, and for each conversation the first half of the SHA-256 of the text,
`refuses` where the template itself raises, or `fails` where Python does. TEXTS is a folder for the texts themselves, to look at differences.
Needs transformers (made with 5.23.0) and jinja2 (3.1.6).
"""

import datetime
import hashlib
import json
import pathlib
import sys

import jinja2
from transformers.utils import chat_template_utils as utils

HERE = pathlib.Path(__file__).parent
TODAY = datetime.datetime(2001, 2, 3, 4, 5, 6)


def conversations():
    text = lambda role, content, **more: {"role": role, "content": content, **more}
    user, answer = text("user", "What is 2 + 2?"), text("assistant", "It is 4.")
    system = text("system", "You are brief.")
    odd = [
        text("user", "  <b>Größe</b> & 'quotes' \"two\"\n\n\tΩ 👩‍🚀 {{ x }} {% if %}  \n"),
        text("assistant", "\n<think>\nwell\n</think>\n\n Ja. \u2028</s>\n"),
        text("user", "и?"),
    ]
    weather = {"type": "function", "function": {
        "name": "get_weather",
        "description": "Weather of a <city> & \"more\":\nnow — °C.",
        "parameters": {"type": "object", "properties": {
            "city": {"type": "string", "description": "A city's name"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
            "days": {"type": "integer", "minimum": 1, "maximum": 14.5, "nullable": True},
            "where": {"type": "object", "description": "Coordinates", "properties": {
                "lat": {"type": "number", "default": 0.5}, "lon": {"type": "number"}},
                "required": ["lat"], "additionalProperties": False},
            "tags": {"type": "array", "items": {"type": "string"}},
        }, "required": ["city"]},
        "return": {"type": "string", "description": "A sentence"}}}
    clock = {"type": "function", "function": {
        "name": "clock", "description": "", "parameters": {"type": "object", "properties": {}}}}
    odd_tool = {"type": "function", "function": {"name": "odd", "description": "Odd.", "parameters": {
        "type": "object", "properties": {
            "either": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "integer"}}]},
            "maybe": {"type": ["integer", "null"], "default": None, "minimum": -1e-7, "maximum": 1e16},
            "of": {"$ref": "#/$defs/of"}}, "$defs": {"of": {"type": "boolean"}}}}}
    tools = [weather, clock]
    call = lambda name, arguments, id="call12345": {
        "id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
    calls = lambda *calls, content="", **more: text("assistant", content, tool_calls=list(calls), **more)
    result = lambda content, name="get_weather", id="call12345": text("tool", content, name=name, tool_call_id=id)
    ask = text("user", "Weather in Paris?")
    arguments = {"city": "Pärís <x>", "days": 3, "where": {"lat": 48.85, "lon": -1e-7}, "tags": ["a", "b"], "unit": None, "big": 12345678901234567890, "yes": True, "tiny": 1e22}
    turn = [ask, calls(call("get_weather", {"city": "Paris"})), result("18 °C, <sunny>")]
    thought = text("assistant", "It is 4.", reasoning_content="Two and two.\n")
    parts = [text("user", [{"type": "text", "text": "What"}, {"type": "text", "text": " is it?"}])]
    picture = [text("user", [{"type": "image"}, {"type": "text", "text": "What is it?"}])]
    documents = [{"title": "One", "text": "First <text>."}, {"title": "Zwei", "text": "Second", "doc_id": 2}]

    yield "plain", [user], {}
    yield "plain, no prompt", [user], {"add_generation_prompt": False}
    yield "system", [system, user], {}
    yield "system only", [system], {}
    yield "empty system", [text("system", ""), user], {}
    yield "turns", [user, answer, ask], {}
    yield "turns, system", [system, user, answer, ask, answer, user], {}
    yield "ends with an answer", [system, user, answer], {"add_generation_prompt": False}
    yield "odd texts", odd, {}
    yield "odd texts, no prompt", odd + [text("assistant", " <think></think> </think> x ")], {"add_generation_prompt": False}
    yield "nothing", [], {}
    yield "assistant first", [answer, user], {}
    yield "two users", [user, ask], {}
    yield "late system", [user, system, ask], {}
    yield "two systems", [system, text("system", "And kind."), user], {}
    yield "developer", [text("developer", "Be brief."), user], {}
    yield "unknown role", [text("critic", "Hm.", name="Bob"), user], {}
    yield "empty answer", [user, text("assistant", ""), ask], {}
    yield "null answer", [user, text("assistant", None), ask], {}
    yield "no content", [user, {"role": "assistant"}, ask], {}
    yield "parts", parts, {}
    yield "parts everywhere", [text("system", [{"type": "text", "text": "Brief."}])] + parts + [text("assistant", [{"type": "text", "text": "Odd."}]), user], {}
    yield "picture", picture, {}
    yield "tools", [ask], {"tools": tools}
    yield "tools, system", [system, ask], {"tools": tools}
    yield "odd tool", [ask], {"tools": [odd_tool, clock]}
    yield "functions", [ask], {"tools": tools, "functions": json.dumps(tools), "datetime": "noon"}
    yield "no tools", [ask], {"tools": []}
    yield "bare tool", [ask], {"tools": [clock["function"]]}
    yield "call", [ask, calls(call("get_weather", arguments))], {"tools": tools, "add_generation_prompt": False}
    yield "call as text", [ask, calls(call("get_weather", json.dumps(arguments)))], {"tools": tools, "add_generation_prompt": False}
    yield "call without tools", turn, {}
    yield "call, result", turn, {"tools": tools}
    yield "call, result as text", [ask, calls(call("get_weather", '{"city": "Paris"}')), result('{"t": 18}')], {"tools": tools}
    yield "call, result, system", [system] + turn + [text("assistant", "Sunny."), user], {"tools": tools}
    yield "call with text", [ask, calls(call("clock", {}), content="Let me look. "), result("12:00", "clock")], {"tools": tools}
    yield "null content with call", [ask, calls(call("clock", {}), content=None), result("12:00", "clock")], {"tools": tools}
    yield "two calls", [system, ask, calls(call("get_weather", {"city": "Paris"}, "callaaaaa"), call("clock", {}, "callbbbbb")), result("18", "get_weather", "callaaaaa"), result("12:00", "clock", "callbbbbb"), text("assistant", "18, noon."), user], {"tools": tools}
    yield "result is an object", [ask, calls(call("get_weather", {"city": "Paris"})), result({"t": 18.0, "ok": True, "sky": None})], {"tools": tools}
    yield "result is parts", [ask, calls(call("get_weather", {"city": "Paris"})), result([{"type": "text", "text": "18"}])], {"tools": tools}
    yield "bare call", [ask, text("assistant", "", tool_calls=[{"name": "clock", "arguments": {}}]), text("tool", "12:00")], {"tools": tools}
    yield "calls over turns", turn + [calls(call("clock", {"zone": "CET"}, "callbbbbb")), result("12:00", "clock", "callbbbbb"), text("assistant", "Noon."), user, calls(call("clock", {})), result("12:01", "clock")], {"tools": tools}
    yield "reasoning", [user, thought, ask], {}
    yield "reasoning at the end", [user, thought], {"add_generation_prompt": False}
    yield "reasoning by its other name", [user, text("assistant", "4", thinking="Hm."), ask, text("assistant", "5", reasoning="Oh.")], {"add_generation_prompt": False}
    yield "reasoning and call", [ask, calls(call("get_weather", {"city": "Paris"}), reasoning_content="I look."), result("18")], {"tools": tools}
    yield "reasoning and call, twice", [user, thought] + [ask, calls(call("clock", {}), reasoning_content="A"), result("1", "clock"), calls(call("clock", {}), reasoning_content="B"), result("2", "clock"), text("assistant", "Two.", reasoning_content="C")], {"tools": tools, "add_generation_prompt": False}
    for flag in [True, False]:
        yield f"thinking {flag}", [user, thought, ask], {"enable_thinking": flag, "thinking": flag}
        yield f"thinking {flag}, tools", [system] + turn, {"enable_thinking": flag, "thinking": flag, "tools": tools}
        yield f"kept thoughts {flag}", [user, thought, ask, thought, user], {"preserve_thinking": flag, "keep_thinking": flag, "clear_thinking": not flag, "truncate_history_thinking": not flag, "drop_thinking": not flag, "preserved_thinking": flag}
    for effort in ["none", "low", "medium", "high"]:
        yield f"effort {effort}", [system, user, thought, ask], {"reasoning_effort": effort, "reasoning_strength": effort}
    yield "thinking mode", [user], {"thinking_mode": "chat"}
    yield "thinking budget", [user], {"thinking_budget": 512}
    yield "no thinking budget", [user, thought, ask], {"thinking_budget": 0}
    yield "documents", [user], {"documents": documents}
    yield "documents, tools", [system, user], {"documents": documents, "tools": tools, "available_tools": tools, "citations": True}
    yield "controls", [user], {"controls": {"length": "short", "originality": "abstractive"}, "documents": documents}
    yield "built-in tools", [system, ask], {"builtin_tools": ["browser", "python", "brave_search", "wolfram_alpha", "code_interpreter"], "tools": tools, "date_string": "1 Jan 2001", "tools_in_user_message": False}
    yield "response format", [user], {"response_format": {"type": "json_object", "json_schema": {"a": [1, 2.5, None]}}, "response_schema": {"a": 1}}
    yield "tool choice", [ask], {"tools": tools, "tool_choice": "required", "model_identity": "You are Wisp.", "knowledge_cutoff": "2001-01"}


def render(template, messages, more):
    """The text, or how and why there is none."""
    more = {"add_generation_prompt": True, "tools": None, "documents": None, **more}
    try:
        # As render_jinja_template does, with a day of our own.
        messages = utils._alias_reasoning_fields(utils._plain_template_data(messages))
        return template.render(messages=messages, bos_token="<s>", eos_token="</s>",
                               strftime_now=TODAY.strftime, **more)
    except Exception as error:
        kind = "refuses" if type(error) is jinja2.exceptions.TemplateError else "fails"
        return kind, f"{type(error).__name__}: {error}"


def main():
    folder, texts = pathlib.Path(sys.argv[1]), sys.argv[2:]
    cases = [{"name": name, "messages": messages, **more} for name, messages, more in conversations()]
    templates = {}
    for path in sorted(folder.glob("*.jinja")):
        source = path.read_text(encoding="utf-8")
        compiled = utils._compile_jinja_template(source)
        results = []
        for case in cases:
            more = {key: value for key, value in case.items() if key not in ("name", "messages")}
            text = render(compiled, case["messages"], more)
            hashed = lambda text: hashlib.sha256(text.encode()).hexdigest()
            results.append(text[0] if isinstance(text, tuple) else hashed(text)[:32])
            if texts:
                into = pathlib.Path(texts[0], path.stem)
                into.mkdir(parents=True, exist_ok=True)
                (into / f"{case['name']}.txt").write_text(f"{text[0]} {text[1]}" if isinstance(text, tuple) else text, encoding="utf-8", newline="")
        templates[path.stem] = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "results": results}
        print(path.stem, *(f"{kind} {results.count(kind)}," for kind in ("refuses", "fails")), "of", len(results))
    lines = lambda items: ",\n".join(items)
    dump = lambda value: json.dumps(value, ensure_ascii=False)
    text = '{"cases": [\n' + lines(map(dump, cases)) + '\n],\n"templates": {\n'
    text += lines(f"{dump(name)}: {dump(value)}" for name, value in templates.items()) + "\n}}\n"
    (HERE / "golden.json").write_text(text, encoding="utf-8")


main()
