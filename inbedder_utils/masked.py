"""Masked models (RoBERTa, BERT): the answer is a few mask tokens after the question."""

import torch
from torch import Tensor

from inbedder_utils.attention import PADDING, TEXT, first_position, read_once_mask
from inbedder_utils.batching import pad
from inbedder_utils.encoder import Encoder
from inbedder_utils.hidden_states import lm_head_input, read_layers
from inbedder_utils.pooling import masked_mean, positions


class Row(list):
    """Ids of a prompt; `text_stop` is where its question begins."""

    text_stop: int


class MaskedEncoder(Encoder):
    """Reads the states at the masks (`avg_gen`: their mean), over the prompt, or over both; always one pass.

    Masks are found by their place. The original looks for the mask's id, so that a text with a literal `<mask>`
    in it shifts or breaks its neighbours; here such a text is just text. `avg_ppt` leaves the end token out and
    `avg_all` has it in, as in the original.
    """

    def _rows(self, texts: list[str], instructions: list[str]) -> list[list[int]]:
        rows = super()._rows(texts, instructions)
        if not self.checkpoint.read_once:
            return rows
        marked = [Row(row) for row in rows]
        for row, stop in zip(marked, self.prompt_ids.text_stops(rows, texts, instructions), strict=True):
            row.text_stop = stop
        return marked

    def _inputs(self, rows: list[list[int]]) -> dict[str, Tensor]:
        ids, mask = pad(rows, self.pad_id, device=self.lm.device)
        if not self.checkpoint.read_once:
            return {"input_ids": ids, "attention_mask": mask}
        columns = torch.arange(ids.shape[1])
        stops, lengths = (
            torch.tensor(n)[:, None] for n in ([row.text_stop for row in rows], [len(row) for row in rows])
        )
        segments = torch.where(columns < stops, TEXT, 1).masked_fill(columns >= lengths, PADDING).to(ids.device)
        return {
            "input_ids": ids,
            "attention_mask": read_once_mask(segments, self.lm.dtype),
            "position_ids": (columns + first_position(self.lm.config)).expand_as(ids).to(ids.device),
        }

    def _read(self, rows: list[list[int]], wanted: set[tuple[str, int]]) -> dict[tuple[str, int], Tensor]:
        inputs = self._inputs(rows)
        ids, lengths = inputs["input_ids"], [len(row) for row in rows]
        where = {name: positions([self._ranges(name, n) for n in lengths], ids) for name, _ in wanted}
        states: dict[int, Tensor] = {}
        read_layers(self._stack, {layer for _, layer in wanted}, states.__setitem__, **inputs)
        if self.checkpoint.lm_head_transform:
            states = {layer: lm_head_input(self.lm, self._stack, hidden) for layer, hidden in states.items()}
        return {(name, layer): masked_mean(states[layer], where[name]) for name, layer in wanted}

    def _ranges(self, pooling: str, length: int) -> list[tuple[int, int]]:
        """Positions that a pooling averages, as (start, stop) ranges."""
        stop = length - len(self.prompt_ids.suffix)
        first = stop - len(self.prompt_ids.masks)
        return {
            "fst_gen": [(first, first + 1)],
            "last_gen": [(stop - 1, stop)],
            "avg_gen": [(first, stop)],
            "avg_ppt": [(0, first)],
            "avg_all": [(0, length)],
        }[pooling]

    def _answer(self, rows: list[list[int]]) -> list[list[int]]:
        inputs = self._inputs(rows)
        at_masks = positions([self._ranges("avg_gen", len(row)) for row in rows], inputs["input_ids"])
        hidden = self._stack(**inputs).last_hidden_state[at_masks]
        ids = super()._logits(hidden).argmax(-1).view(len(rows), -1)
        if self.checkpoint.read_once:  # our own: others answer as the original code does, with repetitions
            again = torch.zeros_like(ids, dtype=torch.bool)
            again[:, 1:] = ids[:, 1:] == ids[:, :-1]
            ids = ids.masked_fill(again, self.pad_id)
        return ids.tolist()

    def _logits(self, states: Tensor) -> Tensor:
        if self.checkpoint.lm_head_transform:  # the states have been through all of the head but the projection
            return self.lm.get_output_embeddings()(states)
        return super()._logits(states)
