"""Embedders to compare with: words counted, random weights, and sentence embedders that see the question or don't."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from transformers import set_seed

from inbedder_utils.loading.load import load_encoder
from inbedder_utils.registry import Checkpoint


class TfidfEmbedder:
    """Counts words, and is deaf to the question. Vectors of one call can't be compared with those of another."""

    checkpoint = Checkpoint("tfidf", "sentence", prompt="{input}", about="baseline: counts words")

    def encode(self, texts: Sequence[str], instruction: Any = None, **options: Any) -> np.ndarray:
        """Embed n texts: (n, words) float32, of unit length; zeros for a text without words."""
        return TfidfVectorizer(sublinear_tf=True, dtype=np.float32).fit_transform(texts).toarray()

    def __repr__(self) -> str:
        return "TfidfEmbedder()"


def load_embedder(name: str, **settings: Any) -> Any:
    """Load a checkpoint, or a baseline: something with `encode(texts, instruction)` and `checkpoint`.

    Args:
        name: "tfidf"; "random-NAME" for the model NAME with random weights (seed 0); "instructed-NAME" for a sentence
            embedder that gets the question in front of the text; or anything that `load_encoder` takes.
        settings: for `load_encoder`, whose errors are raised.
    """
    if name == "tfidf":
        return TfidfEmbedder()
    if name.startswith("instructed-"):
        plain = name.removeprefix("instructed-")
        embedder = load_encoder(plain, **settings, family="sentence", prompt="{instruction}: {input}")
        embedder.checkpoint = embedder.checkpoint.with_settings(name=name)
        return embedder
    if name.startswith("random-"):
        trained = load_encoder(name.removeprefix("random-"), **settings)
        checkpoint, truncation = trained.checkpoint.with_settings(name=name), trained.prompt_tokenizer.truncation
        set_seed(0)
        lm = type(trained.lm)(trained.lm.config).to(trained.lm.device, trained.lm.dtype)
        reader = type(trained.reader)(lm, trained.tokenizer, checkpoint, truncation=truncation)
        return type(trained)(reader, trained.re_encoder)
    return load_encoder(name, **settings)
