"""How long, and how much memory, does it take to cluster a large corpus? Embeddings are made up, so no model runs.

    python benchmarks/cluster_scale.py [--texts 100000] [--width 384] [--clusters 20]

Prints JSON and writes it to results/speed/cluster_scale.json; memory is the peak of the whole process, the
embeddings included. With --clusters 0 the number is chosen by silhouette.
"""

import argparse
import json
import platform
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sklearn

from inbedder_utils.clustering import ask

RESULTS = Path(__file__).parents[1] / "results" / "speed"


class Given:
    """An embedder that returns given vectors, and answers with a word that goes with the text's true cluster."""

    def __init__(self, n: int, width: int, clusters: int) -> None:
        rng = np.random.default_rng(0)
        self.truth = rng.integers(clusters, size=n)
        self.vectors = rng.normal(size=(n, width)).astype(np.float32)
        self.vectors += 0.5 * rng.normal(size=(clusters, width)).astype(np.float32)[self.truth]

    def encode(self, texts: Sequence[str], instruction: str) -> np.ndarray:
        """Return the vectors."""
        return self.vectors

    def answer(self, texts: Sequence[str], instruction: str) -> list[str]:
        """Look the answers up: every text is its own number."""
        return [f"topic{self.truth[int(text)]}" for text in texts]


def main() -> None:
    """Cluster, explain, judge and lay out once, each timed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--clusters", type=int, default=20)
    args = parser.parse_args()
    encoder = Given(args.texts, args.width, args.clusters or 10)
    texts = list(map(str, range(args.texts)))
    seconds, start = {}, time.perf_counter()
    result = ask(encoder, texts, "Which topic?", args.clusters or None, labels=encoder.truth)
    seconds["cluster and explain"] = time.perf_counter() - start
    start = time.perf_counter()
    quality = result.quality
    seconds["judge"] = time.perf_counter() - start
    start = time.perf_counter()
    places = result.coordinates
    seconds["lay out a map"] = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    report = {
        **vars(args),
        "found": len(result),
        "drawn": len(places),
        "quality": {name: round(value, 3) for name, value in quality.items()},
        "seconds": {step: round(took, 1) for step, took in seconds.items()} | {"all": round(sum(seconds.values()), 1)},
        "peak memory (GB)": round(peak / 1e9, 2),
        "machine": platform.machine(),
        "versions": {"python": platform.python_version(), "scikit-learn": sklearn.__version__},
    }
    print(json.dumps(report, indent=2))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "cluster_scale.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
