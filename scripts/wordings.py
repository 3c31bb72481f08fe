"""How often `compare_wordings` prefers right wordings of a question to wrong ones, on the shipped label sets.

    python scripts/wordings.py              # about ten minutes on two cores; prints a line for each set

Each label has ten right, ten indirect and ten wrong wordings. Of right and wrong ones (and of right, indirect and
wrong ones) there are: `pairs among all`, the share of pairs of a right and a wrong one that are in the right order
when all are compared; `best of 3 + 3`, the share of 200 draws of three right and three wrong ones whose best is right;
`two alone`, the share of pairs in the right order when nothing else is compared; the second and third for the
silhouette, too. `deaf` is the share of right and of wrong ones said to be hardly heard. All in percent.
"""

import numpy as np
import pandas as pd

from inbedder_utils import load_encoder
from inbedder_utils.clustering import compare_wordings
from inbedder_utils.clustering.wordings import likeness, scores
from inbedder_utils.data.own_sets import QUESTIONS, corpus
from inbedder_utils.evaluation.robustness import instruction_lists

DRAWS, DRAWN = 200, 3


def in_order(right: np.ndarray, wrong: np.ndarray) -> float:
    """Share of pairs in which the right one has the higher score; ties count half."""
    difference = np.subtract.outer(right, wrong)
    return float(np.mean((difference > 0) + 0.5 * (difference == 0)))


def judged(clearness: np.ndarray, alike: np.ndarray, n_right: int) -> list[float]:
    """The three shares in percent; the first `n_right` wordings are the right ones."""

    def scored(*chosen: int) -> np.ndarray:
        return scores(clearness[[*chosen]], alike[np.ix_(chosen, chosen)])

    right, wrong, rng = range(n_right), range(n_right, len(clearness)), np.random.default_rng(0)
    everything = scored(*right, *wrong)
    draws = [
        np.argmax(scored(*rng.choice(right, DRAWN, replace=False), *rng.choice(wrong, DRAWN, replace=False))) < DRAWN
        for _ in range(DRAWS)
    ]
    pairs = [in_order(*np.split(scored(i, j), 2)) for i in right for j in wrong]
    return [100 * share for share in (in_order(*np.split(everything, [n_right])), np.mean(draws), np.mean(pairs))]


def main() -> None:
    """Print the table."""
    encoder, rows = load_encoder("mini", device="cpu"), {}
    for domain, questions in QUESTIONS.items():
        texts = corpus(domain)["text"].tolist()
        for label in questions:
            lists = instruction_lists(f"clustering/{domain}_{label}")
            compared = compare_wordings(encoder, texts, sum(lists.values(), []))
            for indirect in ([], lists["implicit"]):
                right, wrong = lists["correct"] + indirect, lists["incorrect"]
                table, n = compared.table.loc[right + wrong], len(right)
                alike = likeness([compared.results[wording] for wording in table.index])
                found = judged(table["clearness"].to_numpy(), alike, n)
                by_silhouette = judged(table["silhouette"].to_numpy(), np.eye(len(table)), n)
                deaf = [100 * table.loc[kind, "deaf"].mean() for kind in (right, wrong)]
                rows[domain, label, n] = [*found, *by_silhouette[1:], *deaf]
                print(domain, label, len(right), np.round(rows[domain, label, n], 1), flush=True)
    names = ["pairs among all", "best of 3 + 3", "two alone", "best by silhouette", "two by silhouette", "deaf right"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=[*names, "deaf wrong"])
    table.index = pd.MultiIndex.from_tuples(table.index, names=["domain", "label", "right ones"])
    print(table.round(1).to_string())
    print(table.groupby("right ones").mean().round(1).to_string())


if __name__ == "__main__":
    main()
