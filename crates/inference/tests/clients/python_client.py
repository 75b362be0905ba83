"""The unmodified `openai` and `tinfoil-ehbp` packages against a running instance: BASE MODEL."""

import sys

import ehbp
import httpx
from openai import BadRequestError, NotFoundError, OpenAI

base, model = sys.argv[1], sys.argv[2]
question = [{"role": "user", "content": "What is the capital of France?"}]


def check(client, label):
    whole = client.chat.completions.create(model=model, messages=question, temperature=0, max_tokens=24)
    text = whole.choices[0].message.content
    assert whole.usage.completion_tokens > 0
    stream = client.chat.completions.create(
        model=model, messages=question, temperature=0, max_tokens=24, stream=True,
        stream_options={"include_usage": True},
    )
    parts, usage = [], None
    for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            parts.append(chunk.choices[0].delta.content)
        usage = chunk.usage or usage
    assert "".join(parts) == text, (parts, text)
    assert usage.completion_tokens == whole.usage.completion_tokens
    try:
        client.chat.completions.create(model=model, messages=question, n=2)
        raise SystemExit("n=2 was accepted")
    except BadRequestError as error:
        assert error.param == "n", error
    try:
        client.chat.completions.create(model="another", messages=question)
        raise SystemExit("a foreign model was accepted")
    except NotFoundError as error:
        assert error.code == "model_not_found", error
    print(label, "ok:", repr(text))


plain = OpenAI(base_url=f"{base}/v1", api_key="any-token", max_retries=0)
assert [entry.id for entry in plain.models.list()] == [model]
check(plain, "openai")

discovered = ehbp.Client.discover(base)
identity = discovered.server_identity
transport = ehbp.EHBPTransport(identity, inner=httpx.HTTPTransport())
sealed = OpenAI(base_url=f"{base}/v1", api_key="any-token", max_retries=0, http_client=httpx.Client(transport=transport))
check(sealed, "ehbp")
