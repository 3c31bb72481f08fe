"""Triplet success of `tiny` on held-out texts of its small world, with baselines beside it, as a Markdown table.

    python benchmarks/tiny_scores.py            # 300 triplets per attribute

The baselines are the same architecture with random weights, and TF-IDF, which does not see the question.
"""

import argparse

import pandas as pd

from inbedder_utils.evaluation.baselines import load_embedder
from inbedder_utils.evaluation.measures import small_world_scores


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
    columns = {}
    for name, (encode, wordings) in runs.items():
        scores = pd.DataFrame(small_world_scores(encode, n=args.triplets, wordings=wordings))
        columns[name] = scores.set_index(["domain", "attribute"])["success"]
    table = (100 * pd.DataFrame(columns)).round(1).reset_index()
    lines = [list(table.columns), ["---"] * table.shape[1], *table.astype(str).to_numpy().tolist()]
    print("\n".join(f"| {' | '.join(line)} |" for line in lines))


if __name__ == "__main__":
    main()
