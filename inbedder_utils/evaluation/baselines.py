"""Embedders to compare with: words counted, random weights, and sentence embedders that see the question or don't."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from transformers import set_seed

from inbedder_utils.checks import checked_texts, one_of
from inbedder_utils.data.own_sets import DATA
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


def hash_of(text: str) -> bytes:
    """16 bytes that tell texts apart."""
    return sha256(text.encode("utf-8")).digest()[:16]


class StoredEmbedder:
    """Vectors that a plain sentence embedder gave the texts that ship here: no download, and deaf to the question."""

    def __init__(self, name: str):
        """Read `data/vectors/{name}.npz`, which scripts/stored_vectors.py made; ValueError for an unknown name."""
        names = sorted(path.stem for path in (DATA / "vectors").glob("*.npz"))
        self.name = one_of("stored embedder", name, names)
        stored = np.load(DATA / "vectors" / f"{name}.npz")
        self._row_of = {digest.tobytes(): row for row, digest in enumerate(stored["hashes"])}
        self._vectors = stored["vectors"].astype(np.float32)  # (texts, d)
        self._vectors /= np.linalg.norm(self._vectors, axis=1, keepdims=True)
        self.checkpoint = Checkpoint(f"stored-{name}", "sentence", prompt="{input}", about="baseline: stored vectors")

    def encode(self, texts: Sequence[str], instruction: Any = None, **options: Any) -> np.ndarray:
        """Look n texts up: (n, d) float32, of unit length; ValueError for others."""
        texts = checked_texts(texts)
        try:
            return self._vectors[[self._row_of[hash_of(text)] for text in texts]]  # (n, d)
        except KeyError:
            unknown = next(text for text in texts if hash_of(text) not in self._row_of)
            raise ValueError(
                f"{self!r} has vectors of the shipped texts only, not of {unknown[:60]!r}: "
                f"load_embedder('sentence-transformers/{self.name}') embeds any text (downloaded once)"
            ) from None

    def __repr__(self) -> str:
        return f"StoredEmbedder({self.name!r})"


def load_embedder(name: str, **settings: Any) -> Any:
    """Load a checkpoint, or a baseline: something with `encode(texts, instruction)` and `checkpoint`.

    Args:
        name: "tfidf"; "stored-all-MiniLM-L6-v2", that embedder's vectors of the shipped texts (without the pairs);
            "random-NAME" for the model NAME with random weights (seed 0); "instructed-NAME" for a sentence
            embedder that gets the question in front of the text; or anything that `load_encoder` takes.
        settings: for `load_encoder`, whose errors are raised.
    """
    if name == "tfidf":
        return TfidfEmbedder()
    if name.startswith("stored-"):
        return StoredEmbedder(name.removeprefix("stored-"))
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
