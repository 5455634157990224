#!/usr/bin/env python3
"""What Triton's clients see of a server: `triton.py REFERENCE.json GRPC HTTP`. Ends with an assertion, or says that all passed."""

import json
import queue
import sys

import numpy as np
import tritonclient.grpc as grpc_client
import tritonclient.http as http_client
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

MIN_COSINE = 0.99999
DEPLOYMENT = "embedder"
ANSWER_LIMIT_S = 60


def cosines(ours, reference):
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(reference, axis=1)
    return (ours * reference).sum(axis=1) / norms


def expect_error(what, call):
    """The message of a call that must fail."""
    try:
        call()
    except InferenceServerException as error:
        assert what in error.message(), f"{error.message()} does not say {what}"
        return error
    raise AssertionError(f"no error where one should say {what}")


class Checks:
    """The same checks for both clients, whose names are the same."""

    def __init__(self, module, address, reference):
        self.module = module
        self.client = module.InferenceServerClient(address)
        self.reference = reference

    def tensor(self, name, array):
        tensor = self.module.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
        tensor.set_data_from_numpy(array)
        return tensor

    def texts(self):
        return [self.tensor("texts", np.array([text.encode() for text in self.reference["texts"]], dtype=np.object_))]

    def ids(self):
        ids = np.array(self.reference["ids"], dtype=np.int64)
        mask = np.array(self.reference["mask"], dtype=np.int64)
        return [
            self.tensor("input_ids", ids),
            self.tensor("attention_mask", mask),
            self.tensor("token_type_ids", np.zeros_like(ids)),
        ]

    def assert_vectors(self, vectors):
        found = cosines(vectors, np.array(self.reference["vectors"]))
        assert vectors.dtype == np.float32 and (found >= MIN_COSINE).all(), found

    def metadata(self):
        client, model = self.client, self.reference["model"]
        assert client.is_server_live() and client.is_server_ready()
        for name in [DEPLOYMENT, model]:
            assert client.is_model_ready(name) and client.is_model_ready(name, "1")
            assert not client.is_model_ready(name, "2")
        assert not client.is_model_ready("nobody"), "clients wait for models in this way"
        as_json = {} if self.module is http_client else {"as_json": True}
        server = client.get_server_metadata(**as_json)
        assert server["name"] == "wisp" and "model_repository" in server["extensions"], server
        metadata = client.get_model_metadata(model, **as_json)
        assert metadata["inputs"][0]["datatype"] == "INT64", metadata
        assert [int(axis) for axis in metadata["inputs"][0]["shape"]] == [-1, -1], metadata
        config = client.get_model_config(model, **as_json)
        config = config.get("config", config)
        assert config["max_batch_size"] > 0 and config["input"][0]["data_type"] == "TYPE_INT64", config
        index = client.get_model_repository_index(**as_json)
        index = index if isinstance(index, list) else index["models"]
        assert {line["name"]: line["state"] for line in index} == {DEPLOYMENT: "READY", model: "READY"}, index

    def infer(self):
        client, model = self.client, self.reference["model"]
        answer = client.infer(DEPLOYMENT, self.texts(), request_id="one", parameters={"normalize": True})
        self.assert_vectors(answer.as_numpy("embeddings"))
        assert answer.as_numpy("token_counts").dtype == np.uint32
        short = client.infer(DEPLOYMENT, self.texts(), parameters={"dimensions": 64}).as_numpy("embeddings")
        assert short.shape == (2, 64), short.shape
        outputs = [self.module.InferRequestedOutput("sentence_embedding")]
        answer = client.infer(model, self.ids(), model_version="1", outputs=outputs, priority=2, timeout=60_000_000)
        self.assert_vectors(answer.as_numpy("sentence_embedding"))
        assert answer.as_numpy("last_hidden_state") is None
        everything = client.infer(model, self.ids())
        assert everything.as_numpy("last_hidden_state").shape == (2, len(self.reference["ids"][0]), 384)

    def errors(self):
        client, model = self.client, self.reference["model"]
        ids = self.ids()
        expect_error("model `nobody` does not exist", lambda: client.infer("nobody", self.texts()))
        expect_error("has version 1 only", lambda: client.infer(model, ids, model_version="3"))
        wrong_type = self.tensor("input_ids", np.zeros((2, 12), dtype=np.int32))
        expect_error("must be INT64, got INT32", lambda: client.infer(model, [wrong_type, *ids[1:]]))
        wrong_shape = self.tensor("input_ids", np.zeros((24,), dtype=np.int64))
        expect_error("must have shape [-1, -1], got [24]", lambda: client.infer(model, [wrong_shape, *ids[1:]]))
        expect_error("input `attention_mask` is missing", lambda: client.infer(model, [ids[0], ids[2]]))
        wrong_name = self.tensor("text", np.array([b"x"], dtype=np.object_))
        expect_error("input `text` does not exist", lambda: client.infer(DEPLOYMENT, [wrong_name]))
        expect_error("no tenant may change what is in service", lambda: client.unload_model(model))
        assert client.is_model_ready(model), "what was refused changed nothing"


def json_tensors(checks):
    """The HTTP client can send and ask for JSON in place of binary data."""
    texts = http_client.InferInput("texts", [2], "BYTES")
    texts.set_data_from_numpy(np.array(checks.reference["texts"], dtype=np.object_), binary_data=False)
    outputs = [http_client.InferRequestedOutput("embeddings", binary_data=False)]
    checks.assert_vectors(checks.client.infer(DEPLOYMENT, [texts], outputs=outputs).as_numpy("embeddings"))


def stream(checks):
    """Answers come in order; a mistake is told, and the stream goes on."""
    answers = queue.Queue()
    checks.client.start_stream(callback=lambda result, error: answers.put((result, error)))
    for index in range(20):
        name = "nobody" if index == 5 else DEPLOYMENT
        checks.client.async_stream_infer(name, checks.texts(), request_id=str(index))
    for index in range(20):
        result, error = answers.get(timeout=ANSWER_LIMIT_S)
        if index == 5:
            assert result is None and "model `nobody` does not exist" in error.message(), error
        else:
            assert error is None and result.get_response().id == str(index), error
            checks.assert_vectors(result.as_numpy("embeddings"))
    checks.client.stop_stream()


def main():
    reference_file, grpc_address, http_address = sys.argv[1:]
    with open(reference_file, encoding="utf-8") as file:
        reference = json.load(file)
    over_grpc = Checks(grpc_client, grpc_address, reference)
    over_http = Checks(http_client, http_address, reference)
    for checks in [over_grpc, over_http]:
        checks.metadata()
        checks.infer()
        checks.errors()
    json_tensors(over_http)
    stream(over_grpc)
    print("all checks passed")


if __name__ == "__main__":
    main()
