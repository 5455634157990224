#!/usr/bin/env python3
"""Wisp under mixed load for a long time: does memory stay flat, and is every answer what it should be?

Starts `wisp serve` with an embedder, a zero-shot classifier and a model on demand that keeps coming and going, and sends it for as
long as was asked: requests of four HTTP protocols over connections that stay, texts of all lengths, requests that are wrong, clients
that leave in the middle, runs of `wisp bench` over gRPC with every vector checked, and a reload every half minute. Memory, threads
and files of the process are written down meanwhile. Fails when an answer has a status that it should not have, when the service ends
badly, or when memory grows: when its median in the last quarter is more than a twentieth above that in the quarter before.
"""

import argparse
import http.client
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLE_S = 5
RELOAD_S = 30

# The first half is that of a service that still fills its caches: OpenVINO keeps what it compiled for 512 shapes.
GROWTH = 1.05

CONFIG = """
[server]
limits = { message_bytes = 1048576 }
[models.all-minilm-l6-v2]
[models.rare]
source = "all-minilm-l6-v2"
placement = ["ort:cpu"]
load = "on-demand"
unload_after_ms = 2000
[deployments.embedder]
guest = "builtin:embedder"
models = { encoder = "all-minilm-l6-v2" }
[deployments.topics]
guest = "builtin:zero-shot"
models = { encoder = "all-minilm-l6-v2" }
[deployments.rare]
guest = "builtin:embedder"
models = { encoder = "rare" }
"""

WORDS = """time person year way day thing man world life hand part child eye woman place work week case point government company
number group problem fact""".split()


class Server:
    """The process, and what it listens on."""

    def __init__(self, binary, folder):
        config = Path(folder) / "wisp.toml"
        config.write_text(CONFIG)
        flags = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--config", str(config)]
        self.log = open(Path(folder) / "log", "w")
        self.process = subprocess.Popen([binary, "serve", *flags], stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline().strip()
        if not line.startswith("listening "):
            raise SystemExit(f"wisp serve did not start; its log:\n{Path(self.log.name).read_text()}")
        self.addresses = dict(part.split("=", 1) for part in line.split()[1:])

    def status(self):
        """Anonymous memory in MiB, threads and open files."""
        folder = Path("/proc") / str(self.process.pid)
        lines = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        kib = int(lines["RssAnon"].split()[0])
        return kib / 1024, int(lines["Threads"]), len(os.listdir(folder / "fd"))

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def stop(self):
        self.process.terminate()
        return self.process.wait(timeout=120)


class Client(threading.Thread):
    """Sends one request after the other over a connection that stays, until it is told to stop."""

    def __init__(self, address, seed, stop):
        super().__init__(daemon=True)
        self.address, self.random, self.stop = address, random.Random(seed), stop
        self.answered, self.wrong = 0, []
        self.connection = None

    def texts(self, most=8):
        length = self.random.choice([4, 10, 30, 120])
        return [" ".join(self.random.choices(WORDS, k=self.random.randint(1, length))) for _ in range(self.random.randint(1, most))]

    def request(self):
        """Path, body, and the statuses that are right."""
        draw = self.random.random()
        if draw < 0.40:
            return "/v1/embeddings", {"model": "embedder", "input": self.texts()}, {200}
        if draw < 0.55:
            return "/embed", {"inputs": self.texts()}, {200}
        if draw < 0.65:
            return "/rerank", {"query": "a question of time", "texts": self.texts()}, {200}
        if draw < 0.75:
            return "/v1/classify", {"deployment": "topics", "input": self.texts(3), "labels": ["work", "family", "money"]}, {200}
        if draw < 0.85:
            texts = self.texts()
            tensor = {"name": "texts", "shape": [len(texts)], "datatype": "BYTES", "data": texts}
            return "/v2/models/embedder/infer", {"inputs": [tensor]}, {200}
        if draw < 0.88:
            return "/v1/embeddings", {"model": "rare", "input": self.texts(2)}, {200}
        return self.random.choice([
            ("/v1/embeddings", {"model": "nobody", "input": "x"}, {404}),
            ("/v1/embeddings", {"input": 5}, {400, 422}),
            ("/v1/embeddings", b"{", {400}),
            ("/v1/embeddings", b"x" * (2 << 20), {413}),
            ("/v2/models/embedder/infer", {"inputs": []}, {400}),
            ("/nowhere", {}, {404}),
        ])

    def run(self):
        while not self.stop.is_set():
            path, body, right = self.request()
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            try:
                self.send(path, body, right)
            except (OSError, http.client.HTTPException) as error:
                # A body beyond the limit may be refused before it is sent whole.
                if 413 not in right:
                    self.wrong.append(f"{path}: {error!r}")
                self.connection = None

    def send(self, path, body, right):
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.address, timeout=60)
        self.connection.request("POST", path, body, {"content-type": "application/json"})
        if self.random.random() < 0.01:
            # Leaves without its answer.
            self.connection.close()
            self.connection = None
            return
        answer = self.connection.getresponse()
        text = answer.read()
        self.answered += 1
        if answer.status not in right:
            self.wrong.append(f"{path}: {answer.status} {text[:200]!r}")
        if answer.will_close:
            self.connection = None


def bench(binary, server, folder, until, wrong):
    """Runs `wisp bench` over gRPC again and again; it fails when a vector is not what it should be."""
    while time.monotonic() < until - 15:
        command = [binary, "bench", "--target", f"grpc://{server.addresses['grpc']}", "--deployments", "embedder"]
        command += ["--clients", "4", "--duration", "8s", "--warmup", "1s", "--output", str(Path(folder) / "report.json")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            wrong.append(f"wisp bench: {done.stderr[-400:]}")
            return


def watch(server, seconds, began_at):
    """Writes down what the process takes, and has it reload meanwhile."""
    samples, reloads = [], 0
    while (elapsed := time.monotonic() - began_at) < seconds:
        samples.append((elapsed, *server.status()))
        if elapsed >= (reloads + 1) * RELOAD_S:
            server.reload()
            reloads += 1
        time.sleep(SAMPLE_S)
    return samples, reloads


def table(samples, seconds):
    """One line for each tenth of the time."""
    print(f"{'minutes':>12} {'least MiB':>10} {'median MiB':>11} {'most MiB':>9} {'threads':>8} {'files':>6}")
    for part in range(10):
        inside = [sample for sample in samples if seconds * part / 10 <= sample[0] < seconds * (part + 1) / 10]
        if inside:
            memory = [sample[1] for sample in inside]
            span = f"{seconds * part / 600:.1f}-{seconds * (part + 1) / 600:.1f}"
            figures = f"{min(memory):10.0f} {statistics.median(memory):11.0f} {max(memory):9.0f}"
            print(f"{span:>12} {figures} {max(s[2] for s in inside):8} {max(s[3] for s in inside):6}")


def median(samples, begin, end):
    return statistics.median(sample[1] for sample in samples if begin <= sample[0] < end)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--clients", type=int, default=6, help="connections over HTTP")
    parser.add_argument("--binary", default=str(REPOSITORY / "target/release/wisp"))
    arguments = parser.parse_args()
    seconds = arguments.minutes * 60
    with tempfile.TemporaryDirectory() as folder:
        server = Server(arguments.binary, folder)
        began_at, stop, wrong = time.monotonic(), threading.Event(), []
        clients = [Client(server.addresses["http"], seed, stop) for seed in range(arguments.clients)]
        gauge = threading.Thread(target=bench, args=(arguments.binary, server, folder, began_at + seconds, wrong), daemon=True)
        for thread in [*clients, gauge]:
            thread.start()
        samples, reloads = watch(server, seconds, began_at)
        stop.set()
        for thread in [*clients, gauge]:
            thread.join(timeout=90)
        code = server.stop()
        wrong += [line for client in clients for line in client.wrong]
        table(samples, seconds)
        answered = sum(client.answered for client in clients)
        print(f"{answered} answers over HTTP ({answered / seconds:.0f}/s), {reloads} reloads, {len(wrong)} wrong, exit code {code}")
        for line in wrong[:20]:
            print(f"  {line}")
        grown = median(samples, seconds * 3 / 4, seconds) / median(samples, seconds / 2, seconds * 3 / 4)
        print(f"memory in the last quarter: {grown:.3f} times that in the quarter before")
        return 1 if wrong or code != 0 or grown > GROWTH else 0


if __name__ == "__main__":
    sys.exit(main())
