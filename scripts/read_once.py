"""Does a masked model lose by read-once attention? Trains the recipe of `mini` both ways, on the same few rows.

    python scripts/read_once.py [--base sentence-transformers/all-MiniLM-L6-v2] [--rows 4000] [--seeds 3]

Prints the share of triplets of the natural texts' dev split that each run tells apart (mean over the labels asked for,
the seeds' mean and standard deviation), and its minutes.
"""

import argparse
import json
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from inbedder_utils import load_encoder
from inbedder_utils.data import natural_rows
from inbedder_utils.evaluation import answer_triplets, awareness
from inbedder_utils.training import PRESETS, Part, train


def dev_awareness(encoder) -> float:
    """Mean over the questions of dev, in percent."""
    by_question = defaultdict(list)
    for triplet in answer_triplets(natural_rows("dev")):
        by_question[triplet["instruction"]].append(triplet)
    return 100 * float(np.mean([awareness(encoder.encode, triplets) for triplets in by_question.values()]))


def main() -> None:
    """Train and score every run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    runs = []
    for seed in range(args.seeds):
        for read_once in (True, False):
            recipe = replace(PRESETS["mini"], data=(Part("inbedder_qa", limit=args.rows),), read_once=read_once)
            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                quiet = {"eval_steps": 10_000, "device": "cpu", "show_progress_bar": False}
                train(args.base, output=Path(folder) / "run", preset=recipe, seed=seed, **quiet)
                minutes = (time.perf_counter() - start) / 60
                encoder = load_encoder(Path(folder) / "run", device="cpu")
            run = {"seed": seed, "read_once": read_once, "dev": dev_awareness(encoder), "minutes": minutes}
            runs.append({name: round(value, 2) for name, value in run.items()})
            print(json.dumps(runs[-1]), flush=True)
    for read_once in (True, False):
        scores = [run["dev"] for run in runs if run["read_once"] == read_once]
        name = "read-once" if read_once else "ordinary attention"
        print(f"{name}: mean {np.mean(scores):.2f}, sd {np.std(scores, ddof=1):.2f}")


if __name__ == "__main__":
    main()
