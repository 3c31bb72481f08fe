"""Encoder-decoder models (T5): the encoder reads text and question, the decoder expects the answer."""

from collections.abc import Collection, Sequence
from functools import cached_property

import numpy as np
from torch import Tensor, nn

from inbedder_utils.inference.batching import Reading, Way, pad
from inbedder_utils.inference.hidden_states import read_layers
from inbedder_utils.inference.layouts import pad_prompts
from inbedder_utils.inference.reader import Key, Reader
from inbedder_utils.pooling import mean_at, places_in


class Seq2SeqReader(Reader):
    """Reads the decoder's states (`fst_gen`: at its start token; `avg_gen`, `last_gen`) or the encoder's (`avg_ppt`).

    As in the original code, decoder states count where the token they predict is not special, or else the first one
    counts; and `avg_ppt` averages all encoder states, the end token's too. The original's `first_gen` skips special
    tokens at the start of an answer; `fst_gen` is always the state that predicts the first token, so that it never
    needs an answer. `avg_all` is not defined: encoder and decoder states live in different spaces.
    """

    whole_prompt_side = "right"
    packable = False  # its positions are biases in every attention

    @cached_property
    def stack(self) -> nn.Module:
        """The decoder."""
        return self.lm.get_decoder()

    def stack_of(self, pooling: str) -> nn.Module:
        """The encoder for `avg_ppt`, the decoder for the poolings of the answer."""
        return self.lm.get_encoder() if pooling == "avg_ppt" else self.stack

    def needs_generation(self, poolings: Collection[str]) -> bool:
        """Whether one of these takes a generated answer."""
        return bool(set(poolings) - {"fst_gen", "avg_ppt"})

    def pool(self, batch: Sequence[Reading], way: Way, wanted: set[Key]) -> dict[Key, Tensor]:
        """Pool one batch: first the encoder, then, if wanted, the decoder."""
        layout = pad_prompts(batch, self.lm, self.pad_id, causal=False)
        of_prompt = {layer for name, layer in wanted if name == "avg_ppt"}
        of_answer = {layer for name, layer in wanted if name != "avg_ppt"}
        n_blocks = self.layer_index("avg_ppt", -1)
        pooled, encoded = {}, []

        def read_prompt(layer: int, hidden: Tensor) -> None:
            if layer in of_prompt:
                pooled["avg_ppt", layer] = mean_at(hidden, layout.places)  # (B, H)
            if layer == n_blocks:
                encoded.append(hidden)

        def read_answer(layer: int, hidden: Tensor) -> None:
            for name, places in where.items():
                if (name, layer) in wanted:
                    pooled[name, layer] = mean_at(hidden, places)  # (B, H)

        encoder_layers = of_prompt | ({n_blocks} if of_answer else set())
        read_layers(self.lm.get_encoder(), encoder_layers, read_prompt, **layout.inputs)
        if of_answer:
            names = {name for name, _ in wanted} - {"avg_ppt"}
            fed, where = self._decoder_inputs([prompt for reading in batch for prompt in reading.prompts], names)
            mask = layout.inputs["attention_mask"]  # (B, T)
            inputs = {"encoder_hidden_states": encoded[0], "encoder_attention_mask": mask, "use_cache": False}
            read_layers(self.stack, of_answer, read_answer, input_ids=fed, **inputs)
        return pooled

    def _decoder_inputs(
        self, prompts: list[list[int]], poolings: set[str]
    ) -> tuple[Tensor, dict[str, list[np.ndarray]]]:
        """What the decoder reads, (B, T), and the places that each pooling averages."""
        start = self.lm.config.decoder_start_token_id
        answers = self.generate(prompts) if self.needs_generation(poolings) else [[]] * len(prompts)
        fed, _ = pad([[start, *answer[:-1]] for answer in answers], self.pad_id, device=self.lm.device)  # (B, T)
        ranges: dict[str, list[list[tuple[int, int]]]] = {"fst_gen": [], "avg_gen": [], "last_gen": []}
        for answer in answers:
            kept = [(j, j + 1) for j, token in enumerate(answer) if token not in self.special_ids] or [(0, 1)]
            for name, pieces in (("fst_gen", [(0, 1)]), ("avg_gen", kept), ("last_gen", kept[-1:])):
                ranges[name].append(pieces)
        places = np.arange(fed.numel()).reshape(fed.shape)  # (B, T)
        return fed, {name: places_in(places, ranges[name]) for name in poolings}
