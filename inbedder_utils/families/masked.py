"""Masked models (RoBERTa, BERT): the answer is a few mask tokens after the question."""

from collections.abc import Collection, Sequence

import numpy as np
import torch
from torch import Tensor

from inbedder_utils.checks import checked_instructions, checked_texts
from inbedder_utils.encoder import Encoder, Texts
from inbedder_utils.inference.hidden_states import lm_head_input
from inbedder_utils.inference.layouts import Reading
from inbedder_utils.inference.reader import ANSWER, Key
from inbedder_utils.pooling import chosen, mean_at


class MaskedEncoder(Encoder):
    """Reads the states at the masks (`avg_gen`: their mean), over the prompt, or over both; always one pass.

    Masks are found by their place. The original looks for the mask's id, so that a text with a literal `<mask>`
    in it shifts or breaks its neighbours; here such a text is just text. `avg_ppt` leaves the end token out and
    `avg_all` has it in, as in the original.

    With read-once attention a text is read once for all its questions; in other masked models it sees them.
    """

    def encode_with_answers(
        self, texts: Texts, instruction: str | Sequence[str], *, show_progress_bar: bool = False
    ) -> tuple[np.ndarray, list[str]]:
        """What `encode` and `answer` give, from one reading of each text; arguments and errors are those of `encode`.

        Returns:
            (n, d) float32, and n answers.
        """
        if self.checkpoint.pooling == "re_encode":
            return super().encode_with_answers(texts, instruction, show_progress_bar=show_progress_bar)
        texts = checked_texts(texts)
        asked = checked_instructions(instruction, len(texts))
        with self._progress(len(texts), show_progress_bar) as bar:
            found = self._states(texts, asked, {self._own_key, self._answer_key}, bar=bar)
        return self._finished(found[self._own_key], normalize=False), self._decoded(found[self._answer_key])

    @property
    def _answer_key(self) -> Key:
        return ANSWER, self.layer_index("avg_gen", -1)

    def _generates(self, names: Collection[str]) -> bool:
        return False

    def _splits(self, rows: list[list[int]], texts: Sequence[str], asked: Sequence[str]) -> list[int]:
        if not self.checkpoint.read_once:
            return super()._splits(rows, texts, asked)
        return self.prompt_ids.text_stops(rows, texts, asked)

    def _read(self, batch: Sequence[Reading], wanted: set[tuple[str, int]]) -> dict[tuple[str, int], Tensor]:
        layout, states = self._layout(batch, wanted), {}
        lengths = list(map(len, layout.places))

        def places(pooling: str) -> list[np.ndarray]:
            return chosen(layout.places, [self._ranges(pooling, n) for n in lengths])

        self._run(layout, {layer for _, layer in wanted}, states.__setitem__)
        found = {key: self._best_ids(states[key[1]], places("avg_gen")) for key in wanted if key[0] == ANSWER}
        if self.checkpoint.lm_head_transform:
            pooled = {layer for _, layer in wanted - found.keys()}
            states = {layer: lm_head_input(self.lm, self._stack, states[layer]) for layer in pooled}
        for name, layer in wanted - found.keys():
            found[name, layer] = mean_at(states[layer], places(name))
        return found

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

    def _best_ids(self, hidden: Tensor, at_masks: list[np.ndarray]) -> Tensor:
        """The words that the LM head reads at the masks: (n, masks) ids."""
        states = hidden.flatten(0, 1)[torch.from_numpy(np.concatenate(at_masks)).to(hidden.device)]
        ids = torch.cat([super(MaskedEncoder, self)._logits(some).argmax(-1) for some in states.split(256)])
        ids = ids.view(len(at_masks), -1)
        if self.checkpoint.read_once:  # our own: others answer as the original code does, with repetitions
            again = torch.zeros_like(ids, dtype=torch.bool)
            again[:, 1:] = ids[:, 1:] == ids[:, :-1]
            ids = ids.masked_fill(again, self.pad_id)
        return ids

    def _answer(self, batch: Sequence[Reading]) -> list[list[int]]:
        return self._read(batch, {self._answer_key})[self._answer_key].tolist()

    def _logits(self, states: Tensor) -> Tensor:
        if self.checkpoint.lm_head_transform:  # the states have been through all of the head but the projection
            return self.lm.get_output_embeddings()(states)
        return super()._logits(states)
