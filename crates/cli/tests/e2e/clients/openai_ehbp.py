"""The OpenAI SDK, unmodified, in plain and over tinfoil-ehbp: answers whole and streamed.

Usage: python openai_ehbp.py API_URL
"""

import sys

import ehbp
import httpx
from openai import OpenAI

URL = sys.argv[1]


def check(name, client):
    model = client.models.list().data[0].id
    said = [{"role": "user", "content": "Say hello."}]
    whole = client.chat.completions.create(model=model, messages=said, max_tokens=8, temperature=0)
    assert whole.choices[0].message.content, whole
    assert whole.usage.completion_tokens >= 1
    stream = client.chat.completions.create(model=model, messages=said, max_tokens=8, temperature=0, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text == whole.choices[0].message.content, (text, whole)
    print(f"openai: {name}: {text!r}", flush=True)


check("plain", OpenAI(base_url=f"{URL}/v1", api_key="any"))
found = ehbp.Client.discover(URL)
transport = ehbp.EHBPTransport(found.server_identity, inner=httpx.HTTPTransport())
check("ehbp", OpenAI(base_url=f"{URL}/v1", api_key="any", http_client=httpx.Client(transport=transport)))
