"""How well `ask(options=...)` sorts texts into their labels, beside a plain embedder, on shipped and public sets.

    python scripts/options.py                            # about ten minutes on two cores; prints a line for each set
    INBEDDER_DATA=folder python scripts/options.py       # RateMyProf, too, if it is there
    python scripts/options.py more.json                  # and sets of yours: [{"name", "question", "texts", "labels"}]

The options are the names of the labels. In percent, each mean and spread over five draws of 80% of the texts:
`sorted right`, as `ask` does it, balanced over the labels; `nearest`, the same if no text were put into "other";
`plain`, the nearest option by all-MiniLM-L6-v2, if it can be loaded, in the best of six ways (texts and options with
the question in front, or only the options, or none; centred or not). Where a label has been left out, in turn:
`with other`, the balanced share sorted right if the texts of that label belong to "other", and so `never other`.
`membership` is the mean of the greatest membership of each text, to be compared with the share sorted right, and `off`
the expected calibration error in ten bins.
"""

import json
import os
import sys
from itertools import product

import numpy as np
import pandas as pd
from sklearn.metrics import balanced_accuracy_score
from sklearn.preprocessing import normalize

from inbedder_utils import load_encoder
from inbedder_utils.clustering.anchors import Anchors, memberships
from inbedder_utils.clustering.options import anchors_of_options
from inbedder_utils.data import load_set, small_set
from inbedder_utils.data.own_sets import QUESTIONS, corpus
from inbedder_utils.evaluation import load_embedder

BUGS = {"component": "Which part of the app is affected?", "symptom": "What goes wrong?"}
BUGS |= {"platform": "On which platform does it happen?"}
GUESTS = {"aspect": "What is the guest talking about?", "feeling": "How does the guest feel?"}
GUESTS |= {"country": "Which country is the hotel in?"}
DRAWS, SHARE_DRAWN = 5, 0.8
PLAIN = "sentence-transformers/all-MiniLM-L6-v2"


def label_sets(files: list[str]) -> list[tuple[str, str, list[str], list[str]]]:
    """Name, question, texts and labels of every set."""
    tables = {domain: (corpus(domain), questions) for domain, questions in QUESTIONS.items()}
    tables |= {"guests": (small_set("guests"), GUESTS), "bugs": (small_set("bug_reports"), BUGS)}
    found = [
        (f"{domain} {label}", question, table["text"].tolist(), table[label].tolist())
        for domain, (table, questions) in tables.items()
        for label, question in questions.items()
    ]
    if os.environ.get("INBEDDER_DATA"):
        table = load_set("RateMyProf")
        found.append(
            (
                "RateMyProf",
                "Which aspect is the student talking about?",
                table["text"].tolist(),
                table["cluster"].tolist(),
            )
        )
    for file in files:
        with open(file, encoding="utf-8") as content:
            found += [tuple(one[key] for key in ("name", "question", "texts", "labels")) for one in json.load(content)]
    return found


def calibration_error(shares: np.ndarray, right: np.ndarray) -> float:
    """Mean difference of share and share right in ten bins, weighted by the number of texts."""
    bins = np.minimum(9, (10 * shares).astype(int))
    return sum(abs(shares[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in set(bins.tolist()))


def sorted_right(codes: np.ndarray, found: np.ndarray) -> float:
    """Share of each label's texts that were sorted into it, averaged over the labels."""
    return float(np.mean([np.mean(found[codes == label] == label) for label in np.unique(codes)]))


def judged(encode, question: str, embeddings: np.ndarray, options: list[str], codes: np.ndarray) -> dict[str, float]:
    """All figures of one draw, as shares; `codes` are the labels' numbers."""

    def similarities(kept: list[int]) -> tuple[np.ndarray, Anchors]:
        anchors, _ = anchors_of_options(encode, question, embeddings, {options[i]: "" for i in kept})
        return anchors.similarities(embeddings), anchors

    everything = list(range(len(options)))
    near, anchors = similarities(everything)
    shares, found = memberships(near), near.argmax(axis=1)
    figures = {
        "sorted right": sorted_right(codes, anchors.nearest(near)),
        "nearest": balanced_accuracy_score(codes, found),
        "membership": shares.max(axis=1).mean(),
        "off": calibration_error(shares.max(axis=1), found == codes),
    }
    if len(options) > 2:
        left_out = {"with other": [], "never other": []}
        for missing in everything:
            kept = [i for i in everything if i != missing]
            near, anchors = similarities(kept)
            names = np.array([*kept, missing])
            left_out["with other"].append(balanced_accuracy_score(codes, names[anchors.nearest(near)]))
            left_out["never other"].append(balanced_accuracy_score(codes, names[near.argmax(axis=1)]))
        figures |= {name: float(np.mean(values)) for name, values in left_out.items()}
    return figures


def plain_accuracy(embedder, question: str, texts: list[str], options: list[str], codes: np.ndarray) -> np.ndarray:
    """(DRAWS,) balanced accuracy of the best way to find the nearest option with an embedder that sees no question."""
    forms = {asked: (f"{question} " if asked else "") for asked in (False, True)}
    of_texts = {
        asked: normalize(embedder.encode([front + text for text in texts], "")) for asked, front in forms.items()
    }
    of_options = {asked: normalize(embedder.encode([front + o for o in options], "")) for asked, front in forms.items()}
    ways = []
    for with_text, with_option, centred in product(forms, forms, (False, True)):
        if with_text and not with_option:
            continue
        scores = []
        for rows in draws(len(texts)):
            x, o = of_texts[with_text][rows], of_options[with_option]
            x, o = (normalize(x - x.mean(0)), normalize(o - o.mean(0))) if centred else (x, o)
            scores.append(balanced_accuracy_score(codes[rows], (x @ o.T).argmax(axis=1)))
        ways.append(scores)
    return np.array(max(ways, key=np.mean))


def draws(n: int) -> list[np.ndarray]:
    """Rows of each draw."""
    return [np.random.default_rng(i).choice(n, int(SHARE_DRAWN * n), replace=False) for i in range(DRAWS)]


def main() -> None:
    """Print the table."""
    encoder, rows = load_encoder("mini", device="cpu"), {}
    try:
        plain = load_embedder(PLAIN, device="cpu")
    except OSError as error:
        plain = print(f"without {PLAIN}: {error}", file=sys.stderr)
    for name, question, texts, labels in label_sets(sys.argv[1:]):
        options = sorted(set(labels))
        codes = np.array([options.index(label) for label in labels])
        embeddings, kept = encoder.encode(texts, question), {}

        def encode(forms: list[str], question: str = question, kept: dict = kept) -> np.ndarray:
            new = [form for form in forms if form not in kept]
            kept |= dict(zip(new, encoder.encode(new, question), strict=True)) if new else {}
            return np.stack([kept[form] for form in forms])

        found = pd.DataFrame(judged(encode, question, embeddings[r], options, codes[r]) for r in draws(len(texts)))
        if plain is not None:
            found["plain"] = plain_accuracy(plain, question, texts, options, codes)
        rows[f"{name} ({len(options)})"] = {
            column: f"{100 * values.mean():.1f} ±{100 * values.std():.1f}" for column, values in found.items()
        }
        print(pd.DataFrame(rows).T.iloc[-1:].to_string(header=len(rows) == 1), flush=True)


if __name__ == "__main__":
    main()
