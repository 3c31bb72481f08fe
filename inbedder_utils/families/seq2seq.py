"""Encoder-decoder models (T5): the encoder reads text and question, the decoder expects the answer."""

from collections.abc import Collection, Sequence

import numpy as np
from torch import Tensor, nn

from inbedder_utils.encoder import Encoder
from inbedder_utils.inference.batching import pad
from inbedder_utils.inference.hidden_states import read_layers
from inbedder_utils.inference.layouts import Reading, padded
from inbedder_utils.pooling import chosen, mean_at


class Seq2SeqEncoder(Encoder):
    """Reads the decoder's states (`fst_gen`: at its start token; `avg_gen`, `last_gen`) or the encoder's (`avg_ppt`).

    As in the original code, decoder states count where the token they predict is not special, or else the first one
    counts; and `avg_ppt` averages all encoder states, the end token's too. The original's `first_gen` skips special
    tokens at the start of an answer; `fst_gen` is always the state that predicts the first token, so that it never
    needs an answer. `avg_all` is not defined: encoder and decoder states live in different spaces.
    """

    whole_prompt_side = "right"
    _packs = False  # its positions are biases in every attention

    @property
    def _stack(self) -> nn.Module:
        return self.lm.get_decoder()

    def _stack_of(self, pooling: str) -> nn.Module:
        return self.lm.get_encoder() if pooling == "avg_ppt" else self._stack

    def _generates(self, names: Collection[str]) -> bool:
        return bool(set(names) - {"fst_gen", "avg_ppt"})

    def _read(self, batch: Sequence[Reading], wanted: set[tuple[str, int]]) -> dict[tuple[str, int], Tensor]:
        layout = padded(batch, self.lm, self.pad_id, causal=False)
        of_prompt = {layer for name, layer in wanted if name == "avg_ppt"}
        of_answer = {layer for name, layer in wanted if name != "avg_ppt"}
        n_blocks = self.layer_index("avg_ppt", -1)
        pooled, memory = {}, []

        def read_prompt(layer: int, hidden: Tensor) -> None:
            if layer in of_prompt:
                pooled["avg_ppt", layer] = mean_at(hidden, layout.places)
            if layer == n_blocks:
                memory.append(hidden)

        def read_answer(layer: int, hidden: Tensor) -> None:
            for name, places in where.items():
                if (name, layer) in wanted:
                    pooled[name, layer] = mean_at(hidden, places)

        encoder_layers = of_prompt | ({n_blocks} if of_answer else set())
        read_layers(self.lm.get_encoder(), encoder_layers, read_prompt, **layout.inputs)
        if of_answer:
            names = {name for name, _ in wanted} - {"avg_ppt"}
            fed, where = self._decoder_rows([row for reading in batch for row in reading.rows], names)
            mask = layout.inputs["attention_mask"]
            inputs = {"encoder_hidden_states": memory[0], "encoder_attention_mask": mask, "use_cache": False}
            read_layers(self._stack, of_answer, read_answer, input_ids=fed, **inputs)
        return pooled

    def _decoder_rows(self, rows: list[list[int]], poolings: set[str]) -> tuple[Tensor, dict[str, list[np.ndarray]]]:
        """What the decoder reads, (B, T), and the places that each pooling averages."""
        start = self.lm.config.decoder_start_token_id
        answers = self._generated(rows) if poolings - {"fst_gen"} else [[]] * len(rows)
        fed, _ = pad([[start, *answer[:-1]] for answer in answers], self.pad_id, device=self.lm.device)
        ranges: dict[str, list[list[tuple[int, int]]]] = {"fst_gen": [], "avg_gen": [], "last_gen": []}
        for answer in answers:
            kept = [(j, j + 1) for j, token in enumerate(answer) if token not in self.special_ids] or [(0, 1)]
            for name, pieces in (("fst_gen", [(0, 1)]), ("avg_gen", kept), ("last_gen", kept[-1:])):
                ranges[name].append(pieces)
        rows_of = [np.arange(fed.shape[1]) + i * fed.shape[1] for i in range(len(fed))]
        return fed, {name: chosen(rows_of, ranges[name]) for name in poolings}
