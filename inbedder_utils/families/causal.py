"""Causal models (Llama, OPT, GPT-2, Qwen ...): the state that predicts the first answer token."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from os.path import commonprefix

from torch import Tensor, nn

from inbedder_utils.encoder import Encoder
from inbedder_utils.inference.layouts import Reading
from inbedder_utils.inference.reader import ANSWER
from inbedder_utils.pooling import chosen, kept_answer, mean_at

NEEDS_ANSWER = {ANSWER, "avg_gen", "last_gen", "avg_all"}


class CausalEncoder(Encoder):
    """Reads a decoder's states at the end of the prompt (`fst_gen`), over the prompt, or over a generated answer.

    Two rules are the original code's, kept so that embeddings are equal: `avg_ppt` leaves the last prompt token out
    (unless it is the only one), and for an answer of at most one token `avg_gen`, `last_gen` and `avg_all` read the
    state at its first token. The original fails when all answers of a batch are that short; here a text does not
    depend on its neighbours.

    A text that is asked several questions is read once: no token of it sees what follows.
    """

    generation_padding = "left"
    causal = True

    @property
    def _stack(self) -> nn.Module:
        return self.lm.get_decoder()  # OPT's head reads OPTDecoder, and never calls the OPTModel around it

    def _splits(self, rows: list[list[int]], texts: Sequence[str], asked: Sequence[str]) -> list[int]:
        """What the prompts of one text have in common, token by token: exact, whatever the tokenizer joins."""
        if self._memory is not None:  # prompts to come may have it in common too
            stops = self.prompt_ids.text_stops(rows, texts, asked)
            return [min(stop, len(row) - 1) for stop, row in zip(stops, rows, strict=True)]
        of_text: dict[str, list[int]] = {}
        for i, text in enumerate(texts):
            of_text.setdefault(text, []).append(i)
        splits = [0] * len(rows)
        for indices in of_text.values():
            if len(indices) > 1:
                same = [rows[i] for i in indices]
                common = min(len(commonprefix(same)), min(map(len, same)) - 1)  # one token at least is its own
                for i in indices:
                    splits[i] = common
        return splits

    def _generates(self, names: Collection[str]) -> bool:
        return bool(NEEDS_ANSWER & set(names))

    def _read(self, batch: Sequence[Reading], wanted: set[tuple[str, int]]) -> dict[tuple[str, int], Tensor]:
        poolings = {pooling for pooling, _ in wanted}
        rows = [row for reading in batch for row in reading.rows]
        answers = self._generated(rows) if poolings & NEEDS_ANSWER else [[] for _ in rows]
        # The last answer token predicts nothing that counts; it is read only where it is the sole one.
        tails = iter([answer[:-1] or answer for answer in answers])
        fed = [replace(reading, rests=[rest + next(tails) for rest in reading.rests]) for reading in batch]
        layout, pooled = self._layout(fed, wanted), {}
        where = {name: chosen(layout.places, self._ranges(name, rows, answers)) for name in poolings}

        def read(layer: int, hidden: Tensor) -> None:
            for name in poolings:
                if (name, layer) in wanted:
                    pooled[name, layer] = mean_at(hidden, where[name])

        self._run(layout, {layer for _, layer in wanted}, read, use_cache=False)
        return pooled

    def _ranges(self, pooling: str, rows: list[list[int]], answers: list[list[int]]) -> list[list[tuple[int, int]]]:
        """Positions that a pooling averages, as (start, stop) ranges per row."""
        ranges = []
        for row, answer in zip(rows, answers, strict=True):
            p = len(row)
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
