#!/usr/bin/env python3
"""A client of Wisp: embeds texts over gRPC and prints each text's nearest neighbour.

The call itself is four lines, in `embed`; the rest is reading texts and showing results.
"""

import argparse
import math
import os
import sys
import time
from pathlib import Path

import grpc

PROTO_FOLDER = Path(__file__).resolve().parents[3] / "proto"
CONNECT_LIMIT_S = 5.0
RESPONSE_LIMIT_BYTES = 64 << 20

# Comparing each text with every other takes the square of their number, and seconds from here on.
NEIGHBOUR_TEXTS = 200


class ClientError(Exception):
    """What went wrong, as the user should read it."""


def load_protocol():
    """Reads the service's .proto; grpcio-tools compiles it in memory."""
    sys.path.insert(0, str(PROTO_FOLDER))
    return grpc.protos_and_services("wisp/v1/inference.proto")


def embed(endpoint, deployment, texts):
    """One call: all texts in one message, all embeddings in the answer. Returns it with the nanoseconds it took."""
    messages, services = load_protocol()
    if not endpoint.startswith("http://"):
        raise ClientError(f"`{endpoint}` is no endpoint; one looks like http://127.0.0.1:50051")
    # gRPC for Python names a server by host and port alone.
    target = endpoint.removeprefix("http://")
    options = [("grpc.max_receive_message_length", RESPONSE_LIMIT_BYTES)]
    with grpc.insecure_channel(target, options=options) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=CONNECT_LIMIT_S)
        except grpc.FutureTimeoutError:
            raise ClientError(f"cannot reach {endpoint}; is `wisp serve` running there?") from None
        stub = services.InferenceServiceStub(channel)
        try:
            started = time.perf_counter_ns()
            response = stub.Embed(messages.EmbedRequest(deployment=deployment, texts=texts))
            return response, time.perf_counter_ns() - started
        except grpc.RpcError as error:
            raise ClientError(f"{error.code().name}: {error.details()}") from None


def cosine(a, b):
    """Cosine of the angle between two vectors; 0 when one has no length."""
    lengths = math.hypot(*a) * math.hypot(*b)
    return sum(x * y for x, y in zip(a, b)) / lengths if lengths > 0 else 0.0


def nearest(vectors):
    """For each vector the index of its nearest neighbour among the others and their cosine; None for a single one."""
    found = []
    if len(vectors) > NEIGHBOUR_TEXTS:
        return [None] * len(vectors)
    for index, vector in enumerate(vectors):
        others = [(cosine(vector, other), -position) for position, other in enumerate(vectors) if position != index]
        best = max(others, default=None)
        found.append(best and (-best[1], best[0]))
    return found


def readable_time(ns):
    """Nanoseconds in the unit that fits."""
    for unit, unit_ns in (("s", 10**9), ("ms", 10**6)):
        if ns >= unit_ns:
            return f"{ns / unit_ns:.2f} {unit}"
    return f"{ns // 1000} µs" if ns >= 1000 else f"{ns} ns"


def printable(text):
    """The text without what would move the cursor or colour the terminal."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def report(texts, response, round_trip_ns):
    """The answer, as a person wants to read it."""
    texts = [printable(text) for text in texts]
    vectors = [embedding.values for embedding in response.embeddings]
    rows = [("text", "nearest neighbour", "cosine")]
    for text, neighbour in zip(texts, nearest(vectors)):
        rows.append((text, texts[neighbour[0]], f"{neighbour[1]:.3f}") if neighbour else (text, "–", "–"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [f"{row[0]:{widths[0]}} │ {row[1]:{widths[1]}} │ {row[2]:>{widths[2]}}" for row in rows]
    lines.insert(1, "─┼─".join("─" * width for width in widths))

    if len(vectors) > NEIGHBOUR_TEXTS:
        lines.append(f"(no neighbours: they are looked for among {NEIGHBOUR_TEXTS} texts at most)")

    timing, placement = response.timing, response.placement
    stages = " · ".join(
        f"{stage} {readable_time(getattr(timing, stage + '_ns'))}"
        for stage in ("queue", "tokenize", "guest", "gather", "infer", "total")
    )
    dimensions = len(vectors[0]) if vectors else 0
    lines += [
        "",
        f"  result   {len(vectors)} vector{'s' if len(vectors) != 1 else ''} of {dimensions} dimensions, {response.usage.tokens} tokens",
        f"  ran on   {placement.model} by {placement.backend} on {placement.device} in {placement.precision}",
        f"  time     {stages} · with the network {readable_time(round_trip_ns)}",
    ]
    return "\n".join(lines)


def read_texts(arguments):
    """The texts of the command line, with `-` replaced by the lines of standard input."""
    texts = []
    for argument in arguments:
        if argument == "-":
            texts += [line.rstrip("\n") for line in sys.stdin if line.strip()]
        else:
            texts.append(argument)
    if not texts:
        raise ClientError("standard input holds no text")
    for text in texts:
        # Python smuggles bytes that are no UTF-8 into texts as lone surrogates; no message can carry those.
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise ClientError("a text or standard input is not UTF-8")
    return texts


def main():
    parser = argparse.ArgumentParser(description="Embed texts over gRPC and show which are closest to each other.")
    parser.add_argument("--endpoint", default=os.environ.get("WISP_ENDPOINT", "http://127.0.0.1:50051"))
    parser.add_argument(
        "--deployment",
        default=os.environ.get("WISP_DEPLOYMENT", ""),
        help="deployment to call; without it, the server's only one or `embedder`",
    )
    parser.add_argument("texts", nargs="+", metavar="TEXT", help="a text; `-` reads one a line from standard input")
    arguments = parser.parse_args()
    try:
        texts = read_texts(arguments.texts)
        response, round_trip_ns = embed(arguments.endpoint, arguments.deployment, texts)
        print(report(texts, response, round_trip_ns), flush=True)
    except BrokenPipeError:
        # Who reads has seen enough. Python flushes once more when it ends, into nothing then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except ClientError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
