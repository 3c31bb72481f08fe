"""How much of a cluster's time does the engine take? Rows per second by number of actors, on this machine.

Weak scaling: each actor has the same number of texts, however many actors there are. Two kinds of runs:

- `mini` (or `--checkpoint`) in 1 and 2 actors, a core and a thread each, against `encode` in as many plain processes
  that read the same files and write nothing;
- a model that sleeps instead of computing, for as long as `--seconds` for 1,024 texts, in 1 to 64 actors: what is
  lost then is Ray's, and the reading and writing of files, all of which share this machine's cores here.

The share lost is 1 - (seconds that actors spend asking) / (actors x seconds), while all of them are at work: from when
the last one began until the first one ended. The seconds until all were at work, and those in all, are given beside it.

    python benchmarks/ray_scale.py [--actors 1 4 16 64] [--parts 6] [--seconds 4]

Prints a table; writes results/speed/ray_scale.json.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from inbedder_utils.data import corpus
from inbedder_utils.scale import encode_files
from inbedder_utils.scale.parts import ROWS

RESULTS = Path(__file__).parents[1] / "results" / "speed"
QUESTION = "How does the customer feel?"
PLAIN = """
import sys, time
import pyarrow.parquet as pq
from inbedder_utils import load_encoder
encoder = load_encoder(sys.argv[1])
encoder.encode(["warm up"], sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
started = time.perf_counter()
for path in sys.argv[3:]:
    encoder.encode(pq.read_table(path)["text"].to_pylist(), sys.argv[2])
print(time.perf_counter() - started)
"""


class Timed:
    """An encoder that says in a file when it was at work; a model if `checkpoint` names one, else it sleeps."""

    def __init__(self, log: str, checkpoint: str | None, seconds: float) -> None:
        self.log, self.checkpoint, self.seconds, self.encoder = log, checkpoint, seconds, None

    def encode_many(self, texts: list[str], questions: list[str]) -> np.ndarray:
        """(k, n, d) float32."""
        if self.checkpoint and self.encoder is None:
            from inbedder_utils import load_encoder

            self.encoder = load_encoder(self.checkpoint)
            self.encoder.encode(["warm up"], QUESTION)
        started = time.time()
        if self.encoder is None:
            time.sleep(self.seconds * len(texts) / ROWS)
            vectors = np.zeros((len(questions), len(texts), 384), np.float32)
        else:
            vectors = self.encoder.encode_many(texts, questions)
        with open(self.log, "a") as file:
            file.write(json.dumps([os.getpid(), len(texts), started, time.time()]) + "\n")
        return vectors

    encode = encode_many

    def __repr__(self) -> str:
        return "Timed()"


def write_corpus(folder: Path, n_parts: int) -> list[str]:
    """Files of 1,024 texts each, a part of which is a file's every row."""
    texts = corpus("messages")["text"].tolist()
    paths = []
    for i in range(n_parts):
        numbered = [f"{texts[j % len(texts)]} ({i}, {j})" for j in range(ROWS)]
        paths.append(str(folder / f"{i:05}.parquet"))
        pq.write_table(pa.table({"text": numbered}), paths[-1])
    return paths


def on_ray(n_actors: int, n_parts: int, checkpoint: str | None, seconds: float) -> dict[str, float]:
    """Rows per second, and the share of the actors' time that is not spent asking."""
    import ray

    with tempfile.TemporaryDirectory() as folder:
        write_corpus(Path(folder), n_actors * n_parts)
        began = time.time()
        os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_BACKEND_LOG_LEVEL="fatal")
        ray.init("local", num_cpus=n_actors, log_to_driver=False, logging_level="ERROR")
        encode_files(folder, Path(folder) / "out", Timed(f"{folder}/log", checkpoint, seconds), QUESTION)
        ray.shutdown()
        calls = [json.loads(line) for line in Path(folder, "log").read_text().splitlines()]
    first = {pid: min(start for p, _, start, _ in calls if p == pid) for pid, *_ in calls}
    last = {pid: max(stop for p, *_, stop in calls if p == pid) for pid, *_ in calls}
    start, stop = max(first.values()), min(last.values())  # while all of them are at work
    inside = [(n, max(0.0, min(to, stop) - max(since, start)), to - since) for _, n, since, to in calls]
    return {
        "actors": len(first),
        "texts": sum(n for _, n, *_ in calls),
        "seconds until all were at work": start - began,
        "seconds that all were at work": stop - start,
        "seconds in all": max(last.values()) - began,
        "texts per second": sum(n * part / whole for n, part, whole in inside) / (stop - start),
        "share lost": 1 - sum(part for _, part, _ in inside) / (stop - start) / len(first),
    }


def in_plain_processes(n: int, n_parts: int, checkpoint: str) -> float:
    """Texts per second of processes that do nothing but encode, each its own files."""
    with tempfile.TemporaryDirectory() as folder:
        paths = write_corpus(Path(folder), n * n_parts)
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
        commands = [[sys.executable, "-c", PLAIN, checkpoint, QUESTION, *paths[i::n]] for i in range(n)]
        processes = [subprocess.Popen(command, **pipes) for command in commands]
        for process in processes:
            process.stdout.readline()  # when it has loaded
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
        return sum(n_parts * ROWS / float(process.communicate()[0]) for process in processes)


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actors", type=int, nargs="+", default=[1, 4, 16, 64], help="that sleep")
    parser.add_argument("--checkpoint", default="mini", help="for 1 and 2 actors; '' leaves it out")
    parser.add_argument("--parts", type=int, default=6, help="of 1,024 texts, for each actor")
    parser.add_argument("--seconds", type=float, default=4.0, help="that 1,024 texts take the sleeping model")
    args = parser.parse_args()
    for n in (1, 2) if args.checkpoint else ():
        plain = {"texts per second, plain processes": in_plain_processes(n, args.parts, args.checkpoint)}
        keep({"model": args.checkpoint, **on_ray(n, args.parts, args.checkpoint, 0), **plain})
    for n in args.actors:  # so many parts that the first ones are not done before the last actor has started
        best = {"texts per second, at best": n * ROWS / args.seconds}
        run = on_ray(n, max(args.parts, n), None, args.seconds)
        keep({"model": f"sleeps {args.seconds} s for {ROWS} texts", **run, **best})


def keep(row: dict[str, Any]) -> None:
    """Print a run, and put it in the place of an earlier one of its kind."""
    row = {name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()}
    print(row, flush=True)
    path = RESULTS / "ray_scale.json"
    runs = json.loads(path.read_text())["runs"] if path.exists() else []
    runs = [run for run in runs if (run["model"], run["actors"]) != (row["model"], row["actors"])]
    path.write_text(json.dumps({"cores": os.cpu_count(), "runs": [*runs, row]}, indent=2) + "\n")


if __name__ == "__main__":
    main()
