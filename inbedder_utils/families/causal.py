"""Causal models (Llama, OPT, GPT-2, Qwen ...): the state that predicts the first answer token."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property
from os.path import commonprefix

from torch import Tensor, nn
from transformers import PreTrainedModel

from inbedder_utils.inference.batching import Reading, Way
from inbedder_utils.inference.reader import ANSWER, Key, Reader
from inbedder_utils.pooling import kept_answer, mean_at, places_in

NEEDS_ANSWER = {ANSWER, "avg_gen", "last_gen", "avg_all"}


class CausalReader(Reader):
    """Reads a decoder's states at the end of the prompt (`fst_gen`), over the prompt, or over a generated answer.

    Two rules are the original code's, kept so that embeddings are equal: `avg_ppt` leaves the last prompt token out
    (unless it is the only one), and for an answer of at most one token `avg_gen`, `last_gen` and `avg_all` read the
    state at its first token. The original fails when all answers of a batch are that short; here a text does not
    depend on its neighbours.

    A text that is asked several questions is read once: no token of it sees what follows.
    """

    generation_padding = "left"
    causal = True

    @cached_property
    def stack(self) -> nn.Module:
        """The decoder."""
        decoder = self.lm.get_decoder()  # OPT's head reads OPTDecoder, and never calls the OPTModel around it
        inner = (module for module in self.lm.children() if isinstance(module, PreTrainedModel))
        return decoder if decoder is not self.lm else next(inner, decoder)  # Llama 4 names itself

    def shared_lengths(self, prompts: list[list[int]], texts: Sequence[str], questions: Sequence[str]) -> list[int]:
        """What the prompts of one text have in common, token by token: exact, whatever the tokenizer joins."""
        if self.memory is not None:  # prompts to come may have it in common too
            stops = self.prompt_tokenizer.text_stops(prompts, texts, questions)
            return [min(stop, len(prompt) - 1) for stop, prompt in zip(stops, prompts, strict=True)]
        of_text: dict[str, list[int]] = {}
        for i, text in enumerate(texts):
            of_text.setdefault(text, []).append(i)
        lengths = [0] * len(prompts)
        for indices in of_text.values():
            if len(indices) > 1:
                same = [prompts[i] for i in indices]
                common = min(len(commonprefix(same)), min(map(len, same)) - 1)  # one token at least is its own
                for i in indices:
                    lengths[i] = common
        return lengths

    def needs_generation(self, poolings: Collection[str]) -> bool:
        """Whether one of these takes a generated answer."""
        return bool(NEEDS_ANSWER & set(poolings))

    def pool(self, batch: Sequence[Reading], way: Way, wanted: set[Key]) -> dict[Key, Tensor]:
        """Pool one batch, with its answers behind the prompts where a pooling needs them."""
        poolings = {pooling for pooling, _ in wanted}
        prompts = [prompt for reading in batch for prompt in reading.prompts]
        answers = self.generate(prompts) if self.needs_generation(poolings) else [[] for _ in prompts]
        # The last answer token predicts nothing that counts; it is read only where it is the sole one.
        tails = iter([answer[:-1] or answer for answer in answers])
        fed = [replace(reading, rests=[rest + next(tails) for rest in reading.rests]) for reading in batch]
        layout, pooled = self.lay_out(fed, wanted, way), {}
        places = {name: places_in(layout.places, self._ranges(name, prompts, answers)) for name in poolings}

        def read(layer: int, hidden: Tensor) -> None:
            for name in poolings:
                if (name, layer) in wanted:
                    pooled[name, layer] = mean_at(hidden, places[name])  # (B, H)

        self.run_layers(layout, {layer for _, layer in wanted}, read, use_cache=False)
        return pooled

    def _ranges(self, pooling: str, prompts: list[list[int]], answers: list[list[int]]) -> list[list[tuple[int, int]]]:
        """Positions that a pooling averages, as (start, stop) ranges per prompt."""
        ranges = []
        for prompt, answer in zip(prompts, answers, strict=True):
            p = len(prompt)
            kept = [(p + j, p + j + 1) for j in kept_answer(answer, self.special_ids)] if answer else []
            ranges.append(
                {
                    "fst_gen": [(p - 1, p)],
                    "avg_ppt": [(0, p - 1 or 1)],
                    "avg_gen": [(p - 1, p), *kept],
                    "last_gen": kept[-1:],
                    "avg_all": [(0, p), *kept],
                }[pooling]
            )
        return ranges
