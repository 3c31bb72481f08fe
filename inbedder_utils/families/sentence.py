"""Plain sentence embedders as baselines, behind the same `encode`."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from inbedder_utils.checks import (
    checked_batch_size,
    checked_instructions,
    checked_questions,
    checked_texts,
    finite_vectors,
)
from inbedder_utils.prompts import Prompt
from inbedder_utils.registry import Checkpoint

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class SentenceEmbedder:
    """A sentence-transformers model; it answers nothing, and sees the question only if its prompt has room for one.

    Attributes:
        model: the SentenceTransformer.
        checkpoint: name and prompt: "{input}", or for instance "{instruction}: {input}".
    """

    def __init__(self, model: "SentenceTransformer", checkpoint: Checkpoint) -> None:
        self.model, self.checkpoint, self.prompt = model, checkpoint, Prompt(checkpoint.prompt)

    def encode(
        self,
        texts: Iterable[str],
        instruction: str | Sequence[str] = "",
        *,
        batch_size: int | None = None,
        normalize_embeddings: bool = False,
        show_progress_bar: bool = False,
    ) -> np.ndarray:
        """Embed texts; see `Encoder.encode`, whose arguments and errors these are.

        Returns:
            (n, d) float32.
        """
        texts = checked_texts(texts)
        asked = checked_instructions(instruction, len(texts)) if self.prompt.asks else [""] * len(texts)
        filled = ["".join(self.prompt.fill(*pair).sides) for pair in zip(texts, asked, strict=True)]
        vectors = self.model.encode(
            filled or [""],
            batch_size=checked_batch_size(batch_size) or 32,
            normalize_embeddings=normalize_embeddings,
            show_progress_bar=show_progress_bar,
        )
        return finite_vectors(np.asarray(vectors, dtype=np.float32)[: len(texts)], texts)

    def encode_many(self, texts: Iterable[str], instructions: Sequence[str], **options: Any) -> np.ndarray:
        """Embed every text under every question: (k, n, d) float32."""
        texts = checked_texts(texts)
        return np.stack([self.encode(texts, question, **options) for question in checked_questions(instructions)])

    def __repr__(self) -> str:
        asks = "sees the question" if self.prompt.asks else "sees no question"
        return f"SentenceEmbedder({self.checkpoint.name!r}: {asks}, on {self.model.device})"
