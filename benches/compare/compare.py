#!/usr/bin/env python3
"""Wisp over gRPC against the libraries it stands on, in Python and in process, on this machine in one run.

Installs ONNX Runtime and OpenVINO from PyPI into a folder of their own under WISP_HOME, has `wisp bench` write the texts, and
measures in turn: each library with short and mixed texts, then `wisp serve` with the same texts and as many in flight. Every
vector of every side is compared with its f32 reference. What counts are the ratios: they come from one run on one machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
MODEL = "all-minilm-l6-v2"

# Folders of models are named by so many digits of their digest.
FOLDER_DIGITS = 16

SYSTEMS = ["onnxruntime", "openvino", "sentence-transformers"]


class CompareError(Exception):
    """What went wrong, as the user should read it."""


def home():
    """The cache folder, as Wisp finds it."""
    if os.environ.get("WISP_HOME"):
        return Path(os.environ["WISP_HOME"])
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    return Path(xdg if xdg.startswith("/") else Path.home() / ".cache") / "wisp"


def ensure_packages(systems):
    """Installs what is missing, once for each version of Python and of the requirements, and returns the folder."""
    requirements = (HERE / "requirements.txt").read_text()
    if "sentence-transformers" in systems:
        requirements += "sentence-transformers>=5,<6\n"
    folder = home() / "tools" / f"compare-{sys.implementation.cache_tag}"
    stamp = folder / "wisp-requirements.txt"
    if stamp.is_file() and stamp.read_text() == requirements:
        return folder
    print("installing the peers (pip) …", file=sys.stderr)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(requirements)
        file.flush()
        # --target needs neither a virtual environment nor the right to change the system's Python.
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--upgrade"]
        pip += ["--only-binary=:all:", "--target", str(folder), "--requirement", file.name]
        done = subprocess.run(pip, env={**os.environ, "PIP_ROOT_USER_ACTION": "ignore"}, check=False)
    if done.returncode != 0:
        raise CompareError("pip could not install the peers; its message stands above")
    stamp.write_text(requirements)
    return folder


def run(command):
    """The output of a command; what it writes to standard error is for the user."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise CompareError(f"`{' '.join(str(part) for part in command)}` failed with {done.returncode}")
    return done.stdout


def write_texts(wisp, mix, arguments, folder):
    """The texts of a mix, as `wisp bench` makes them."""
    file = folder / f"{mix}.txt"
    run([wisp, "bench", "--mix", mix, "--pool", arguments.pool, "--seed", arguments.seed, "--write-texts", file])
    return file


def model_files(wisp):
    """The folder of the model's files, fetched and made where they are missing."""
    # Both libraries read ONNX files; a first embedding on each has them made.
    for backend in ["ort", "openvino"]:
        run([wisp, "embed", "--backend", backend, "--format", "json", "a text"])
    models = json.loads(run([wisp, "models", "list", "--format", "json"]))
    digest = next(model["digest"] for model in models if model["name"] == MODEL)
    folder = home() / "models" / MODEL / digest[:FOLDER_DIGITS]
    if not (folder / "model.onnx").is_file():
        raise CompareError(f"the ONNX file of {MODEL} is not in {folder}")
    return folder


def measure_peer(system, precision, texts, batch, arguments, files):
    """One figure of a peer, in a process of its own: libraries share threads and allocators otherwise."""
    command = [sys.executable, HERE / "peer.py", system, "--precision", precision, "--texts", texts, "--batch", batch]
    command += ["--seconds", arguments.seconds, "--files", files]
    return json.loads(run(command))


def measure_wisp(wisp, texts, clients, arguments):
    """The same of `wisp serve`, over gRPC, one text a request."""
    command = [wisp, "bench", "--texts", texts, "--pool", arguments.pool, "--clients", clients, "--format", "json"]
    command += ["--duration", f"{arguments.seconds}s", "--warmup", "2s", "--deployments", arguments.deployment]
    report = json.loads(run(command))
    stream = report["runs"][0]["streams"][0]
    name = stream["placements"][0] if stream["placements"] else "wisp"
    latency = stream["latency"]
    return {
        "name": f"wisp {arguments.deployment}: {name}",
        "texts_per_s": stream["texts_per_s"],
        "p50_ms": latency["p50_us"] / 1e3,
        "p99_ms": latency["p99_us"] / 1e3,
        "min_cosine": stream["min_cosine"],
        "is_stable": stream["stability"]["is_stable"],
    }


def peers(systems):
    """Every peer in every precision that may be the roof."""
    rows = []
    if "onnxruntime" in systems:
        rows.append(("onnxruntime", "f32"))
    if "openvino" in systems:
        rows += [("openvino", "f32"), ("openvino", "bf16"), ("openvino", "int8")]
    if "sentence-transformers" in systems:
        rows.append(("sentence-transformers", "f32"))
    return rows


def compare(arguments):
    """Measures everything, several times in turn, and returns rows of figures."""
    wisp = Path(arguments.wisp)
    if not wisp.is_file():
        raise CompareError(f"{wisp} is not there; run `cargo build --release` first, or name it with --wisp")
    files = model_files(wisp)
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        texts = {mix: write_texts(wisp, mix, arguments, Path(name)) for mix in arguments.mix}
        for number in range(arguments.rounds):
            for mix in arguments.mix:
                for batch in arguments.in_flight:
                    print(f"round {number + 1}: {mix}, {batch} in flight …", file=sys.stderr)
                    for system, precision in peers(arguments.systems):
                        figure = measure_peer(system, precision, texts[mix], batch, arguments, files)
                        if "skipped" not in figure:
                            figures.setdefault((mix, batch), {}).setdefault(figure["name"], []).append(figure)
                    figure = measure_wisp(wisp, texts[mix], batch, arguments)
                    figures.setdefault((mix, batch), {}).setdefault(figure["name"], []).append(figure)
    return figures


def median(figures, key):
    """The median of a figure over the rounds."""
    return statistics.median(figure[key] for figure in figures)


def print_figures(figures):
    """Markdown: a table for each load, and the ratio to the roof, which is the fastest peer of that load."""
    for (mix, batch), systems in figures.items():
        print(f"\n### {mix}, {batch} in flight\n")
        print("| system | texts/s | p50 ms | min. cosine | of the roof |")
        print("|---|---:|---:|---:|---:|")
        in_process = [median(rounds, "texts_per_s") for name, rounds in systems.items() if not name.startswith("wisp")]
        roof = max(in_process, default=0.0)
        for name, rounds in sorted(systems.items(), key=lambda item: -median(item[1], "texts_per_s")):
            rate = median(rounds, "texts_per_s")
            share = f"{rate / roof:.0%}" if roof else "—"
            unstable = "" if all(figure.get("is_stable", True) for figure in rounds) else " (unstable)"
            p50, cosine = median(rounds, "p50_ms"), min(figure["min_cosine"] for figure in rounds)
            print(f"| {name}{unstable} | {rate:.0f} | {p50:.2f} | {cosine:.6f} | {share} |")


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wisp = os.environ.get("WISP_BENCH_PROGRAM", str(REPOSITORY / "target/release/wisp"))
    parser.add_argument("--wisp", default=wisp, help="the binary (default: target/release/wisp)")
    parser.add_argument("--deployment", default="embedder", help="the deployment of Wisp (default: embedder)")
    parser.add_argument("--mix", nargs="+", default=["short", "mixed"], help="lengths of texts, as wisp bench has them")
    parser.add_argument("--in-flight", nargs="+", type=int, default=[1, 32], help="texts in flight (default: 1 32)")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=SYSTEMS[:2], help="what to measure against")
    parser.add_argument("--seconds", type=int, default=8, help="time of one figure (default: 8)")
    parser.add_argument("--rounds", type=int, default=3, help="medians of so many rounds (default: 3)")
    parser.add_argument("--pool", type=int, default=256, help="different texts (default: 256)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the texts (default: 1)")
    parser.add_argument("--json", metavar="FILE", help="write every round's figures to this file")
    return parser.parse_args()


def main():
    """Installs, measures, prints."""
    arguments = parse()
    try:
        os.environ["PYTHONPATH"] = str(ensure_packages(arguments.systems))
        figures = compare(arguments)
    except (CompareError, subprocess.CalledProcessError) as error:
        print(f"compare: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print_figures(figures)
    if arguments.json:
        rows = [{"mix": mix, "in_flight": batch, "systems": systems} for (mix, batch), systems in figures.items()]
        Path(arguments.json).write_text(json.dumps(rows, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
