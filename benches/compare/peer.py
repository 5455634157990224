#!/usr/bin/env python3
"""One peer in one precision under one load: texts in, vectors out, tokenising included. Prints a JSON object.

With one text in flight each is an inference of its own. With more, so many texts are taken at a time, as a server has them waiting,
sorted by length and cut into batches of a bounded size: the best that one can do in process without waiting for further texts.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np

MODEL_TOKENS = 256

# Rows × longest row of one inference. Larger ones are no faster on processors, and pad more.
BATCH_TOKENS = 1024

WARM_UP_S = 1.0

# How close vectors must come to f32, by precision: the tolerances of the model's manifest.
MIN_COSINE = {"f32": 0.99999, "bf16": 0.9995, "int8": 0.995}


class Skipped(Exception):
    """Why this peer cannot be measured here."""


def load_tokenizer(files):
    """The tokenizer of the model, without the padding that its file asks for."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(files / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MODEL_TOKENS)
    return tokenizer


def padded(rows):
    """Inputs of the model for some encodings: padded to the longest."""
    longest = max(len(row.ids) for row in rows)
    ids = np.zeros((len(rows), longest), dtype=np.int64)
    mask = np.zeros_like(ids)
    for index, row in enumerate(rows):
        ids[index, : len(row.ids)] = row.ids
        mask[index, : len(row.ids)] = 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def onnxruntime(files):
    """ONNX Runtime in f32, with as many threads as there are processors."""
    import onnxruntime as ort

    session = ort.InferenceSession(str(files / "model.onnx"), providers=["CPUExecutionProvider"])
    return f"ONNX Runtime {ort.__version__}", lambda inputs: session.run(["sentence_embedding"], inputs)[0]


def openvino(files, precision):
    """OpenVINO with a hint of precision; quantised weights are a file of their own."""
    import openvino as ov

    core = ov.Core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise Skipped("the processor does not compute in bf16")
    file = files / ("model-int8.onnx" if precision == "int8" else "model.onnx")
    if not file.is_file():
        raise Skipped(f"{file.name} is not in the cache folder")
    hints = {"PERFORMANCE_HINT": "LATENCY"}
    if precision != "int8":
        hints["INFERENCE_PRECISION_HINT"] = precision
    compiled = core.compile_model(core.read_model(file), "CPU", hints)
    request, output = compiled.create_infer_request(), compiled.output("sentence_embedding")
    version = ov.__version__.split("-")[0]
    return f"OpenVINO {version}", lambda inputs: request.infer(inputs, share_inputs=True)[output]


def batches(rows, limit):
    """Indices of rows, shortest first, in batches of at most BATCH_TOKENS padded tokens."""
    order = sorted(range(len(rows)), key=lambda index: len(rows[index].ids))
    batch = []
    for index in order:
        longest = len(rows[index].ids)
        if batch and ((len(batch) + 1) * longest > BATCH_TOKENS or len(batch) >= limit):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def embedder(system, precision, files):
    """A name, and a function of texts to vectors."""
    if system == "sentence-transformers":
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer("sentence-transformers/all-MiniLM-L6-v2", device="cpu")
        encode = lambda texts: model.encode(texts, batch_size=32, normalize_embeddings=True, show_progress_bar=False)
        return "sentence-transformers", encode
    tokenizer = load_tokenizer(files)
    name, infer = onnxruntime(files) if system == "onnxruntime" else openvino(files, precision)

    def embed(texts):
        rows = tokenizer.encode_batch(texts)
        vectors = [None] * len(rows)
        for batch in batches(rows, len(rows)):
            answers = infer(padded([rows[index] for index in batch]))
            for index, vector in zip(batch, answers):
                vectors[index] = np.array(vector)
        return vectors

    return name, embed


def reference(texts, files):
    """The vectors of all texts, one at a time, in f32."""
    tokenizer = load_tokenizer(files)
    _, infer = onnxruntime(files)
    return [np.array(infer(padded([tokenizer.encode(text)]))[0]) for text in texts]


def cosine(a, b):
    """Cosine of two vectors."""
    return float(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))


def measure(arguments):
    """Embeds texts, so many at a time, for some seconds, and checks every vector."""
    files = Path(arguments.files)
    texts = Path(arguments.texts).read_text().splitlines()
    name, embed = embedder(arguments.system, arguments.precision, files)
    expected = reference(texts, files)
    least, position, count, times = 1.0, 0, 0, []
    begun = time.perf_counter()
    warm = begun + WARM_UP_S
    spent = 0.0
    while spent < arguments.seconds:
        indices = [(position + offset) % len(texts) for offset in range(arguments.batch)]
        position += arguments.batch
        started = time.perf_counter()
        vectors = embed([texts[index] for index in indices])
        elapsed = time.perf_counter() - started
        # Checking is not timed: it is the measurement's, not the peer's.
        least = min([least, *(cosine(vector, expected[index]) for index, vector in zip(indices, vectors))])
        if started >= warm:
            times.append(elapsed)
            count += len(indices)
            spent += elapsed
    if not least >= MIN_COSINE[arguments.precision]:
        raise SystemExit(f"{name} in {arguments.precision}: cosine {least} to its reference")
    return {
        "name": f"{name} {arguments.precision}, Python, in process",
        "texts_per_s": count / sum(times),
        "p50_ms": statistics.median(times) * 1e3,
        "p99_ms": sorted(times)[int(len(times) * 0.99)] * 1e3,
        "min_cosine": least,
    }


def main():
    """Measures what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system")
    parser.add_argument("--precision", required=True, choices=sorted(MIN_COSINE))
    parser.add_argument("--texts", required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--files", required=True)
    try:
        print(json.dumps(measure(parser.parse_args())))
    except Skipped as reason:
        print(json.dumps({"skipped": str(reason)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
