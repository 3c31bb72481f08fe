"""Runs a model: prompts in batches in, pooled states and answers out."""

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inbedder_utils.checks import finite_vectors, layer_index
from inbedder_utils.inference.batching import Budget, Reading, Way, group_by_text, one_ahead, pad, run_batches
from inbedder_utils.inference.hidden_states import alone_with, blocks_of, lm_logits, read_layers
from inbedder_utils.inference.layouts import Layout, pack, pad_prompts
from inbedder_utils.inference.packed_attention import packed_attention
from inbedder_utils.inference.progress import Progress
from inbedder_utils.inference.text_memory import TextMemory
from inbedder_utils.inference.trials import Trials
from inbedder_utils.inference.words import best_words, greedy_answers, last_layer_states
from inbedder_utils.registry import Checkpoint
from inbedder_utils.tokens import PromptTokenizer, Truncation, padding_id

Key = tuple[str, int]
"""Pooling and layer, counted from 0."""
MAX_TOKENS = {"cpu": 1024, "mps": 8192, "cuda": 32768}
"""Tokens in a batch in float32; types of half the size take twice as many. For the CPU, see benchmarks/batch_size.py;
the others are first guesses."""
PROMPTS_AHEAD = 2048
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
        prompt_tokenizer: turns texts and questions into the ids that the model reads.
        max_tokens: most tokens in a batch; None for what `MAX_TOKENS` says of the device and type of `lm`.
        memory: keeps what is read of texts, for further questions about them; None keeps nothing.
    """

    whole_prompt_side: ClassVar[str] = "left"
    generation_padding: ClassVar[str] = "right"
    causal: ClassVar[bool] = False
    packable: ClassVar[bool] = True

    def __init__(
        self,
        lm: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        checkpoint: Checkpoint,
        *,
        truncation: Truncation = "text",
    ) -> None:
        self.lm, self.tokenizer, self.checkpoint = lm.eval(), tokenizer, checkpoint
        self.prompt_tokenizer = self.make_prompt_tokenizer(tokenizer, checkpoint, truncation)
        self.special_ids = frozenset(tokenizer.all_special_ids)
        self.pad_id = padding_id(tokenizer, lm)
        self.max_tokens: int | None = None
        self.memory: TextMemory | None = None

    @classmethod
    def make_prompt_tokenizer(
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
            emoji_as_words=checkpoint.emoji_as_words,
        )

    def layer_index(self, pooling: str, layer: int) -> int:
        """Count a layer from 0; raise a ValueError if the pooling has no such layer."""
        return layer_index(layer, len(self.blocks_of(pooling)))

    def blocks_of(self, pooling: str) -> list[nn.Module]:
        """The transformer blocks that a pooling reads."""
        return blocks_of(self.stack_of(pooling))

    def pooled(self, texts: list[str], questions: list[str], wanted: set[Key], **run: Any) -> dict[Key, np.ndarray]:
        """What `pooled_batches` gives, in the order of the texts, of which there may be none: {key: (n, d)}."""
        if not texts:  # the width depends on model and layer: ask them
            probe = self.pooled([""], ["?"], wanted, bar=Progress(disable=True))
            return {key: values[:0] for key, values in probe.items()}
        arrays: dict[Key, np.ndarray] = {}
        for indices, pooled in self.pooled_batches(texts, questions, wanted, **run):
            for key, values in pooled.items():
                finite_vectors(values, [texts[i] for i in indices])
                arrays.setdefault(key, np.empty((len(texts), values.shape[1]), values.dtype))[indices] = values
        return arrays

    def pooled_batches(
        self, texts: list[str], questions: list[str], wanted: set[Key], **run: Any
    ) -> Iterator[tuple[list[int], dict[Key, np.ndarray]]]:
        """Read texts under their questions, batch by batch.

        Args:
            texts: n strings, at least one.
            questions: n strings.
            wanted: poolings and layers; `answer_key` for the answer's ids.
            run: `batch_size`, readings per batch (None fills batches by tokens); `bar`, which counts texts; `done`,
                indices of texts to leave out.

        Yields:
            Indices of b texts, and {(pooling, layer): (b, d) float32, or (b, masks) ids}.
        """
        generates = self.needs_generation({pooling for pooling, _ in wanted})
        step = partial(self.pool, wanted=wanted)
        for indices, pooled in self._batches(texts, questions, step, generates, **run):
            yield indices, {key: states.cpu().numpy() for key, states in pooled.items()}

    def answer_batches(
        self, texts: list[str], questions: list[str], **run: Any
    ) -> Iterator[tuple[list[int], list[str]]]:
        """Answer the questions, batch by batch; arguments as `pooled_batches`.

        Yields:
            Indices of b texts, and b answers.
        """
        for indices, ids in self._batches(texts, questions, self.answer_ids, self.needs_generation({ANSWER}), **run):
            yield indices, self.decode(ids)

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """The answers that ids stand for."""
        if not len(ids):
            return []
        return [answer.strip() for answer in self.tokenizer.batch_decode(ids, skip_special_tokens=True)]

    @torch.inference_mode()
    def words(self, embeddings: np.ndarray, k: int) -> list[dict[str, float]]:
        """The k words nearest to each of n embeddings, through the LM head; see `Encoder.word_probabilities`."""
        states = last_layer_states(embeddings, self.trials.width)  # (n, d)
        words = []
        for part in states.to(self.lm.device, self.lm.dtype).split(64):
            with alone_with(self.lm):
                logits = self.logits(part)  # (b, V)
            words += best_words(logits, self.tokenizer, k)
        return words

    def _batches(
        self,
        texts: list[str],
        questions: list[str],
        step: Callable[[list[Reading]], Any],
        generates: bool,
        *,
        batch_size: int | None = None,
        bar: Progress,
        done: Collection[int] = (),
    ) -> Iterator[tuple[list[int], Any]]:
        """Call `step` on all texts, batch by batch; yield the indices of its prompts, and its result.

        Prompts that are `done` are left out only when batches are made, in a way that all of them decide: a run that
        goes on after a crash has the same batches as one without, and so the same vectors to the last bit.
        """
        most = self.max_tokens or MAX_TOKENS[self.lm.device.type] * 4 // self.lm.dtype.itemsize
        budget = Budget(most, batch_size)
        if len(texts) > PROMPTS_AHEAD:  # a question that is too long should show before any model work
            self.prompt_tokenizer.check_questions(questions)

        def chunks() -> Iterator[tuple[Way, list[Reading]]]:
            for start in range(0, len(texts), PROMPTS_AHEAD):
                chunk = texts[start : start + PROMPTS_AHEAD], questions[start : start + PROMPTS_AHEAD]
                prompts, cut = zip(*self.prompt_tokenizer.tokenized(*chunk), strict=True)
                bar.read, bar.cut = bar.read + len(prompts), bar.cut + sum(cut)
                splits = self.shared_lengths(prompts, *chunk)
                way = self.trials.way(max(map(len, prompts)), generates)
                readings = group_by_text(prompts, splits, budget.max_tokens, share=way is Way.PACKED, first=start)
                if self.lm.device.type == "cpu" and self.memory is None and len(readings) == len(prompts):
                    way = self.trials.unpacked(way)
                yield way, readings

        @torch.inference_mode()
        def run(batch: list[Reading]) -> tuple[list[int], Any]:
            left = [reading for reading in (reading.without(done) for reading in batch) if reading.rests]
            with alone_with(self.lm):
                return [i for reading in left for i in reading.indices], step(left, budget.way) if left else None

        for budget.way, chunk in one_ahead(chunks()):
            for _, (indices, result) in run_batches(chunk, run, budget):
                if indices:
                    bar.update(len(indices))
                    yield indices, result

    def lay_out(self, batch: Sequence[Reading], wanted: set[Key], way: Way) -> Layout:
        """Bring a batch into the form that the model reads."""
        if way is not Way.PACKED:
            return pad_prompts(batch, self.lm, self.pad_id, causal=self.causal, read_once=self.checkpoint.read_once)
        memory = self.memory if all(pooling in OF_THE_ANSWER for pooling, _ in wanted) else None
        depth = max(layer for _, layer in wanted)
        return pack(batch, self.stack.config, self.lm.device, causal=self.causal, memory=memory, depth=depth)

    def run_layers(
        self, layout: Layout, layers: Collection[int], read: Callable[[int, Tensor], None], **inputs: Any
    ) -> None:
        """Hand over hidden states (B, T, H) of some layers."""
        with packed_attention(self.stack, layout.sequences):
            read_layers(self.stack, layers, read, **layout.inputs, **inputs)
        if layout.sequences and layout.sequences.caught:
            self.memory.keep(layout.texts, max(layers), layout.sequences.caught)

    def generate(self, prompts: list[list[int]]) -> list[list[int]]:
        """Generate an answer to each prompt: ids, special ones included."""
        ids, mask = pad(prompts, self.pad_id, side=self.generation_padding, device=self.lm.device)  # (B, T), (B, T)
        most = self.checkpoint.max_new_tokens
        return greedy_answers(self.lm, ids, mask, max_new_tokens=most, pad_id=self.pad_id).tolist()

    @cached_property
    def trials(self) -> Trials:
        """In which ways the model gives the same states as for each prompt alone."""
        return Trials(self)

    # --- what families say

    @cached_property
    def stack(self) -> nn.Module:
        """The part of the model whose output the LM head reads."""
        return self.lm.base_model

    def stack_of(self, pooling: str) -> nn.Module:
        """The part of the model whose layers a pooling reads."""
        return self.stack

    @property
    def answer_key(self) -> Key | None:
        """With what `pool` gives the answer's ids in the same pass; None if an answer takes more than one."""
        return None

    def shared_lengths(self, prompts: list[list[int]], texts: Sequence[str], questions: Sequence[str]) -> list[int]:
        """How many of each prompt's first tokens don't see what follows, so that other prompts can share them."""
        return [0] * len(prompts)

    def needs_generation(self, poolings: Collection[str]) -> bool:
        """Whether one of these, or the answer, takes more than one pass."""
        raise NotImplementedError

    def pool(self, batch: Sequence[Reading], way: Way, wanted: set[Key]) -> dict[Key, Tensor]:
        """Pool one batch: {(pooling, layer): (B, d) float32}."""
        raise NotImplementedError

    def answer_ids(self, batch: Sequence[Reading], way: Way) -> list[list[int]]:
        """Answer one batch: ids, special ones included."""
        return self.generate([prompt for reading in batch for prompt in reading.prompts])

    def logits(self, states: Tensor) -> Tensor:
        """What the LM head gives for states of the last layer: (B, H) in, (B, V) out."""
        return lm_logits(self.lm, self.stack, states)
