"""Further texts, such as next month's: the cluster or option of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from inbedder_utils.checks import checked_texts
from inbedder_utils.clustering.anchors import memberships
from inbedder_utils.clustering.partition import checked_embeddings

if TYPE_CHECKING:
    from inbedder_utils.clustering.result import Clustering


def assign(result: Clustering, new_texts: pd.Series | list[str], show_progress_bar: bool = False) -> pd.DataFrame:
    """See `Clustering.assign`."""
    if result.encoder is None:
        fix = "Clustering.load(folder, encoder=load_encoder())"
        raise ValueError(f"the encoder that asked is not kept with the clusters: load them with it, {fix}")
    index = new_texts.index if isinstance(new_texts, pd.Series) else None
    texts = checked_texts(new_texts, what="new_texts")
    if not texts:
        raise ValueError("new_texts is empty: pass at least one text")
    if not len(result):
        raise ValueError("there are no clusters to assign texts to")
    bar = {"show_progress_bar": True} if show_progress_bar else {}
    embeddings = checked_embeddings(result.encoder.encode(texts, result.instruction, **bar), len(texts))
    width = result.embeddings.shape[1]
    if embeddings.shape[1] != width:
        raise ValueError(
            f"new texts have embeddings of width {embeddings.shape[1]}, those of the clusters have {width}: use an "
            "encoder whose vectors don't depend on the other texts"
        )
    similarities = result.anchors.similarities(embeddings)  # (n, k)
    nearest = result.anchors.nearest(similarities)  # (n,)
    table = {"text": texts, "cluster": nearest, "name": [result.names_and_outside[c] for c in nearest]}
    table |= {"similarity": similarities.max(axis=1), "membership": memberships(similarities).max(axis=1)}
    return pd.DataFrame(table, index).astype({"similarity": float, "membership": float})
