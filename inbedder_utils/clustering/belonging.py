"""Where texts belong: further ones, such as next month's, and those that may say two things."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from inbedder_utils.checks import checked_texts
from inbedder_utils.clustering.anchors import memberships
from inbedder_utils.clustering.partition import NOISE, checked_embeddings

if TYPE_CHECKING:
    from inbedder_utils.clustering.result import Clustering


def assign(
    result: Clustering, new_texts: pd.Series | list[str], embeddings: np.ndarray | None, show_progress_bar: bool
) -> pd.DataFrame:
    """See `Clustering.assign`."""
    if result.encoder is None and embeddings is None:
        fix = "Clustering.load(folder, encoder=load_encoder())"
        raise ValueError(f"the encoder that asked is not kept with the clusters: load them with it, {fix}")
    index = new_texts.index if isinstance(new_texts, pd.Series) else None
    texts = checked_texts(new_texts, what="new_texts")
    if not texts:
        raise ValueError("new_texts is empty: pass at least one text")
    anchors = result.anchors
    if embeddings is None:
        bar = {"show_progress_bar": True} if show_progress_bar else {}
        embeddings = result.encoder.encode(texts, result.instruction, **bar)
    embeddings = checked_embeddings(embeddings, len(texts))
    width = result.embeddings.shape[1]
    if embeddings.shape[1] != width:
        raise ValueError(
            f"new texts have embeddings of width {embeddings.shape[1]}, those of the clusters have {width}: use the "
            "encoder that asked, and none whose vectors depend on the other texts"
        )
    similarities = anchors.similarities(embeddings)  # (n, k)
    nearest = anchors.nearest(similarities)  # (n,)
    table = {"text": texts, "cluster": nearest, "name": [result.names_and_outside[c] for c in nearest]}
    table |= {"similarity": similarities.max(axis=1), "membership": memberships(similarities).max(axis=1)}
    return pd.DataFrame(table, index).astype({"similarity": float, "membership": float})


def mixed(result: Clustering, least: float) -> pd.DataFrame:
    """See `Clustering.mixed`."""
    ranked = result.memberships + np.eye(len(result) + 1)[result.assignments, : len(result)]  # its own goes first
    order = np.argsort(-ranked, axis=1, kind="stable")[:, :2]  # (n, 2)
    shares = np.take_along_axis(result.memberships, order, axis=1)  # (n, 2)
    columns = {"text": result.texts, "second_share": 0.0}
    for which, clusters, share in zip(("first", "second"), order.T, shares.T, strict=False):
        columns |= {which: [result.names[c] for c in clusters], f"{which}_share": share}
    table = pd.DataFrame(columns, result.index, ["text", "first", "first_share", "second", "second_share"])
    divided = (result.assignments != NOISE) & (table["second_share"] >= least)
    return table[divided].sort_values("second_share", ascending=False, kind="stable")
