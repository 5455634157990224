#!/usr/bin/env python3
"""OpenAI's client against Wisp: embeds the texts that are its arguments and prints the vectors as JSON."""

import json
import sys

import openai

base_url, texts = sys.argv[1], sys.argv[2:]
# The client cannot be without a key; the server looks at none where it has no tenants.
client = openai.OpenAI(base_url=base_url, api_key="unused", max_retries=0)

# It asks for base64 and decodes it.
by_base64 = client.embeddings.create(model="embedder", input=texts, user="somebody")
by_numbers = client.embeddings.create(model="embedder", input=texts, encoding_format="float")
assert [item.index for item in by_base64.data] == list(range(len(texts)))
for a, b in zip(by_base64.data, by_numbers.data):
    assert max(abs(x - y) for x, y in zip(a.embedding, b.embedding)) < 1e-4
assert by_base64.usage.prompt_tokens == by_base64.usage.total_tokens > len(texts)
assert by_base64.model == "embedder" and by_base64.object == "list"

short = client.embeddings.create(model="embedder", input=texts[0], dimensions=64)
assert len(short.data) == 1 and len(short.data[0].embedding) == 64
tokens = client.embeddings.create(model="embedder", input=[[101, 4937, 102], [101, 3899, 102]])
assert len(tokens.data) == 2 and tokens.usage.prompt_tokens == 6
assert len(client.embeddings.create(model="embedder", input=[101, 4937, 102]).data) == 1

assert [model.id for model in client.models.list()] == ["embedder"]
assert client.models.retrieve("embedder").owned_by == "wisp"


def refused(kind, **arguments):
    """The error that a request ends with, which must be of this kind."""
    try:
        client.embeddings.create(**{"model": "embedder", "input": "a", **arguments})
    except kind as error:
        return error
    raise AssertionError(f"{arguments} is answered")


unknown = refused(openai.NotFoundError, model="nobody")
assert unknown.code == "model_not_found" and unknown.param == "model" and "`embedder`" in unknown.message
assert "no texts" in refused(openai.BadRequestError, input=[]).message
assert "blank" in refused(openai.BadRequestError, input=["a", " "]).message
assert "4096" in refused(openai.BadRequestError, dimensions=4096).message
mixed = refused(openai.BadRequestError, input=["a", 1])
assert mixed.type == "invalid_request_error" and mixed.param == "input[1]", mixed

json.dump([item.embedding for item in by_base64.data], sys.stdout)
