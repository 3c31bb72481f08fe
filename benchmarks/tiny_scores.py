"""Triplet success of `tiny` on held-out texts of its small world, with baselines beside it, as a Markdown table.

    python benchmarks/tiny_scores.py            # 300 triplets per attribute

The baselines are the same architecture with random weights, and TF-IDF, which does not see the question.
"""

import argparse

import numpy as np
import pandas as pd
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from transformers import AutoModelForCausalLM

from inbedder_utils import load_encoder
from inbedder_utils.causal import CausalEncoder
from inbedder_utils.evaluation import small_world_scores


def tf_idf(texts: list[str], instruction: str) -> np.ndarray:
    """Embed texts by their words; the question is not looked at."""
    return TfidfVectorizer(sublinear_tf=True).fit_transform(texts).toarray()


def main() -> None:
    """Score all three and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="tiny")
    parser.add_argument("--triplets", type=int, default=300)
    args = parser.parse_args()
    trained = load_encoder(args.checkpoint, device="cpu")
    torch.manual_seed(0)
    untrained = AutoModelForCausalLM.from_config(trained.lm.config, dtype=torch.float32)
    blank = CausalEncoder(untrained, trained.tokenizer, trained.checkpoint)
    runs = {
        "tiny, trained wordings": (trained.encode, "train"),
        "tiny, held-out wordings": (trained.encode, "eval"),
        "random weights": (blank.encode, "eval"),
        "TF-IDF": (tf_idf, "eval"),
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
