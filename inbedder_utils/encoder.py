"""The encoder: ask every text a question, return the states of the expected answers."""

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from inbedder_utils.checks import as_list, checked_instructions, checked_questions, checked_texts, integer, one_of
from inbedder_utils.inference.reader import Key, Reader
from inbedder_utils.inference.text_memory import TextMemory
from inbedder_utils.registry import FAMILY_POOLINGS
from inbedder_utils.storage import streams
from inbedder_utils.storage.identity import lasting_identity
from inbedder_utils.storage.vector_cache import VectorCache

Texts = Iterable[str]
Instruction = str | Sequence[str]


class Encoder:
    """Embeds each text as the answer that a language model expects; made by `inbedder_utils.load_encoder`.

    Args:
        reader: runs the model; one of `inbedder_utils.families`.
        re_encoder: for the pooling `re_encode`: its `encode(list of answers)` gives the vectors.
    """

    lm = property(attrgetter("reader.lm"), doc="The model, with its LM head.")
    tokenizer = property(attrgetter("reader.tokenizer"), doc="The model's tokenizer.")
    checkpoint = property(attrgetter("reader.checkpoint"), doc="Family, prompt, pooling, layer, lengths.")
    prompt_tokenizer = property(attrgetter("reader.prompt_tokenizer"), doc="Makes ids of texts and questions.")

    def __init__(self, reader: Reader, re_encoder: Any = None) -> None:
        self.reader, self.re_encoder = reader, re_encoder

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
        n, parts = streams.windows(texts, instruction, at_once=path is None)
        store = None if cache is None else VectorCache(cache, lasting_identity(self))
        with _progress(n, show_progress_bar) as bar:
            new = partial(self._new_vectors, batch_size=batch_size)
            vectors = (self._scaled(streams.gathered(*part, store, new, bar), normalize_embeddings) for part in parts)
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
        other models the text looks different under each, and they read it as often. Arguments and errors are those of
        `encode`, but for `instructions`: k questions, at least one.

        Returns:
            (k, n, d) float32; the i-th slice is `encode(texts, instructions[i])`.
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
        instruction: Instruction,
        poolings: Sequence[str] | None = None,
        layers: Sequence[int] | None = None,
        *,
        batch_size: int | None = None,
        show_progress_bar: bool = False,
    ) -> dict[Key, np.ndarray]:
        """Embeddings by several poolings at several layers, in one pass over the texts.

        Arguments and errors are those of `encode`, and besides, with None for the encoder's own: `poolings`, any of
        `inbedder_utils.registry.POOLINGS` but `re_encode`; and `layers`, 0 (token embeddings) to the number of blocks,
        negative ones from the end. A ValueError names an unknown pooling or a layer out of range.

        Returns:
            {(pooling, layer): (n, d) float32}, neither standardized nor normalized; layers are named as given.
        """
        _check_batch_size(batch_size)
        names = [self.checkpoint.pooling] if poolings is None else as_list("poolings", poolings, "pass [pooling]")
        layers = [self.checkpoint.layer] if layers is None else as_list("layers", layers, "pass [layer]")
        if not names or not layers:
            raise ValueError(f"poolings and layers must name at least one each, got {names} and {layers}")
        for name in names:
            if one_of("pooling", name, FAMILY_POOLINGS[self.checkpoint.family]) == "re_encode":
                raise ValueError(
                    "re_encode embeds words, not hidden states: load with pooling='re_encode' and use encode"
                )
        wanted = {(name, layer): (name, self.layer_index(name, layer)) for name in names for layer in layers}
        texts = checked_texts(texts)
        questions = checked_instructions(instruction, len(texts))
        with _progress(len(texts), show_progress_bar) as bar:
            vectors = self.reader.pooled(texts, questions, set(wanted.values()), batch_size=batch_size, bar=bar)
        return {given: vectors[key] for given, key in wanted.items()}

    def answer(
        self, texts: Texts, instruction: Instruction, *, batch_size: int | None = None, show_progress_bar: bool = False
    ) -> list[str]:
        """Answer the question for each text, in words (greedy search); arguments and errors are those of `encode`.

        Returns:
            n answers of at most the checkpoint's `max_new_tokens` (masked models: `n_masks`) tokens; may be empty.
        """
        _check_batch_size(batch_size)
        texts = checked_texts(texts)
        questions = checked_instructions(instruction, len(texts))
        with _progress(len(texts), show_progress_bar) as bar:
            batches = self.reader.answer_batches(texts, questions, batch_size=batch_size, bar=bar)
            answers = {i: answer for indices, batch in batches for i, answer in zip(indices, batch, strict=True)}
        return [answers[i] for i in range(len(texts))]

    def encode_with_answers(
        self, texts: Texts, instruction: Instruction, *, show_progress_bar: bool = False
    ) -> tuple[np.ndarray, list[str]]:
        """What `encode` and `answer` give, arguments and errors too; a masked model reads each text once for both.

        Returns:
            (n, d) float32, and n answers.
        """
        texts, answer_key = checked_texts(texts), self.reader.answer_key
        if answer_key is None or self.checkpoint.pooling == "re_encode":
            run = {"show_progress_bar": show_progress_bar}
            return self.encode(texts, instruction, **run), self.answer(texts, instruction, **run)
        questions = checked_instructions(instruction, len(texts))
        own_key = self._own_key
        with _progress(len(texts), show_progress_bar) as bar:
            pooled = self.reader.pooled(texts, questions, {own_key, answer_key}, bar=bar)
        return self._scaled(pooled[own_key], normalize=False), self.reader.decode(pooled[answer_key])

    def remembering(self, max_bytes: int = 2**30) -> "Encoder":
        """A copy that keeps what it reads of texts, so that further questions about them cost the questions only.

        That is for causal models and for masked ones with read-once attention (`mini`, which takes 18 kB per token);
        others are copied as they are. The weights are shared, and must not change.

        Args:
            max_bytes: most to keep, on the model's device, at least 1; texts beyond are read for every question.
        """
        reader = copy(self.reader)
        reader.memory = TextMemory(integer("max_bytes", max_bytes, at_least=1))
        return Encoder(reader, self.re_encoder)

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
            TypeError: if `embeddings` holds something else than numbers, or `k` is not an integer.
            ValueError: if `embeddings` is not (n, d) with the width of the last layer, or not finite.
        """
        return self.reader.words(embeddings, integer("k", k, at_least=1))

    def layer_index(self, pooling: str, layer: int) -> int:
        """Count a layer from 0; raise a ValueError if the pooling has no such layer."""
        return self.reader.layer_index(pooling, layer)

    @property
    def _own_key(self) -> Key:
        return self.checkpoint.pooling, self.layer_index(self.checkpoint.pooling, self.checkpoint.layer)

    def _new_vectors(
        self, texts: list[str], questions: list[str], **run: Any
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Embeddings that aren't done yet, batch by batch: indices of the texts, and (b, d) float32."""
        if self.checkpoint.pooling == "re_encode":
            for indices, answers in self.reader.answer_batches(texts, questions, **run):
                yield indices, np.asarray(self.re_encoder.encode(answers), dtype=np.float32)
            return
        key = self._own_key
        for indices, pooled in self.reader.pooled_batches(texts, questions, {key}, **run):
            yield indices, pooled[key]

    def _scaled(self, vectors: np.ndarray, normalize: bool) -> np.ndarray:
        if self.checkpoint.standardize:
            vectors = (vectors - vectors.mean(1, keepdims=True)) / vectors.std(1, ddof=1, keepdims=True)
        if normalize:
            vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors

    def __repr__(self) -> str:
        c, config = self.checkpoint, self.lm.config
        return (
            f"Encoder({c.name!r}: {c.family}, {config.num_hidden_layers} layers of width {config.hidden_size}, "
            f"pooling {c.pooling} at layer {c.layer}, {str(self.lm.dtype).removeprefix('torch.')} on {self.lm.device}, "
            f"attention {config._attn_implementation}, at most {c.max_length} tokens)"
        )


def _progress(n: int | None, shown: bool) -> tqdm:
    return tqdm(total=n, unit="text", **({} if shown else {"disable": True}))  # shown unless TQDM_DISABLE is set


def _check_batch_size(batch_size: int | None) -> None:
    if batch_size is not None:
        integer("batch_size", batch_size, at_least=1, fix="None fills batches by tokens")
