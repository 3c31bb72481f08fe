"""The part of an encoder that runs the model: prompts in batches in, states and answers out."""

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inbedder_utils.checks import layer_index
from inbedder_utils.inference.batching import Budget, pad, run_batches
from inbedder_utils.inference.generation import greedy_answers
from inbedder_utils.inference.hidden_states import alone_with, blocks_of, lm_logits, read_layers
from inbedder_utils.inference.layouts import Layout, Reading, can_pack, packed, padded, readings
from inbedder_utils.inference.packed_attention import packed_attention
from inbedder_utils.inference.text_memory import TextMemory
from inbedder_utils.registry import Checkpoint
from inbedder_utils.storage.streams import one_ahead
from inbedder_utils.storage.vector_cache import VectorCache
from inbedder_utils.tokens import PromptTokenizer, Truncation, padding_id

Key = tuple[str, int]
MAX_TOKENS = {"cpu": 1024, "mps": 8192, "cuda": 65536}
"""Tokens in a batch. For the CPU, see benchmarks/batch_size.py; the others are first guesses."""
CHUNK = 2048
"""Prompts that are tokenized at once, while the model reads those before them."""
ANSWER = "answer"
"""Not a pooling: the ids of the answer."""
OF_THE_ANSWER = {ANSWER, "fst_gen", "last_gen", "avg_gen"}
"""What needs no states of the text itself."""


class Reader:
    """Runs a language model on texts and questions; each family of models says where its answer's states are.

    Attributes:
        lm: the model, with its LM head.
        tokenizer: its tokenizer.
        checkpoint: family, prompt, pooling, layer, lengths.
        max_tokens: most tokens in a batch; None for `MAX_TOKENS` of the device that `lm` is on.
    """

    whole_prompt_side: ClassVar[str] = "left"
    generation_padding: ClassVar[str] = "right"
    causal: ClassVar[bool] = False

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
        self.pad_id = padding_id(tokenizer, lm)
        self.max_tokens: int | None = None
        self._memory: TextMemory | None = None

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

    def layer_index(self, pooling: str, layer: int) -> int:
        """Count a layer from 0; raise a ValueError if the pooling has no such layer."""
        return layer_index(layer, len(blocks_of(self._stack_of(pooling))))

    def _states(
        self, texts: list[str], asked: list[str], wanted: set[Key], *, batch_size: int | None = None, bar: tqdm
    ) -> dict[Key, np.ndarray]:
        """What is wanted of every text: {(pooling, layer): (n, d) float32}; the answer's ids (n, masks)."""
        if not texts:  # the width depends on model and layer: ask them
            probe = self._states([""], ["?"], wanted, batch_size=batch_size, bar=tqdm(disable=True))
            return {key: vectors[:0] for key, vectors in probe.items()}
        found: dict[Key, np.ndarray] = {}
        step = partial(self._read, wanted=wanted)
        names = {name for name, _ in wanted}
        for indices, states in self._batches(texts, asked, step, names, batch_size=batch_size, bar=bar):
            for key, vectors in states.items():
                some = vectors.cpu().numpy()
                found.setdefault(key, np.empty((len(texts), some.shape[1]), some.dtype))[indices] = some
        return found

    def _finished(self, vectors: np.ndarray, normalize: bool) -> np.ndarray:
        if self.checkpoint.standardize:
            vectors = (vectors - vectors.mean(1, keepdims=True)) / vectors.std(1, ddof=1, keepdims=True)
        if normalize:
            vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors

    def _vectors(
        self, texts: list[str], asked: list[str], store: VectorCache | None, *, batch_size: int | None, bar: tqdm
    ) -> np.ndarray:
        """Embeddings by the encoder's own pooling and layer; those in the store, and new ones, which go there."""
        if not texts:
            return self._vectors([""], ["?"], None, batch_size=batch_size, bar=tqdm(disable=True))[:0]
        pairs = list(zip(texts, asked, strict=True))
        place = {pair: i for i, pair in enumerate(dict.fromkeys(pairs))}  # what occurs twice is encoded once
        texts, asked = (list(column) for column in zip(*place, strict=True))
        known = store.get(texts, asked) if store else [None] * len(texts)
        done = {i for i, vector in enumerate(known) if vector is not None}
        if len(done) < len(texts):
            for indices, vectors in self._encoded(texts, asked, done, batch_size=batch_size, bar=bar):
                if store:
                    store.put([texts[i] for i in indices], [asked[i] for i in indices], vectors)
                for i, vector in zip(indices, vectors, strict=True):
                    known[i] = vector
        bar.update(len(pairs) - len(texts) + len(done))
        return np.stack([known[place[pair]] for pair in pairs])

    def _encoded(
        self, texts: list[str], asked: list[str], done: set[int], *, batch_size: int | None, bar: tqdm
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Embeddings that aren't done yet, batch by batch: indices of the texts, and (b, d) float32."""
        run = {"batch_size": batch_size, "bar": bar}
        if self.checkpoint.pooling == "re_encode":
            for indices, ids in self._batches(texts, asked, self._answer, {ANSWER}, done=done, **run):
                yield indices, np.asarray(self.re_encoder.encode(self._decoded(ids)), dtype=np.float32)
            return
        key = self._own_key
        step = partial(self._read, wanted={key})
        for indices, found in self._batches(texts, asked, step, {key[0]}, done=done, **run):
            yield indices, found[key].cpu().numpy()

    @property
    def _own_key(self) -> Key:
        pooling = self.checkpoint.pooling
        return pooling, self.layer_index(pooling, self.checkpoint.layer)

    def _answers(self, texts: list[str], asked: list[str], *, batch_size: int | None = None, bar: tqdm) -> list[str]:
        answers = [""] * len(texts)
        for indices, ids in self._batches(texts, asked, self._answer, {ANSWER}, batch_size=batch_size, bar=bar):
            for i, answer in zip(indices, self._decoded(ids), strict=True):
                answers[i] = answer
        return answers

    def _decoded(self, ids: Sequence[Sequence[int]]) -> list[str]:
        if not len(ids):
            return []
        return [answer.strip() for answer in self.tokenizer.batch_decode(ids, skip_special_tokens=True)]

    def _batches(
        self,
        texts: list[str],
        asked: list[str],
        step: Callable[[list[Reading]], Any],
        names: Collection[str],
        *,
        batch_size: int | None,
        bar: tqdm,
        done: Collection[int] = (),
    ) -> Iterator[tuple[list[int], Any]]:
        """Call `step` on all texts, batch by batch; yield the indices of its prompts, and its result.

        Prompts that are `done` are left out only when batches are made: a run that goes on after a crash has the same
        batches as one without, and so the same vectors to the last bit.
        """
        with alone_with(self.lm):
            padded = not self._packs or self._generates(names)  # generation pads, and shares nothing
        budget = Budget(self.max_tokens or MAX_TOKENS[self.lm.device.type], batch_size, padded=padded)
        if len(texts) > CHUNK:  # a question that is too long should show before any model work
            questions = list(dict.fromkeys(asked))
            self.prompt_ids(["a"] * len(questions), questions)

        def chunks() -> Iterator[list[Reading]]:
            for start in range(0, len(texts), CHUNK):
                some = texts[start : start + CHUNK], asked[start : start + CHUNK]
                rows = self.prompt_ids(*some)
                splits = self._splits(rows, *some)
                yield readings(rows, splits, budget.max_tokens, share=not padded, first=start)

        @torch.inference_mode()
        def run(batch: list[Reading]) -> list[tuple[list[int], Any]]:
            left = [reading for reading in (reading.without(done) for reading in batch) if reading.rests]
            if not left:
                return []
            try:
                with alone_with(self.lm):
                    return [([i for reading in left for i in reading.indices], step(left))]
            except torch.OutOfMemoryError:
                if len(left) > 1 or len(left[0].rests) == 1:
                    raise
            return [found for half in left[0].halves() for found in run([half])]

        for chunk in one_ahead(chunks()):
            costs = [reading.cost for reading in chunk]
            for _, found in run_batches(costs, lambda batch, of=chunk: run([of[i] for i in batch]), budget):
                for indices, result in found:
                    bar.update(len(indices))
                    yield indices, result

    def _layout(self, batch: Sequence[Reading], wanted: set[Key]) -> Layout:
        if not self._packs:
            return padded(batch, self.lm, self.pad_id, causal=self.causal, read_once=self.checkpoint.read_once)
        memory = self._memory if all(name in OF_THE_ANSWER for name, _ in wanted) else None
        depth = max(layer for _, layer in wanted)
        return packed(batch, self._stack.config, self.lm.device, causal=self.causal, memory=memory, depth=depth)

    def _run(self, layout: Layout, layers: Collection[int], read: Callable[[int, Tensor], None], **inputs: Any) -> None:
        """Hand over hidden states (B, T, H) of some layers."""
        with packed_attention(self._stack, layout.sequences):
            read_layers(self._stack, layers, read, **layout.inputs, **inputs)
        if layout.sequences and layout.sequences.caught:
            self._memory.keep(layout.texts, max(layers), layout.sequences.caught)

    @cached_property
    def _packs(self) -> bool:
        longest = self.checkpoint.max_length + self.checkpoint.max_new_tokens
        return can_pack(self._stack, longest, causal=self.causal)

    def _splits(self, rows: list[list[int]], texts: Sequence[str], asked: Sequence[str]) -> list[int]:
        """How many of each prompt's first tokens don't see what follows, so that other prompts can share them."""
        return [0] * len(rows)

    def _generates(self, names: Collection[str]) -> bool:
        """Whether a pooling among these, or the answer, takes more than one pass."""
        raise NotImplementedError

    def _read(self, batch: Sequence[Reading], wanted: set[Key]) -> dict[Key, Tensor]:
        """Pool one batch: {(pooling, layer): (B, d) float32}."""
        raise NotImplementedError

    def _answer(self, batch: Sequence[Reading]) -> list[list[int]]:
        """Answer one batch: ids, special ones included."""
        return self._generated([row for reading in batch for row in reading.rows])

    def _generated(self, rows: list[list[int]]) -> list[list[int]]:
        ids, mask = pad(rows, self.pad_id, side=self.generation_padding, device=self.lm.device)
        most = self.checkpoint.max_new_tokens
        return greedy_answers(self.lm, ids, mask, max_new_tokens=most, pad_id=self.pad_id).tolist()

    def _logits(self, states: Tensor) -> Tensor:
        return lm_logits(self.lm, self._stack, states)

    def _stack_of(self, pooling: str) -> nn.Module:
        """The part of the model whose layers a pooling reads."""
        return self._stack

    @property
    def _stack(self) -> nn.Module:
        """The part of the model whose output the LM head reads."""
        return self.lm.base_model
