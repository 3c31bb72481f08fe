"""The paper's published numbers, as tables; scores in percent. Where they are from: `data/published/README.md`."""

from pathlib import Path

import pandas as pd

PUBLISHED = Path(__file__).parents[1] / "data" / "published"
AS_PUBLISHED = {
    "BrandonZYW/llama-2-7b-InBedder": ("Llama-2-7b-hf-e5-large-v2-qa-ml=3", "Llama-2-7b-hf-qa-ml=20"),
    "BrandonZYW/opt-2.7b-InBedder": ("opt-2.7b-qa-ml=20",),
    "BrandonZYW/opt-1.3b-InBedder": ("opt-1.3b-qa-ml=20",),
    "BrandonZYW/opt-350m-InBedder": ("opt-350m-qa-ml=20",),
    "BrandonZYW/roberta-large-InBedder": ("roberta-large-qa-ml=3",),
    "facebook/opt-350m": ("opt-350m-pretrain-ml=20",),
    "meta-llama/Llama-2-7b-chat-hf": ("llama-2-7b-chat-e5-large-v2-pretrain-ml=40",),
    "google/flan-t5-large": ("flan-t5-large-pretrain-ml=20", "flan-t5-large-e5-large-v2-pretrain-ml=40"),
    "intfloat/e5-large-v2": ("e5-large-v2",),
}
"""Checkpoints, and the names that their numbers were published under: the first has the checkpoint's own answer length;
a second one fills gaps at `fst_gen` only, which is read before anything is generated.
"""


def published_models() -> pd.DataFrame:
    """Read what is known of the published models.

    Columns are model (as in the other tables), label (to show; no two are the same), base, training, variant (missing
    for the usual one), answer_length (tokens at most), re_encoder, parameters (millions), authors_table (whether the
    authors' script puts the run into their table of awareness).
    """
    return pd.read_csv(PUBLISHED / "models.csv")


def published_scores() -> pd.DataFrame:
    """Read all published scores (paper, tables 1 and 2, and figures by layer).

    Columns are model, pooling ("own" for plain embedders), layer (missing for them and for `re_encode`), task, part
    ("emotion", "intent", "topic", "location", or "" for the task as a whole), score.
    """
    return pd.read_csv(PUBLISHED / "scores.csv.gz").astype({"layer": "Int64"}).fillna({"part": ""})


def published_robustness() -> pd.DataFrame:
    """Read the published V-measures of single instructions, at the last layer.

    Columns are model, pooling, task, part, kind ("correct", "implicit", "incorrect"), instruction (0 to 9), score.
    """
    return pd.read_csv(PUBLISHED / "robustness.csv.gz").fillna({"part": ""})


def published_clusters() -> pd.DataFrame:
    """Read the published clusters of five corpora, and the words that explain them.

    Columns are corpus, cluster (from 0), labels ({label: number of texts}), words_tfidf and words_decoded (20 each, the
    strongest first), entropy (of the labels, in bits).
    """
    return pd.read_json(PUBLISHED / "clusters.jsonl.gz", lines=True)


def published_reviews() -> pd.DataFrame:
    """Read how the authors clustered the same 1,000 reviews under four questions; there are no labels.

    Columns are question (its short name), instruction, cluster (from 0), texts (numbers of its reviews, 0 to 999),
    words_tfidf and words_decoded as in `published_clusters`.
    """
    return pd.read_json(PUBLISHED / "reviews.jsonl.gz", lines=True)


def by_checkpoint(published: pd.DataFrame) -> pd.DataFrame:
    """Keep the published scores of the checkpoints in `AS_PUBLISHED`, under our names for them."""
    parts = []
    for checkpoint, names in AS_PUBLISHED.items():
        for i, name in enumerate(names):
            rows = published[(published["model"] == name) & (i == 0 or (published["pooling"] == "fst_gen"))]
            parts.append(rows.assign(model=checkpoint))
    return pd.concat(parts).drop_duplicates([c for c in published if c != "score"]).reset_index(drop=True)
