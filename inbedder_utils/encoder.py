"""The encoder: ask every text a question, return the states of the expected answers."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from threading import Lock
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inbedder_utils.batching import pad, run_batches
from inbedder_utils.checks import (
    as_list,
    checked_instructions,
    checked_questions,
    checked_texts,
    integer,
    layer_index,
    one_of,
)
from inbedder_utils.generation import greedy_answers
from inbedder_utils.hidden_states import blocks_of, lm_logits
from inbedder_utils.registry import FAMILY_POOLINGS, Checkpoint
from inbedder_utils.tokens import PromptTokenizer, Truncation
from inbedder_utils.words import best_words

Texts = Iterable[str]
MAX_TOKENS = {"cpu": 1024, "mps": 8192, "cuda": 65536}
"""Tokens in a batch, padding included. For the CPU, see benchmarks/batch_size.py; the others are first guesses."""


class Encoder:
    """A language model that embeds the answer it expects; made by `inbedder_utils.load_encoder`.

    Each family of models says where its answer's states are: `CausalEncoder`, `MaskedEncoder`, `Seq2SeqEncoder`.

    Attributes:
        lm: the model, with its LM head.
        tokenizer: its tokenizer.
        checkpoint: family, prompt, pooling, layer, lengths.
    """

    whole_prompt_side: ClassVar[str] = "left"
    generation_padding: ClassVar[str] = "right"

    def __init__(
        self,
        lm: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        checkpoint: Checkpoint,
        *,
        truncation: Truncation = "text",
        re_encoder: Any = None,
    ) -> None:
        self.lm, self.tokenizer, self.checkpoint, self.re_encoder = lm.eval(), tokenizer, checkpoint, re_encoder
        self.prompt_ids = self.prompt_tokenizer(tokenizer, checkpoint, truncation)
        self.special_ids = frozenset(tokenizer.all_special_ids)
        self.pad_id = next(i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id, 0) if i is not None)
        self.max_tokens = MAX_TOKENS[lm.device.type]
        self._lock = Lock()

    @classmethod
    def prompt_tokenizer(
        cls, tokenizer: PreTrainedTokenizerBase, checkpoint: Checkpoint, truncation: Truncation
    ) -> PromptTokenizer:
        """What turns texts into ids; needs no weights, so that its errors can come before they are read."""
        return PromptTokenizer(
            tokenizer,
            checkpoint.prompt,
            max_length=checkpoint.max_length,
            truncation=truncation,
            n_masks=checkpoint.n_masks if checkpoint.family == "masked" else 0,
            whole_prompt_side=cls.whole_prompt_side,
        )

    def encode(
        self,
        texts: Texts,
        instruction: str | Sequence[str],
        *,
        batch_size: int | None = None,
        normalize_embeddings: bool = False,
        show_progress_bar: bool = False,
    ) -> np.ndarray:
        """Embed each text as the answer it gives to a question.

        Args:
            texts: n strings.
            instruction: the question; one for all texts, or one per text.
            batch_size: texts per batch; None fills batches up to a budget of tokens.
            normalize_embeddings: scale every vector to unit length.
            show_progress_bar: draw a bar that counts texts.

        Returns:
            (n, d) float32, in the order of `texts`. On a CPU in float32 a vector depends on its text, instruction
            and settings only, not on its neighbours.

        Raises:
            TypeError: if a text or an instruction is not a string.
            ValueError: if an instruction is empty or too long, or there are not as many as texts.
        """
        pooling, layer = self.checkpoint.pooling, self.checkpoint.layer
        options = {"batch_size": batch_size, "show_progress_bar": show_progress_bar}
        if pooling == "re_encode":
            answers = self.answer(texts, instruction, **options)
            vectors = np.asarray(self.re_encoder.encode(answers or [""]), dtype=np.float32)[: len(answers)]
        else:
            vectors = self.pooled(texts, instruction, [pooling], [layer], **options)[pooling, layer]
        if self.checkpoint.standardize:
            vectors = (vectors - vectors.mean(1, keepdims=True)) / vectors.std(1, ddof=1, keepdims=True)
        if normalize_embeddings:
            vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors

    def encode_many(self, texts: Texts, instructions: Sequence[str], **options: Any) -> np.ndarray:
        """Embed every text under every question.

        Args:
            texts: n strings.
            instructions: k questions.
            options: as for `encode`.

        Returns:
            (k, n, d) float32; the i-th slice is `encode(texts, instructions[i])`.

        Raises:
            TypeError, ValueError: as `encode`; also if there are no questions, or `instructions` is a single string.
        """
        texts, questions = checked_texts(texts), checked_questions(instructions)
        return np.stack([self.encode(texts, question, **options) for question in questions])

    def pooled(
        self,
        texts: Texts,
        instruction: str | Sequence[str],
        poolings: Sequence[str] | None = None,
        layers: Sequence[int] | None = None,
        *,
        batch_size: int | None = None,
        show_progress_bar: bool = False,
    ) -> dict[tuple[str, int], np.ndarray]:
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
        names = [self.checkpoint.pooling] if poolings is None else as_list("poolings", poolings, "pass [pooling]")
        layers = [self.checkpoint.layer] if layers is None else as_list("layers", layers, "pass [layer]")
        if not names or not layers:
            raise ValueError(f"poolings and layers must name at least one each, got {names} and {layers}")
        names = list(map(self._pooling, names))
        wanted = {(name, layer): (name, self.layer_index(name, layer)) for name in names for layer in layers}
        texts = checked_texts(texts)
        instructions = checked_instructions(instruction, len(texts))
        if not texts:  # the width depends on model and layer: ask them
            probe = self.pooled([""], "?", names, layers, batch_size=batch_size)
            return {key: vectors[:0] for key, vectors in probe.items()}
        rows = self._rows(texts, instructions)
        read, pooled = partial(self._read, wanted=set(wanted.values())), {}
        for indices, states in self._batches(rows, read, batch_size, show_progress_bar):
            for key, vectors in states.items():
                pooled.setdefault(key, np.empty((len(rows), vectors.shape[1]), np.float32))[indices] = vectors.cpu()
        return {given: pooled[key] for given, key in wanted.items()}

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
        texts = checked_texts(texts)
        rows = self._rows(texts, checked_instructions(instruction, len(texts)))
        answers = [""] * len(rows)
        for indices, ids in self._batches(rows, self._answer, batch_size, show_progress_bar):
            for i, answer in zip(indices, self.tokenizer.batch_decode(ids, skip_special_tokens=True), strict=True):
                answers[i] = answer.strip()
        return answers

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
            ValueError: if `embeddings` is not (n, d) with the width of the last layer, or not finite.
        """
        integer("k", k, at_least=1)
        states = torch.as_tensor(np.asarray(embeddings, dtype=np.float32))
        width = self.lm.get_output_embeddings().weight.shape[1]
        if states.ndim != 2 or states.shape[1] != width:
            raise ValueError(f"embeddings must be (n, {width}), the width of the last layer; got {tuple(states.shape)}")
        if not states.isfinite().all():
            raise ValueError("embeddings hold NaN or infinite numbers, which are no words: encode the texts again")
        words = []
        for rows in states.to(self.lm.device, self.lm.dtype).split(64):
            with self._lock:
                logits = self._logits(rows)
            words += best_words(logits, self.tokenizer, k)
        return words

    def _rows(self, texts: list[str], instructions: list[str]) -> list[list[int]]:
        return self.prompt_ids(texts, instructions)

    def _logits(self, states: Tensor) -> Tensor:
        return lm_logits(self.lm, self._stack, states)

    def _batches(
        self, rows: list[list[int]], step: Callable[[list[list[int]]], Any], batch_size: int | None, show_bar: bool
    ) -> Iterator[tuple[np.ndarray, Any]]:
        if batch_size is not None:
            integer("batch_size", batch_size, at_least=1, fix="None fills batches by tokens")

        @torch.inference_mode()
        def run(indices: np.ndarray) -> Any:
            with self._lock:  # states are read through hooks on the model, which threads share
                return step([rows[i] for i in indices])

        lengths = [len(row) for row in rows]
        return run_batches(lengths, run, max_tokens=self.max_tokens, batch_size=batch_size, show_progress_bar=show_bar)

    def _pooling(self, name: str) -> str:
        if name == "re_encode":
            raise ValueError("re_encode embeds words, not hidden states: load with pooling='re_encode' and use encode")
        return one_of("pooling", name, FAMILY_POOLINGS[self.checkpoint.family])

    def layer_index(self, pooling: str, layer: int) -> int:
        """Count a layer from 0; raise a ValueError if the pooling has no such layer."""
        return layer_index(layer, len(blocks_of(self._stack_of(pooling))))

    def _stack_of(self, pooling: str) -> nn.Module:
        """The part of the model whose layers a pooling reads."""
        return self._stack

    @property
    def _stack(self) -> nn.Module:
        """The part of the model whose output the LM head reads."""
        return self.lm.base_model

    def _read(self, rows: list[list[int]], wanted: set[tuple[str, int]]) -> dict[tuple[str, int], Tensor]:
        """Pool one batch: {(pooling, layer): (B, d) float32}."""
        raise NotImplementedError

    def _answer(self, rows: list[list[int]]) -> list[list[int]]:
        """Answer one batch: ids, special ones included."""
        ids, mask = pad(rows, self.pad_id, side=self.generation_padding, device=self.lm.device)
        most = self.checkpoint.max_new_tokens
        return greedy_answers(self.lm, ids, mask, max_new_tokens=most, pad_id=self.pad_id).tolist()

    def __repr__(self) -> str:
        c, config = self.checkpoint, self.lm.config
        return (
            f"{type(self).__name__}({c.name!r}: {config.num_hidden_layers} layers of width {config.hidden_size}, "
            f"pooling {c.pooling} at layer {c.layer}, {str(self.lm.dtype).removeprefix('torch.')} on {self.lm.device}, "
            f"attention {config._attn_implementation}, at most {c.max_length} tokens)"
        )
