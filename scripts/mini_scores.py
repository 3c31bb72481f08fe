"""More scores of `mini` on texts that it was not trained on; most are those of `evaluate --suite small`.

    python scripts/mini_scores.py
    INBEDDER_DATA=folder python scripts/mini_scores.py     # also the public sets in folder/eval/NAME.jsonl.gz

Triplets of the shipped splits dev and test; how often a sentence pair is closer under the question that both sentences
answer alike; and V-measures of public sets (mean and standard deviation over 5 seeds; RateMyProf is the paper's,
here under a short question, CLINC150 shows that general meaning is kept).
"""

import argparse
import os
from pathlib import Path

import pandas as pd

from inbedder_utils.data import natural_rows, small_set
from inbedder_utils.evaluation import answer_triplets, awareness, load_embedder, v_measures

PUBLIC = {"ratemyprof": "Which aspect is the student talking about?", "clinc150": "What does the user want?"}


def right_order(encoder) -> float:
    """Share of sentence pairs whose cosine is higher under the question that both sentences answer alike, percent."""
    table = small_set("pairs")
    one, other = (
        encoder.encode(table[side].tolist(), table["instruction"].tolist(), normalize_embeddings=True)
        for side in ("sentence1", "sentence2")
    )
    cosines = table.assign(cosine=(one * other).sum(1))
    by_score = cosines.pivot(index=["sentence1", "sentence2"], columns="score", values="cosine")
    return 100 * (by_score[1] > by_score[0]).mean()


def main() -> None:
    """Score a checkpoint and print the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="mini", help="a name, a folder or a hub id")
    encoder = load_embedder(parser.parse_args().checkpoint, device="cpu")
    for split in ("dev", "test"):
        print(f"{split} triplets: {100 * awareness(encoder.encode, answer_triplets(natural_rows(split))):.1f}")
    print(f"pairs in the right order: {right_order(encoder):.1f}")
    for name, question in PUBLIC.items():
        file = Path(os.environ.get("INBEDDER_DATA", "")) / "eval" / f"{name}.jsonl.gz"
        if file.is_file():
            rows = pd.read_json(file, lines=True)
            vectors = encoder.encode(rows["text"].tolist(), question)
            scores = 100 * v_measures(vectors, rows["cluster"].tolist())["v_measure"]
            print(f"{name}: V-measure {scores.mean():.1f} (sd {scores.std():.1f}) under {question!r}")


if __name__ == "__main__":
    main()
