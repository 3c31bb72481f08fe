"""Scores of `mini` on texts that it was not trained on, as Markdown tables.

    python benchmarks/mini_scores.py
    INBEDDER_DATA=folder python benchmarks/mini_scores.py     # also the public sets in folder/eval/NAME.jsonl.gz

Own hand-written sets: share of triplets told apart per label, and their harmonic mean per domain; sentence pairs under
two questions: Spearman correlation of the cosine with the score, and how often the pair is closer under the question
that both sentences answer alike; and whether right wordings of a question separate its labels better than wrong
questions (lowest V-measure of the right ones against the highest of the wrong ones). V-measures: mean over 5 seeds.
"""

import argparse
import gzip
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import hmean, spearmanr
from sklearn.cluster import KMeans
from sklearn.metrics import v_measure_score

from inbedder_utils import load_encoder
from inbedder_utils.datasets import QUESTIONS, small_set
from inbedder_utils.evaluation import answer_triplets, awareness
from inbedder_utils.natural_qa import natural_rows

RIGHT = {
    "need": ["What does the writer want?", "Identify the customer's request.", "What should the company do?"],
    "feeling": ["What is the customer's emotion?", "Name the mood of the message.", "How does the writer feel?"],
    "topic": [
        "What is this news about?",
        "Name the section of the newspaper.",
        "Categorize the subject of the report.",
    ],
    "place": [
        "In which country is this?",
        "Name the country of the event.",
        "Which country does the report come from?",
    ],
    "product": ["What is being reviewed?", "Name the thing that the review is about.", "What kind of product is it?"],
    "liking": ["Is the reviewer satisfied?", "Is the review positive or negative?", "What is the reviewer's opinion?"],
    "aspect": [
        "What does the review talk about?",
        "Name the aspect that is judged.",
        "On which point does the writer comment?",
    ],
}
WRONG = ["What is the weather like?", "Which language is it written in?", "How many people are mentioned?"]
PUBLIC = {
    "ratemyprof": (
        "Here is a student review on the course and the professor. "
        "Categorize the aspect the student is discussing about.",
        "Which aspect is the student talking about?",
    ),
    "clinc150": ("What does the user want?",),
}


def v_measure(vectors: np.ndarray, labels: list[str], seeds: int = 5) -> tuple[float, float]:
    """Mean and standard deviation over the seeds of k-means (10 starts each), in percent."""
    k = len(set(labels))
    scores = [
        v_measure_score(labels, KMeans(k, n_init=10 if k < 50 else 1, random_state=seed).fit_predict(vectors))
        for seed in range(seeds)
    ]
    return 100 * np.mean(scores), 100 * np.std(scores)


def own_sets(encoder) -> pd.DataFrame:
    """Triplets, V-measures and robustness per label."""
    rows = []
    for domain, labels in QUESTIONS.items():
        for label, question in labels.items():
            triplets, texts = small_set(f"triplets/{domain}_{label}"), small_set(f"clustering/{domain}_{label}")
            asked_triplets = triplets.assign(instruction=question).to_dict("records")
            wrong = [other for name, other in labels.items() if name != label] + WRONG
            score = {
                asked: v_measure(
                    encoder.encode(texts["text"].tolist(), asked, normalize_embeddings=True), list(texts["cluster"])
                )
                for asked in [question, *RIGHT[label], *wrong]
            }
            right = [score[asked][0] for asked in [question, *RIGHT[label]]]
            rows.append(
                {
                    "domain": domain,
                    "label": label,
                    "triplets": 100 * awareness(encoder.encode, asked_triplets),
                    "V-measure": score[question][0],
                    "sd": score[question][1],
                    "worst right wording": min(right),
                    "best wrong question": max(score[asked][0] for asked in wrong),
                }
            )
    return pd.DataFrame(rows)


def pairs(encoder) -> dict[str, float]:
    """Sentence pairs under two questions."""
    table = small_set("pairs")
    sides = [
        encoder.encode(table[side].tolist(), table["instruction"].tolist(), normalize_embeddings=True)
        for side in ("sentence1", "sentence2")
    ]
    table["cosine"] = (sides[0] * sides[1]).sum(1)
    alike = table[table["score"] == 1].set_index(["sentence1", "sentence2"])["cosine"]
    unlike = table[table["score"] == 0].set_index(["sentence1", "sentence2"])["cosine"]
    return {
        "Spearman": 100 * spearmanr(table["cosine"], table["score"]).statistic,
        "right order": 100 * (alike > unlike.reindex(alike.index)).mean(),
    }


def markdown(table: pd.DataFrame) -> str:
    """A table, numbers with one decimal."""
    lines = [list(table.columns), ["---"] * table.shape[1], *table.round(1).astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Score a checkpoint and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="mini", help="a name, a folder or a hub id")
    args = parser.parse_args()
    encoder = load_encoder(args.checkpoint, device="cpu")
    own = own_sets(encoder)
    print(markdown(own), "\n")
    for domain, scores in own.groupby("domain")["triplets"]:
        print(f"{domain}: harmonic mean of triplets {hmean(scores):.1f}")
    print(f"right above wrong: {(own['worst right wording'] > own['best wrong question']).sum()} of {len(own)} labels")
    print("pairs:", ", ".join(f"{name} {value:.1f}" for name, value in pairs(encoder).items()))
    for split in ("dev", "test"):
        print(f"{split} triplets: {100 * awareness(encoder.encode, answer_triplets(natural_rows(split))):.1f}")
    folder = Path(os.environ.get("INBEDDER_DATA", "")) / "eval"
    for name, questions in PUBLIC.items():
        if os.environ.get("INBEDDER_DATA") and (folder / f"{name}.jsonl.gz").is_file():
            rows = [json.loads(line) for line in gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8")]
            for question in questions:
                vectors = encoder.encode([row["text"] for row in rows], question, normalize_embeddings=True)
                mean, sd = v_measure(vectors, [row["cluster"] for row in rows], seeds=5 if len(rows) < 3000 else 2)
                print(f"{name}: V-measure {mean:.1f} (sd {sd:.1f}) under {question!r}")


if __name__ == "__main__":
    main()
