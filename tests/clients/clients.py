"""Python clients against `wisp serve`, unchanged: openai, anthropic, ollama, langchain, litellm.

usage: clients.py BASE_URL CHAT_MODEL EMBEDDING_MODEL
"""

import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # It would fetch a table of prices.

import anthropic
import litellm
import ollama
import openai
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

BASE, MODEL, ENCODER = sys.argv[1:4]
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
ANSWER = "The capital of France is Paris."


def openai_client():
    client = openai.OpenAI(base_url=f"{BASE}/v1", api_key="none", max_retries=0)
    assert {model.id for model in client.models.list()} == {MODEL, ENCODER}
    asked = {"model": MODEL, "messages": QUESTION, "temperature": 0, "max_tokens": 12}
    whole = client.chat.completions.create(**asked, logprobs=True, top_logprobs=2)
    assert whole.choices[0].message.content == ANSWER, whole
    assert whole.choices[0].finish_reason == "stop"
    logprobs = whole.choices[0].logprobs.content
    assert "".join(one.token for one in logprobs).startswith(ANSWER), logprobs
    assert all(len(one.top_logprobs) == 2 for one in logprobs)
    chunks = list(
        client.chat.completions.create(
            **asked, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == ANSWER, text
    assert chunks[-1].usage == whole.usage or chunks[-1].usage.total_tokens == whole.usage.total_tokens
    plain = client.completions.create(
        model=MODEL, prompt="One, two, three,", max_tokens=3, temperature=0
    )
    assert plain.choices[0].text.strip().startswith("four"), plain
    # Its default is base64; floats must come to the same.
    one = client.embeddings.create(model=ENCODER, input=["A cat sat.", "A dog lay."])
    two = client.embeddings.create(
        model=ENCODER, input=["A cat sat.", "A dog lay."], encoding_format="float"
    )
    assert len(one.data) == 2 and len(one.data[0].embedding) == 384
    for left, right in zip(one.data, two.data):
        assert all(abs(a - b) < 1e-6 for a, b in zip(left.embedding, right.embedding))
    for wrong, error in [
        ({"model": "gpt-5"}, openai.NotFoundError),
        ({"temperature": 9}, openai.BadRequestError),
        ({"messages": []}, openai.BadRequestError),
        ({"response_format": {"type": "json_object"}}, openai.BadRequestError),
    ]:
        try:
            client.chat.completions.create(**{**asked, **wrong})
        except error:
            continue
        raise AssertionError(f"{wrong} was taken")


def responses_client():
    client = openai.OpenAI(base_url=f"{BASE}/v1", api_key="none", max_retries=0)
    asked = {"model": MODEL, "temperature": 0, "max_output_tokens": 12}
    question = QUESTION[0]["content"]
    whole = client.responses.create(**asked, input=question)
    assert whole.output_text == ANSWER and whole.status == "completed", whole
    events = list(client.responses.create(**asked, input=question, stream=True))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == ANSWER and events[-1].response.output_text == ANSWER
    again = client.responses.create(**asked, input="Why?", previous_response_id=whole.id)
    assert again.usage.input_tokens > whole.usage.total_tokens, again.usage


def anthropic_client():
    client = anthropic.Anthropic(base_url=BASE, api_key="none", max_retries=0)
    # Drawn by the likeliest token alone.
    asked = {"model": MODEL, "max_tokens": 12, "messages": QUESTION, "extra_body": {"top_k": 1}}
    whole = client.messages.create(**asked)
    assert whole.content[0].text == ANSWER and whole.stop_reason == "end_turn", whole
    with client.messages.stream(**asked) as stream:
        assert "".join(stream.text_stream) == ANSWER
        assert stream.get_final_message().usage.output_tokens == whole.usage.output_tokens
    stopped = client.messages.create(**asked, stop_sequences=["France"])
    assert stopped.content[0].text == "The capital of " and stopped.stop_sequence == "France"
    count = client.messages.count_tokens(model=MODEL, messages=QUESTION).input_tokens
    cached = whole.usage.cache_read_input_tokens or 0
    assert count == whole.usage.input_tokens + cached, (count, whole.usage)
    try:
        client.messages.create(**{**asked, "model": "claude"})
    except anthropic.NotFoundError:
        return
    raise AssertionError("a model that is not here was taken")


def ollama_client():
    client = ollama.Client(host=BASE)
    assert MODEL in [model.model for model in client.list().models]
    assert client.show(MODEL).capabilities == ["completion"]
    options = {"num_predict": 12, "temperature": 0}
    whole = client.chat(model=MODEL, messages=QUESTION, options=options)
    assert whole.message.content == ANSWER and whole.done_reason == "stop", whole
    stream = client.chat(model=f"{MODEL}:latest", messages=QUESTION, options=options, stream=True)
    assert "".join(part.message.content for part in stream) == ANSWER
    raw = client.generate(model=MODEL, prompt="One, two, three,", raw=True, options=options)
    assert raw.response.strip().startswith("four"), raw
    vectors = client.embed(model=ENCODER, input=["A cat sat.", "A dog lay."]).embeddings
    assert len(vectors) == 2 and len(vectors[0]) == 384
    assert client.ps().models
    try:
        client.chat(model="llama", messages=QUESTION)
    except ollama.ResponseError as error:
        assert error.status_code == 404
        return
    raise AssertionError("a model that is not here was taken")


def langchain_client():
    chat = ChatOpenAI(
        base_url=f"{BASE}/v1", api_key="none", model=MODEL, temperature=0, max_tokens=12, max_retries=0
    )
    assert chat.invoke("What is the capital of France?").content == ANSWER
    parts = chat.stream("What is the capital of France?")
    assert "".join(part.content for part in parts) == ANSWER
    embeddings = OpenAIEmbeddings(base_url=f"{BASE}/v1", api_key="none", model=ENCODER,
                                  check_embedding_ctx_length=False)
    assert len(embeddings.embed_query("A cat sat.")) == 384


def litellm_client():
    asked = {"model": f"openai/{MODEL}", "api_base": f"{BASE}/v1", "api_key": "none",
             "messages": QUESTION, "max_tokens": 12, "temperature": 0}
    assert litellm.completion(**asked).choices[0].message.content == ANSWER
    parts = litellm.completion(**asked, stream=True)
    assert "".join(part.choices[0].delta.content or "" for part in parts) == ANSWER


CHECKS = [
    openai_client, responses_client, anthropic_client, ollama_client, langchain_client, litellm_client
]
for check in CHECKS:
    check()
    print(f"{check.__name__.removesuffix('_client')}: as it should be", flush=True)
