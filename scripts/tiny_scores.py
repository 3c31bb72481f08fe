"""Triplet success of `tiny` on held-out texts of its small world, with baselines beside it, as a Markdown table.

    python scripts/tiny_scores.py            # 300 triplets per attribute

The baselines are the same architecture with random weights, and TF-IDF, which does not see the question.
"""

import argparse
from collections.abc import Callable

import numpy as np
import pandas as pd

from inbedder_utils.data import questions
from inbedder_utils.data.small_world import DOMAINS
from inbedder_utils.data.small_world_sets import attribute_values, triplets
from inbedder_utils.evaluation import load_embedder, triplet_success


def small_world_scores(encode: Callable[[list[str], str], np.ndarray], n: int, wordings: str) -> dict:
    """Triplet success by (domain, attribute), in percent; a blind model is wrong more often than right.

    Args:
        encode: takes texts and an instruction.
        n: triplets per attribute, dealt out to the wordings of its question in turn.
        wordings: "eval" asks in wordings that are held out as well, "train" in wordings that were trained on.
    """
    scores = {}
    for domain in DOMAINS:
        for attribute in attribute_values(domain):
            rows, right = pd.DataFrame(triplets(domain, attribute, n)), 0.0
            split = questions(domain, attribute, wordings)[:n]
            for i, question in enumerate(split):
                dealt = rows[i :: len(split)]
                vectors = encode([*dealt["anchor"], *dealt["positive"], *dealt["negative"]], question)
                right += triplet_success(*np.split(vectors, 3)) * len(dealt)
            scores[domain, attribute] = 100 * right / n
    return scores


def main() -> None:
    """Score all three and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="tiny")
    parser.add_argument("--triplets", type=int, default=300)
    args = parser.parse_args()
    trained = load_embedder(args.checkpoint, device="cpu")
    blank = load_embedder(f"random-{args.checkpoint}", device="cpu")
    runs = {
        "tiny, trained wordings": (trained.encode, "train"),
        "tiny, held-out wordings": (trained.encode, "eval"),
        "random weights": (blank.encode, "eval"),
        "TF-IDF": (load_embedder("tfidf").encode, "eval"),
    }
    columns = {name: small_world_scores(encode, args.triplets, split) for name, (encode, split) in runs.items()}
    table = pd.DataFrame(columns).rename_axis(["domain", "attribute"]).round(1).reset_index()
    lines = [list(table.columns), ["---"] * table.shape[1], *table.astype(str).to_numpy().tolist()]
    print("\n".join(f"| {' | '.join(line)} |" for line in lines))


if __name__ == "__main__":
    main()
