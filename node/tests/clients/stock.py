"""The stock Python client against a running node: OPENLEDGER_URL, OPENLEDGER_KEY, OPENLEDGER_MODEL."""

import base64
import json
import os
import struct
import urllib.request

import openai

URL = os.environ["OPENLEDGER_URL"]
MODEL = os.environ["OPENLEDGER_MODEL"]
PROMPT = "contract Token {"

client = openai.OpenAI(base_url=f"{URL}/v1", api_key=os.environ["OPENLEDGER_KEY"], max_retries=0)
MESSAGES = [{"role": "system", "content": "Solidity only."}, {"role": "user", "content": PROMPT}]
passed = 0


def done(what):
    global passed
    passed += 1
    print(f"  python: {what}")


def get(path):
    with urllib.request.urlopen(f"{URL}{path}") as answer:
        return json.load(answer)


def chat(**more):
    fields = {"model": MODEL, "messages": MESSAGES, "max_tokens": 12, "seed": 7, **more}
    return client.chat.completions.create(**fields)


def refused(kind, code, **more):
    try:
        chat(**more)
    except kind as error:
        assert error.code == code, (error.code, code)
        return error
    raise AssertionError(f"{code}: it was answered")


# Models
models = client.models.list().data
assert any(model.id == MODEL for model in models), models
named = next(model for model in models if model.id == MODEL).name
assert client.models.retrieve(MODEL).id == MODEL
done("models")

# A chat, with what was recorded and charged
answer = chat()
text = answer.choices[0].message.content
assert answer.object == "chat.completion" and answer.choices[0].finish_reason in ("stop", "length")
usage = answer.usage
assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
assert 0 < usage.completion_tokens <= 12
statement = answer.model_extra["openledger"]
digest = statement["record"]["voucherDigest"]
assert answer.id == f"chatcmpl-{digest[2:]}"
assert int(statement["receipt"]["tokensOut"]) == usage.completion_tokens
assert int(statement["receipt"]["fee"]) > 0
assert len(statement["contributors"]) > 0
assert get(f"/v1/records/{digest}")["receipt"] == statement["receipt"]
done("chat")

# The same streamed, with usage
pieces, last = [], None
for chunk in chat(stream=True, stream_options={"include_usage": True}):
    if chunk.choices:
        pieces.append(chunk.choices[0].delta.content or "")
    last = chunk
assert "".join(pieces) == text, (pieces, text)
assert last.usage.completion_tokens == usage.completion_tokens
done("stream")

# Through the client's own helper, which puts chunks together
with client.chat.completions.stream(model=MODEL, messages=MESSAGES, max_tokens=12, seed=7) as stream:
    stream.until_done()
    # Not get_final_completion, which raises where the answer ends at max_tokens.
    assert stream.current_completion_snapshot.choices[0].message.content == text
done("stream helper")

# By name, by routing, with other names for the same fields
assert chat(model=named).choices[0].message.content == text
assert chat(model="auto").choices[0].message.content == text
newer = chat(max_tokens=openai.NOT_GIVEN, max_completion_tokens=12, user="someone")
assert newer.choices[0].message.content == text
done("names")

# Choices, probabilities, stops, biases
several = chat(n=3, temperature=1.2)
assert [choice.index for choice in several.choices] == [0, 1, 2]
assert len(several.model_extra["openledger"]["calls"]) == 3
done("n")
told = chat(logprobs=True, top_logprobs=4, temperature=0)
content = told.choices[0].logprobs.content
shown = b"".join(bytes(token.bytes) for token in content)
assert shown.decode(errors="replace") == told.choices[0].message.content
assert all(len(token.top_logprobs) == 4 and token.logprob <= 0 for token in content)
done("logprobs")
letter = told.choices[0].message.content.strip()[0]
stopped = chat(temperature=0, stop=[letter])
assert letter not in stopped.choices[0].message.content and stopped.choices[0].finish_reason == "stop"
done("stop")

# An answer that must be JSON
schema = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "size": {"type": "integer", "maximum": 99,
                                                                          "minimum": 0}},
    "required": ["name", "size"],
    "additionalProperties": False,
}
form = {"type": "json_schema", "json_schema": {"name": "contract", "schema": schema, "strict": True}}
value = json.loads(chat(response_format=form, max_tokens=60).choices[0].message.content)
assert set(value) == {"name", "size"} and isinstance(value["size"], int), value
done("json_schema")

# Completions
plain = client.completions.create(model=MODEL, prompt=PROMPT, max_tokens=8, temperature=0, logprobs=2)
assert plain.object == "text_completion" and plain.choices[0].logprobs.tokens
parts = client.completions.create(model=MODEL, prompt=PROMPT, max_tokens=8, temperature=0, stream=True)
assert "".join(part.choices[0].text for part in parts) == plain.choices[0].text
both = client.completions.create(model=MODEL, prompt=[PROMPT, "library"], max_tokens=4, temperature=0)
assert len(both.choices) == 2
done("completions")

# Embeddings: the client asks for base64 by itself
vectors = client.embeddings.create(model="auto", input=[PROMPT, "library Math"])
one = vectors.data[0].embedding
assert abs(sum(value * value for value in one) - 1) < 1e-4 and vectors.usage.total_tokens > 0
as_floats = client.embeddings.create(model="auto", input=PROMPT, encoding_format="float").data[0].embedding
assert max(abs(a - b) for a, b in zip(one, as_floats)) < 1e-7
packed = client.embeddings.create(model="auto", input=PROMPT, encoding_format="base64").data[0].embedding
assert list(struct.unpack(f"<{len(one)}f", base64.b64decode(packed))) == list(one)
done("embeddings")

# Errors, as the client's own classes
refused(openai.NotFoundError, "model_not_found", model="nobodys")
refused(openai.BadRequestError, "invalid_value", temperature=3)
error = refused(openai.BadRequestError, "invalid_value", tools=[
    {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}])
assert error.param == "tools"
wrong = openai.OpenAI(base_url=f"{URL}/v1", api_key="wrong", max_retries=0)
try:
    wrong.models.list()
    raise AssertionError("a wrong key was taken")
except openai.AuthenticationError as error:
    assert error.code == "invalid_api_key"
done("errors")

print(f"python client {openai.__version__}: {passed} passed, 0 failed")
