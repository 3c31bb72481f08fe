"""The encoder: ask every text a question, return the states of the expected answers."""

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from inbedder_utils.checks import (
    as_list,
    checked_instructions,
    checked_questions,
    checked_texts,
    integer,
    one_of,
)
from inbedder_utils.inference.hidden_states import alone_with
from inbedder_utils.inference.reader import Key, Reader
from inbedder_utils.inference.text_memory import TextMemory
from inbedder_utils.inference.words import best_words, last_layer_states
from inbedder_utils.registry import FAMILY_POOLINGS
from inbedder_utils.storage import streams
from inbedder_utils.storage.identity import lasting_identity
from inbedder_utils.storage.vector_cache import VectorCache

Texts = Iterable[str]


class Encoder(Reader):
    """A language model that embeds the answer it expects; made by `inbedder_utils.load_encoder`.

    Each family of models says where its answer's states are: `CausalEncoder`, `MaskedEncoder`, `Seq2SeqEncoder`.
    """

    def encode(
        self,
        texts: Texts,
        instruction: str | Sequence[str],
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
            cache: a folder; every batch is kept there as soon as it is done, and what is kept is not encoded again
                (see `inbedder_utils.storage.vector_cache`).
            out: a .npy file for the vectors, which appears when all are written. Texts may then be a generator or a
                column of any length: a window of them at a time is in memory.

        Returns:
            (n, d) float32, in the order of `texts`; with `out`, mapped from the file. On a CPU in float32 a vector
            depends on its text, instruction and settings only, not on its neighbours.

        Raises:
            TypeError: if a text or an instruction is not a string.
            ValueError: if an instruction is empty or too long, or there are not as many as texts.
            OSError: if `cache` or `out` can't be written.
        """
        _check_batch_size(batch_size)
        path = None if out is None else streams.checked_npy(out)
        n, parts = streams.windows(checked_texts(texts) if path is None else texts, instruction)
        with self._progress(n, show_progress_bar) as bar, _store(self, cache) as store:
            vectors = (
                self._finished(self._vectors(*part, store, batch_size=batch_size, bar=bar), normalize_embeddings)
                for part in parts
            )
            return np.concatenate(list(vectors)) if path is None else streams.write_npy(path, vectors)

    def encode_many(
        self,
        texts: Texts,
        instructions: Sequence[str],
        *,
        batch_size: int | None = None,
        normalize_embeddings: bool = False,
        show_progress_bar: bool = False,
        cache: str | Path | None = None,
    ) -> np.ndarray:
        """Embed every text under every question.

        Causal models, and masked ones with read-once attention (`mini`), read a text once for all its questions. To
        other models the text looks different under each, and they read it as often.

        Args:
            texts: n strings.
            instructions: k questions.
            batch_size: as for `encode`.
            normalize_embeddings: as for `encode`.
            show_progress_bar: draw a bar that counts texts, once for every question.
            cache: as for `encode`.

        Returns:
            (k, n, d) float32; the i-th slice is `encode(texts, instructions[i])`.

        Raises:
            TypeError, ValueError: as `encode`; also if there are no questions, or `instructions` is a single string.
        """
        texts, questions = checked_texts(texts), checked_questions(instructions)
        vectors = self.encode(
            [text for text in texts for _ in questions],  # a text's questions stand together
            questions * len(texts),
            batch_size=batch_size,
            normalize_embeddings=normalize_embeddings,
            show_progress_bar=show_progress_bar,
            cache=cache,
        )
        return np.ascontiguousarray(vectors.reshape(len(texts), len(questions), vectors.shape[1]).swapaxes(0, 1))

    def pooled(
        self,
        texts: Texts,
        instruction: str | Sequence[str],
        poolings: Sequence[str] | None = None,
        layers: Sequence[int] | None = None,
        *,
        batch_size: int | None = None,
        show_progress_bar: bool = False,
    ) -> dict[Key, np.ndarray]:
        """Embeddings by several poolings at several layers, in one pass over the texts.

        Args:
            texts: n strings.
            instruction: the question, or one per text.
            poolings: any of `inbedder_utils.registry.POOLINGS` but `re_encode`; None for the encoder's own.
            layers: 0 (token embeddings) to the number of blocks; negative ones count from the end; None for the
                encoder's own.
            batch_size: texts per batch; None fills batches up to a budget of tokens.
            show_progress_bar: draw a bar that counts texts.

        Returns:
            {(pooling, layer): (n, d) float32}, neither standardized nor normalized; layers are named as given.

        Raises:
            TypeError, ValueError: as `encode`; also for an unknown pooling or a layer out of range.
        """
        _check_batch_size(batch_size)
        names = [self.checkpoint.pooling] if poolings is None else as_list("poolings", poolings, "pass [pooling]")
        layers = [self.checkpoint.layer] if layers is None else as_list("layers", layers, "pass [layer]")
        if not names or not layers:
            raise ValueError(f"poolings and layers must name at least one each, got {names} and {layers}")
        names = list(map(self._pooling, names))
        wanted = {(name, layer): (name, self.layer_index(name, layer)) for name in names for layer in layers}
        texts = checked_texts(texts)
        asked = checked_instructions(instruction, len(texts))
        with self._progress(len(texts), show_progress_bar) as bar:
            found = self._states(texts, asked, set(wanted.values()), batch_size=batch_size, bar=bar)
        return {given: found[key] for given, key in wanted.items()}

    def answer(
        self,
        texts: Texts,
        instruction: str | Sequence[str],
        *,
        batch_size: int | None = None,
        show_progress_bar: bool = False,
    ) -> list[str]:
        """Answer the question for each text, in words (greedy search).

        Args:
            texts: n strings.
            instruction: the question, or one per text.
            batch_size: texts per batch; None fills batches up to a budget of tokens.
            show_progress_bar: draw a bar that counts texts.

        Returns:
            n answers of at most the checkpoint's `max_new_tokens` (masked models: `n_masks`) tokens; may be empty.

        Raises:
            TypeError, ValueError: as `encode`.
        """
        _check_batch_size(batch_size)
        texts = checked_texts(texts)
        asked = checked_instructions(instruction, len(texts))
        with self._progress(len(texts), show_progress_bar) as bar:
            return self._answers(texts, asked, batch_size=batch_size, bar=bar)

    def encode_with_answers(
        self, texts: Texts, instruction: str | Sequence[str], *, show_progress_bar: bool = False
    ) -> tuple[np.ndarray, list[str]]:
        """What `encode` and `answer` give; a masked model reads each text only once for both.

        Args:
            texts: n strings.
            instruction: the question, or one per text.
            show_progress_bar: draw a bar that counts texts.

        Returns:
            (n, d) float32, and n answers.

        Raises:
            TypeError, ValueError: as `encode`.
        """
        texts = checked_texts(texts)
        run = {"show_progress_bar": show_progress_bar}
        return self.encode(texts, instruction, **run), self.answer(texts, instruction, **run)

    def remembering(self, max_bytes: int = 2**30) -> "Encoder":
        """A copy that keeps what it reads of texts, so that further questions about them cost the questions only.

        That is for causal models and for masked ones with read-once attention (`mini`, which takes 18 kB per token);
        others are copied as they are. The weights are shared, and must not change.

        Args:
            max_bytes: most to keep, on the model's device; texts beyond are read for every question.

        Raises:
            TypeError, ValueError: if `max_bytes` is not a positive integer.
        """
        copied = copy(self)
        copied._memory = TextMemory(integer("max_bytes", max_bytes, at_least=1))
        return copied

    @torch.inference_mode()
    def words(self, embeddings: np.ndarray, k: int = 10) -> list[list[str]]:
        """Read embeddings back as words: the vocabulary entries to which the LM head gives the highest scores.

        Exact for last-layer states that the head was made for; a lower layer or an average gives hints.

        Args:
            embeddings: (n, d) from `encode`, not normalized; or an average of them.
            k: words per embedding.

        Returns:
            n lists of k words (fewer if the vocabulary has fewer), best first. Special tokens, pieces without a
            letter or digit, and repetitions that differ only in case or leading space are left out.

        Raises:
            TypeError: if `embeddings` holds something else than numbers, or `k` is no integer.
            ValueError: if `embeddings` is not (n, d) with the width of the last layer, or not finite.
        """
        integer("k", k, at_least=1)
        states = last_layer_states(embeddings, self.lm.get_output_embeddings().weight.shape[1])
        words = []
        for rows in states.to(self.lm.device, self.lm.dtype).split(64):
            with alone_with(self.lm):
                logits = self._logits(rows)
            words += best_words(logits, self.tokenizer, k)
        return words

    def _pooling(self, name: str) -> str:
        if one_of("pooling", name, FAMILY_POOLINGS[self.checkpoint.family]) == "re_encode":
            raise ValueError("re_encode embeds words, not hidden states: load with pooling='re_encode' and use encode")
        return name

    def _progress(self, n: int | None, shown: bool) -> tqdm:
        return tqdm(total=n, disable=not shown, unit="text")

    def __repr__(self) -> str:
        c, config = self.checkpoint, self.lm.config
        return (
            f"{type(self).__name__}({c.name!r}: {config.num_hidden_layers} layers of width {config.hidden_size}, "
            f"pooling {c.pooling} at layer {c.layer}, {str(self.lm.dtype).removeprefix('torch.')} on {self.lm.device}, "
            f"attention {config._attn_implementation}, at most {c.max_length} tokens)"
        )


def _check_batch_size(batch_size: int | None) -> None:
    if batch_size is not None:
        integer("batch_size", batch_size, at_least=1, fix="None fills batches by tokens")


def _store(encoder: Encoder, folder: str | Path | None) -> Any:
    return nullcontext(None if folder is None else VectorCache(folder, lasting_identity(encoder)))
