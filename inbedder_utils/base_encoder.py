"""What all encoders share, whoever runs their model: texts and questions in, vectors out, kept and streamed."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from inbedder_utils.checks import checked_batch_size, checked_instructions, checked_questions, checked_texts
from inbedder_utils.inference.long_texts import Passages, unread
from inbedder_utils.inference.progress import counting
from inbedder_utils.pooling import scaled
from inbedder_utils.registry import Checkpoint
from inbedder_utils.storage import streams
from inbedder_utils.storage.vector_cache import VectorCache
from inbedder_utils.tokens import PromptTokenizer

Texts = Iterable[str]
Instruction = str | Sequence[str]


class BaseEncoder:
    """Embeds texts under questions; those who inherit say where new vectors come from.

    Attributes:
        checkpoint: family, prompt, pooling, layer, lengths.
        prompt_tokenizer: makes ids of texts and questions.
    """

    checkpoint: Checkpoint
    prompt_tokenizer: PromptTokenizer

    def encode(
        self,
        texts: Texts,
        instruction: Instruction,
        *,
        batch_size: int | None = None,
        normalize_embeddings: bool = False,
        show_progress_bar: bool = False,
        cache: str | Path | None = None,
        out: str | Path | None = None,
    ) -> np.ndarray:
        """Embed each text as the answer it gives to a question.

        Args:
            texts: n strings.
            instruction: the question; one for all texts, or one per text.
            batch_size: texts per batch; None fills batches up to a budget of tokens.
            normalize_embeddings: scale every vector to unit length.
            show_progress_bar: draw a bar that counts texts.
            cache: a folder; vectors are kept there within a second, and what is kept is not encoded again.
            out: a .npy file for the vectors, which appears when all are written. Texts may then be a generator or a
                column of any length: a window of them at a time is in memory.

        Returns:
            (n, d) float32, in the order of `texts`; with `out`, mapped from the file. On a CPU in float32 a vector
            depends on its text, instruction and settings only, not on its neighbours; but for its last bits, which
            may differ by 1e-6 of its length with the batch, and where texts are shared between questions.

        Raises:
            TypeError: if a text or an instruction is not a string.
            ValueError: if an instruction is empty or too long, if there are not as many as texts, or if vectors
                aren't finite.
            OSError: if `cache` or `out` can't be written.
        """
        path = None if out is None else streams.checked_npy(out)
        n, parts = streams.windows(texts, instruction, at_once=path is None)
        vectors = self._encoded(n, parts, normalize_embeddings, batch_size, cache, show_progress_bar)
        return streams.collected(vectors, n, path)

    def encode_many(
        self,
        texts: Texts,
        instructions: Sequence[str],
        *,
        batch_size: int | None = None,
        normalize_embeddings: bool = False,
        show_progress_bar: bool = False,
        cache: str | Path | None = None,
        out: str | Path | None = None,
    ) -> np.ndarray:
        """Embed every text under every question.

        Causal models, and masked ones with read-once attention (`mini`), read a text once for all its questions. To
        other models the text looks different under each, and they read it as often. Arguments and errors are those of
        `encode`, but for `instructions`: k questions, at least one.

        Returns:
            (k, n, d) float32; the i-th slice is `encode(texts, instructions[i])`.
        """
        texts, questions = checked_texts(texts), checked_questions(instructions)
        path = None if out is None else streams.checked_npy(out)
        n, k = len(texts), len(questions)
        repeated = [text for text in texts for _ in questions]  # a text's questions stand together
        n_pairs, parts = streams.windows(repeated, questions * n, size=max(1, streams.WINDOW // k) * k)
        vectors = self._encoded(n_pairs, parts, normalize_embeddings, batch_size, cache, show_progress_bar)
        return streams.collected(vectors, n, path, k)

    def unread(self, texts: Texts, instruction: Instruction) -> list[str]:
        """What the model does not get to read of texts (as in `encode`), in sentences; none if it reads all."""
        texts = checked_texts(texts)
        return unread(self.prompt_tokenizer, texts, checked_instructions(instruction, len(texts)))

    def _encoded(
        self, n: int | None, parts: Iterator, normalize: bool, batch_size: int | None, cache: Any, shown: bool
    ) -> Iterator[np.ndarray]:
        """Embeddings of texts and their questions, part by part."""
        checked_batch_size(batch_size)
        store = None if cache is None else VectorCache(cache, self._lasting_identity())
        new = partial(self._new_vectors, batch_size=batch_size)
        with counting(n, shown, self.checkpoint.max_length) as bar:
            for part in parts:
                passages = Passages(self.prompt_tokenizer, *part)
                vectors = streams.gathered(passages.texts, passages.questions, store, new, bar)
                yield scaled(passages.averaged(vectors), self.checkpoint.standardize, normalize)

    # --- what those who inherit say

    def _lasting_identity(self) -> dict[str, Any]:
        """Everything that decides about the vectors, under which they can be kept."""
        raise NotImplementedError

    def _new_vectors(
        self, texts: list[str], questions: list[str], **run: Any
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Embeddings that aren't done yet, batch by batch: indices of the texts, and (b, d) float32."""
        raise NotImplementedError
