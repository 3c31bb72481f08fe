"""Masked models (RoBERTa, BERT): the answer is a few mask tokens after the question."""

from torch import Tensor

from inbedder_utils.batching import pad
from inbedder_utils.encoder import Encoder
from inbedder_utils.hidden_states import lm_head_input, read_layers
from inbedder_utils.pooling import masked_mean, positions


class MaskedEncoder(Encoder):
    """Reads the states at the masks (`avg_gen`: their mean), over the prompt, or over both; always one pass.

    Masks are found by their place. The original looks for the mask's id, so that a text with a literal `<mask>`
    in it shifts or breaks its neighbours; here such a text is just text. `avg_ppt` leaves the end token out and
    `avg_all` has it in, as in the original.
    """

    def _read(self, rows: list[list[int]], wanted: set[tuple[str, int]]) -> dict[tuple[str, int], Tensor]:
        ids, mask = pad(rows, self.pad_id, device=self.lm.device)
        lengths = [len(row) for row in rows]
        where = {name: positions([self._ranges(name, n) for n in lengths], ids) for name, _ in wanted}
        states: dict[int, Tensor] = {}
        read_layers(self._stack, {layer for _, layer in wanted}, states.__setitem__, input_ids=ids, attention_mask=mask)
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
        ids, mask = pad(rows, self.pad_id, device=self.lm.device)
        at_masks = positions([self._ranges("avg_gen", len(row)) for row in rows], ids)
        hidden = self._stack(input_ids=ids, attention_mask=mask).last_hidden_state[at_masks]
        return super()._logits(hidden).argmax(-1).view(len(rows), -1).tolist()

    def _logits(self, states: Tensor) -> Tensor:
        if self.checkpoint.lm_head_transform:  # the states have been through all of the head but the projection
            return self.lm.get_output_embeddings()(states)
        return super()._logits(states)
