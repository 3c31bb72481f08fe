"""Causal models (Llama, OPT, GPT-2, Qwen ...): the state that predicts the first answer token."""

from torch import Tensor, nn

from inbedder_utils.batching import pad
from inbedder_utils.encoder import Encoder
from inbedder_utils.hidden_states import read_layers
from inbedder_utils.pooling import kept_answer, masked_mean, positions

NEEDS_ANSWER = {"avg_gen", "last_gen", "avg_all"}


class CausalEncoder(Encoder):
    """Reads a decoder's states at the end of the prompt (`fst_gen`), over the prompt, or over a generated answer.

    Two rules are the original code's, kept so that embeddings are equal: `avg_ppt` leaves the last prompt token out,
    and for an answer of at most one token `avg_gen`, `last_gen` and `avg_all` read the state at its first token. The
    original fails when all answers of a batch are that short; here a text does not depend on its neighbours.
    """

    generation_padding = "left"

    @property
    def _stack(self) -> nn.Module:
        return self.lm.get_decoder()  # OPT's head reads OPTDecoder, and never calls the OPTModel around it

    def _read(self, rows: list[list[int]], wanted: set[tuple[str, int]]) -> dict[tuple[str, int], Tensor]:
        poolings = {pooling for pooling, _ in wanted}
        answers = self._answer(rows) if poolings & NEEDS_ANSWER else [[] for _ in rows]
        # The last answer token predicts nothing that counts; it is read only where it is the sole one.
        fed = [row + (answer[:-1] or answer) for row, answer in zip(rows, answers, strict=True)]
        # Padding stands on the right, where no real token sees it: no mask is needed, and attention stays fast.
        ids, _ = pad(fed, self.pad_id, device=self.lm.device)
        where = {name: positions(self._ranges(name, rows, answers), ids) for name in poolings}
        pooled = {}

        def read(layer: int, hidden: Tensor) -> None:
            for name in poolings:
                if (name, layer) in wanted:
                    pooled[name, layer] = masked_mean(hidden, where[name])

        read_layers(self._stack, {layer for _, layer in wanted}, read, input_ids=ids, use_cache=False)
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
                    "avg_ppt": [(0, p - 1)],
                    "avg_gen": [(p - 1, p), *kept],
                    "last_gen": kept[-1:],
                    "avg_all": [(0, p), *kept],
                }[pooling]
            )
        return ranges
