"""Encoder-decoder models (T5): the encoder reads text and question, the decoder expects the answer."""

from torch import Tensor, nn

from inbedder_utils.batching import pad
from inbedder_utils.encoder import Encoder
from inbedder_utils.hidden_states import read_layers
from inbedder_utils.pooling import masked_mean, positions


class Seq2SeqEncoder(Encoder):
    """Reads the decoder's states (`fst_gen`: at its start token; `avg_gen`, `last_gen`) or the encoder's (`avg_ppt`).

    As in the original code, decoder states count where the token they predict is not special, or else the first one
    counts; and `avg_ppt` averages all encoder states, the end token's too. The original's `first_gen` skips special
    tokens at the start of an answer; `fst_gen` is always the state that predicts the first token, so that it never
    needs an answer. `avg_all` is not defined: encoder and decoder states live in different spaces.
    """

    whole_prompt_side = "right"

    @property
    def _stack(self) -> nn.Module:
        return self.lm.get_decoder()

    def _stack_of(self, pooling: str) -> nn.Module:
        return self.lm.get_encoder() if pooling == "avg_ppt" else self._stack

    def _read(self, rows: list[list[int]], wanted: set[tuple[str, int]]) -> dict[tuple[str, int], Tensor]:
        ids, mask = pad(rows, self.pad_id, device=self.lm.device)
        of_prompt = {layer for name, layer in wanted if name == "avg_ppt"}
        of_answer = {layer for name, layer in wanted if name != "avg_ppt"}
        n_blocks = self.layer_index("avg_ppt", -1)
        pooled, memory = {}, []

        def read_prompt(layer: int, hidden: Tensor) -> None:
            if layer in of_prompt:
                pooled["avg_ppt", layer] = masked_mean(hidden, mask.bool())
            if layer == n_blocks:
                memory.append(hidden)

        def read_answer(layer: int, hidden: Tensor) -> None:
            for name, chosen in where.items():
                if (name, layer) in wanted:
                    pooled[name, layer] = masked_mean(hidden, chosen)

        encoder_layers = of_prompt | ({n_blocks} if of_answer else set())
        read_layers(self.lm.get_encoder(), encoder_layers, read_prompt, input_ids=ids, attention_mask=mask)
        if of_answer:
            names = {name for name, _ in wanted} - {"avg_ppt"}
            fed, where = self._decoder_rows(rows, names)
            inputs = {"encoder_hidden_states": memory[0], "encoder_attention_mask": mask, "use_cache": False}
            read_layers(self._stack, of_answer, read_answer, input_ids=fed, **inputs)
        return pooled

    def _decoder_rows(self, rows: list[list[int]], poolings: set[str]) -> tuple[Tensor, dict[str, Tensor]]:
        """What the decoder reads, (B, T), and the positions that each pooling averages."""
        start = self.lm.config.decoder_start_token_id
        answers = self._answer(rows) if poolings - {"fst_gen"} else [[]] * len(rows)
        fed, _ = pad([[start, *answer[:-1]] for answer in answers], self.pad_id, device=self.lm.device)
        ranges: dict[str, list[list[tuple[int, int]]]] = {"fst_gen": [], "avg_gen": [], "last_gen": []}
        for answer in answers:
            kept = [(j, j + 1) for j, token in enumerate(answer) if token not in self.special_ids] or [(0, 1)]
            for name, chosen in (("fst_gen", [(0, 1)]), ("avg_gen", kept), ("last_gen", kept[-1:])):
                ranges[name].append(chosen)
        return fed, {name: positions(ranges[name], fed) for name in poolings}
