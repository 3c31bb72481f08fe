"""Masked models (RoBERTa, BERT): the answer is a few mask tokens after the question."""

from collections.abc import Collection, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from inbedder_utils.inference.batching import Reading, Way
from inbedder_utils.inference.hidden_states import lm_head_input
from inbedder_utils.inference.phrases import Phrases
from inbedder_utils.inference.reader import ANSWER, Key, Reader
from inbedder_utils.inference.words import without_nan
from inbedder_utils.pooling import mean_at, places_in
from inbedder_utils.registry import ANSWERS_FILE

PROMPTS_ANSWERED = 64  # at once, so that the scores of the whole vocabulary take little memory


class MaskedReader(Reader):
    """Reads the states at the masks (`avg_gen`: their mean), over the prompt, or over both; always one pass.

    Masks are found by their place. The original looks for the mask's id, so that a text with a literal `<mask>`
    in it shifts or breaks its neighbours; here such a text is just text. `avg_ppt` leaves the end token out and
    `avg_all` has it in, as in the original.

    With read-once attention a text is read once for all its questions; in other masked models it sees them.
    """

    @property
    def answer_key(self) -> Key:
        """The answer is read at the masks, in the pass that gives the vectors."""
        return ANSWER, self.layer_index("avg_gen", -1)

    def needs_generation(self, poolings: Collection[str]) -> bool:
        """Never: the masks are the answer."""
        return False

    def shared_lengths(self, prompts: list[list[int]], texts: Sequence[str], questions: Sequence[str]) -> list[int]:
        """With read-once attention the text, which doesn't see the question."""
        if not self.checkpoint.read_once:
            return super().shared_lengths(prompts, texts, questions)
        return self.prompt_tokenizer.text_stops(prompts, texts, questions)

    def pool(self, batch: Sequence[Reading], way: Way, wanted: set[Key]) -> dict[Key, Tensor]:
        """Pool one batch, and read its answers, in one pass."""
        layout, states = self.lay_out(batch, wanted, way), {}
        lengths = list(map(len, layout.places))

        def places(pooling: str) -> list[np.ndarray]:
            return places_in(layout.places, [self._ranges(pooling, n) for n in lengths])

        self.run_layers(layout, {layer for _, layer in wanted}, states.__setitem__)
        prompts = [prompt for reading in batch for prompt in reading.prompts]
        pooled = {key: self._best_ids(states[key[1]], places("avg_gen"), prompts) for key in wanted if key[0] == ANSWER}
        to_pool = wanted - pooled.keys()
        if self.checkpoint.lm_head_transform:
            states = {
                layer: lm_head_input(self.lm, self.stack, states[layer]) for layer in {layer for _, layer in to_pool}
            }
        for name, layer in to_pool:
            pooled[name, layer] = mean_at(states[layer], places(name))  # (B, H)
        return pooled

    def _ranges(self, pooling: str, length: int) -> list[tuple[int, int]]:
        """Positions that a pooling averages, as (start, stop) ranges."""
        stop = length - len(self.prompt_tokenizer.suffix)
        first = stop - len(self.prompt_tokenizer.masks)
        return {
            "fst_gen": [(first, first + 1)],
            "last_gen": [(stop - 1, stop)],
            "avg_gen": [(first, stop)],
            "avg_ppt": [(0, first)],
            "avg_all": [(0, length)],
        }[pooling]

    def _best_ids(self, hidden: Tensor, at_masks: list[np.ndarray], prompts: list[list[int]]) -> Tensor:
        """The answers at the masks, chosen among `phrases` or token by token: (B, masks) ids."""
        places = torch.from_numpy(np.stack(at_masks)).to(hidden.device)  # (B, masks)
        states, found = hidden.flatten(0, 1), []  # (B * T, H)
        for start in range(0, len(places), PROMPTS_ANSWERED):
            part = slice(start, start + PROMPTS_ANSWERED)
            logits = without_nan(super().logits(states[places[part].flatten()]))  # (b * masks, V)
            logits = logits.view(*places[part].shape, -1)  # (b, masks, V)
            found.append(self.phrases.best(logits, prompts[part]) if self.phrases else logits.argmax(-1))
        return torch.cat(found)  # (B, masks)

    @cached_property
    def phrases(self) -> Phrases | None:
        """What it is to choose its answers from, if its folder says so."""
        file = self.checkpoint.folder / ANSWERS_FILE if self.checkpoint.folder else None
        if file is None or not file.is_file():
            return None
        known, c = file.read_text(encoding="utf-8").splitlines(), self.checkpoint
        return Phrases(known, self.tokenizer, c.n_masks, c.prompt)

    def answer_ids(self, batch: Sequence[Reading], way: Way) -> list[list[int]]:
        """Answer one batch: the ids at its masks."""
        return self.pool(batch, way, {self.answer_key})[self.answer_key].tolist()

    def logits(self, states: Tensor) -> Tensor:
        """What the LM head gives for states (B, H), which may have been through all of it but the projection."""
        if self.checkpoint.lm_head_transform:
            return self.lm.get_output_embeddings()(states)  # (B, V)
        return super().logits(states)
