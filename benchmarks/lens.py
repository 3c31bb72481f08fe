"""What does a lens win over asking all texts, and what does it lose?

Vectors of a general question are stored (`encode`, not timed). Then a new question is asked twice: by a lens
(`fit_lens` and `apply`), and in full. Texts are those of the given files (`.jsonl` or `.jsonl.gz`, with columns text
and cluster), or by default the shipped guests' letters and what they are about; more than there are is made of them by
recombining their sentences. Clusters are compared only where the texts have labels of their own.

    python benchmarks/lens.py --texts 10000 --files ratemyprof.jsonl.gz --question "Which aspect is it about?"
    python benchmarks/lens.py --texts 1000000 --asked-in-full 2000    # the rest is reckoned, and said to be

Prints JSON and writes it to results/speed/lens_<texts>.json. Above 10,000 texts, stored vectors are those of 10,000
texts, repeated with a little noise in a file, and only the lens is measured on all; a fresh process applies it, whose
memory is told at the peak (VmHWM, with pages of files, which the system drops when it needs them) and without these
(RssAnon), as Linux counts it.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from encode_throughput import RESULTS, machine
from sklearn.preprocessing import normalize

from inbedder_utils import load_encoder
from inbedder_utils.clustering import fit_lens
from inbedder_utils.data import own_sets
from inbedder_utils.evaluation.measures import v_measures

MOST_ENCODED = 10_000
APPLY = """
import json, sys, time
import numpy as np
from inbedder_utils.clustering.lens import Lens
def memory():
    lines = dict(line.split(":") for line in open("/proc/self/status"))
    return {name: int(lines[name].split()[0]) / 1024 for name in ("VmHWM", "RssAnon")}
lens, vectors = Lens.load(sys.argv[1]), np.load(sys.argv[2], mmap_mode="r")
before = memory()
lens.apply(vectors[:20_000], out=sys.argv[3])
small, start = memory(), time.perf_counter()
lens.apply(vectors, out=sys.argv[3])
seconds, after = time.perf_counter() - start, memory()
print(json.dumps({"seconds": seconds, "MB before": before, "MB after 20,000": small, "MB after all": after}))
"""


def labelled(files: list[Path]) -> pd.DataFrame:
    """Texts and labels; those of different files are told apart."""
    if not files:
        guests = pd.read_json(own_sets.DATA / "guests.jsonl", lines=True)
        return guests.rename(columns={"aspect": "cluster"})[["text", "cluster"]]
    tables = [pd.read_json(path, lines=True).assign(file=path.name) for path in files]
    rows = pd.concat(tables, ignore_index=True)
    return rows.assign(cluster=rows["file"] + " " + rows["cluster"].astype(str)) if len(files) > 1 else rows


def recombined(texts: list[str], n: int, rng: np.random.Generator) -> list[str]:
    """New texts of two to four sentences of the given ones."""
    sentences = [part for text in texts for part in re.split(r"(?<=[.!?])\s+", text) if part]
    return [" ".join(rng.choice(sentences, size=rng.integers(2, 5))) for _ in range(n)]


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """What it returns, and how many seconds it takes."""
    start = time.perf_counter()
    return run(), time.perf_counter() - start


def agreement(made: np.ndarray, asked: np.ndarray) -> float:
    """Mean cosine, the mean embedding taken off both."""
    mean = asked.mean(axis=0)
    return float((normalize(made - mean) * normalize(asked - mean)).sum(axis=1).mean())


def apply_to_all(lens: Any, stored: np.ndarray, n: int) -> dict[str, Any]:
    """Time and memory for n rows in a file."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path, vectors = lens.save(Path(folder) / "question.lens"), Path(folder) / "stored.npy"
        rows = np.lib.format.open_memmap(vectors, "w+", np.float32, (n, stored.shape[1]))
        for start in range(0, n, len(stored)):
            block = stored[: n - start]
            rows[start : start + len(block)] = block + 0.01 * stored.std() * rng.normal(size=block.shape)
        rows.flush()
        del rows
        given = [str(path), str(vectors), f"{folder}/answers.npy"]
        done = subprocess.run([sys.executable, "-c", APPLY, *given], check=True, capture_output=True, text=True)
        return json.loads(done.stdout)


def main() -> None:
    """Ask both ways, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=10_000)
    parser.add_argument("--files", type=Path, nargs="*", default=[])
    parser.add_argument("--question", default="What is the guest talking about?")
    parser.add_argument("--general", default="What is this about?", help="the question of the stored vectors")
    parser.add_argument("--checkpoint", default="mini")
    parser.add_argument("--asked-in-full", type=int, default=MOST_ENCODED, help="texts, at most")
    args = parser.parse_args()
    encoder, rows, n = load_encoder(args.checkpoint, device="cpu"), labelled(args.files), args.texts
    encoded = min(n, MOST_ENCODED)
    rows = rows.sample(min(len(rows), encoded), random_state=0)
    texts = rows["text"].tolist()
    texts += recombined(texts, encoded - len(texts), np.random.default_rng(0))
    stored = encoder.encode(texts, args.general)
    lens, fitting = timed(lambda: fit_lens(encoder, texts, stored, args.question))
    print(lens, flush=True)
    made, applying = timed(lambda: lens.apply(stored))
    in_full = min(encoded, args.asked_in_full)
    asked, asking = timed(lambda: encoder.encode(texts[:in_full], args.question))
    judged = min(len(rows), in_full)
    clusters = {"lens": made[:judged], "in full": asked[:judged], "stored": stored[:judged]}
    scores = {way: v_measures(vectors, rows["cluster"][:judged])["v_measure"] for way, vectors in clusters.items()}
    report = machine(torch.device("cpu")) | {
        "checkpoint": args.checkpoint,
        "question": args.question,
        "stored vectors of": args.general,
        "texts": n,
        "texts of their own": len(rows),
        "texts asked by the lens": lens.asked,
        "held-out cosine": lens.cosines[0],
        "cosine to asking in full": agreement(made[:in_full], asked),
        "V-measure": {way: float(100 * values.mean()) for way, values in scores.items()},
        "texts with labels": judged,
        "seconds": {"fit": fitting, f"apply to {encoded}": applying, f"ask {in_full} in full": asking},
        "seconds in full, reckoned for all": asking * n / in_full,
    }
    if n > encoded:
        report[f"applied to {n} rows in a file"] = apply_to_all(lens, stored, n)
    print(json.dumps(report, indent=2))
    (RESULTS / f"lens_{n}.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
