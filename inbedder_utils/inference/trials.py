"""In which ways a model may read prompts: tried on a few made-up ones, whose states must be those of each alone."""

from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from inbedder_utils.checks import first_line
from inbedder_utils.inference.batching import Reading, Way, pad
from inbedder_utils.inference.hidden_states import alone_with
from inbedder_utils.inference.words import greedy_logits
from inbedder_utils.registry import FAMILY_POOLINGS

if TYPE_CHECKING:
    from inbedder_utils.inference.reader import Key, Reader

WINDOWS = ("sliding_window", "attention_chunk_size", "local_attention")
"""How configs call the number of tokens that one token sees at most."""
SHORT, SHORTER = 8, 5
"""Tokens between the frame of special tokens, in the prompts that are tried."""


class Trials:
    """What a reader's model was found to do, at first with short prompts, then with those as long as it is to read.

    Neighbours change the states of some models: where these are not causal though they are read as such, don't hide
    padding, mix along the row, or stretch positions for all when one prompt is long. Such a way is not used.

    Attributes:
        ways: in which short prompts may be read; alone they always may.
        shares_texts: whether a text is read once for all its questions.
        width: of the states of the last layer.

    Raises:
        ValueError: if the model can't be read, or gives other states each time.
    """

    def __init__(self, reader: "Reader") -> None:
        self._reader = copy(reader)
        self._reader.memory = None  # what is made up is not to be remembered
        self._of_length: dict[tuple[int, bool], Way] = {}
        names = [name for name in FAMILY_POOLINGS[reader.checkpoint.family] if name != "re_encode"]
        one_pass = [name for name in names if not reader.needs_generation({name})]
        with alone_with(reader.lm):
            try:
                self._wanted: set[Key] = {
                    (name, layer) for name in one_pass for layer in range(len(reader.blocks_of(name)) + 1)
                }
                longer, shorter, other = self._prompt(SHORT), self._prompt(SHORTER, 1), self._prompt(SHORT, 2)
                alone = self._states([_whole(longer)], Way.ALONE)
                self.width = alone["fst_gen", reader.layer_index("fst_gen", -1)].shape[1]
                if any(states.shape[1] < self.width for (name, _), states in alone.items() if name == "fst_gen"):
                    raise ValueError("its last states are wider than those of its blocks")
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # whatever an architecture can't do
                kind = f"{type(reader.lm).__name__} can't be read: {first_line(error).rstrip('.')}"
                raise ValueError(f"{kind}. Choose a checkpoint of another architecture") from error
            self.ways = {Way.ALONE}
            hides_questions = reader.causal or reader.checkpoint.read_once  # from the text
            if self._may_pack and self._same(self._packed(longer, shorter, hides_questions), Way.PACKED):
                self.ways.add(Way.PACKED)
            self.shares_texts = hides_questions and Way.PACKED in self.ways
            if self._same([_whole(longer), _whole(shorter)], Way.PADDED):
                self.ways |= {Way.PADDED, Way.EQUAL}
            elif self._same([_whole(longer), _whole(other)], Way.EQUAL):
                self.ways.add(Way.EQUAL)
            elif not self._same([_whole(longer)], Way.ALONE):
                kind = f"{type(reader.lm).__name__} gives other states each time it reads a prompt"
                raise ValueError(f"{kind}. Choose a checkpoint of another architecture")

    def way(self, longest: int, generates: bool) -> Way:
        """The best way to read prompts.

        Args:
            longest: most tokens in one of them; it is tried at the next power of two, so that the way of a text does
                not depend on what was read before.
            generates: whether answers are generated, for which prompts are padded.
        """
        most = self._reader.checkpoint.max_length
        longest += self._reader.checkpoint.max_new_tokens if generates else 0
        key = min(1 << (longest - 1).bit_length(), most), generates
        if key not in self._of_length:
            with alone_with(self._reader.lm):
                self._of_length[key] = self._best(*key)
        return self._of_length[key]

    def unpacked(self, way: Way) -> Way:
        """Another way that does as well where no text is shared; on a CPU it takes less time than packing."""
        return Way.PADDED if way is Way.PACKED and Way.PADDED in self.ways else way

    def _best(self, length: int, generates: bool) -> Way:
        ways = [way for way in Way if way in self.ways and not (generates and way is Way.PACKED)]
        short = self._prompt(SHORTER, 1)
        long = self._prompt(length - len(short) + SHORTER)
        if ways[0] in (Way.PACKED, Way.PADDED):
            changed = not self._same([_whole(long), _whole(short)], ways[0], among=1)
            if changed or (generates and not self._same_answers(long, short)):
                ways = [way for way in ways if way in (Way.EQUAL, Way.ALONE)]
        return Way.ALONE if generates and ways[0] is Way.EQUAL else ways[0]  # answers make their lengths unequal

    @property
    def _may_pack(self) -> bool:
        """Whether no window of attention is narrower than a prompt and its answer."""
        checkpoint, config = self._reader.checkpoint, self._reader.stack.config
        windows = [getattr(config, name, None) for name in WINDOWS]
        longest = checkpoint.max_length + checkpoint.max_new_tokens
        own = self._reader.packable and config._attn_implementation == "sdpa"
        return own and not any(window and window < longest for window in windows)

    def _prompt(self, n: int, first: int = 0) -> list[int]:
        """A prompt with at most n ordinary tokens, that fits the length which the model may read."""
        tokenizer, reader = self._reader.prompt_tokenizer, self._reader
        end = tokenizer.masks + tokenizer.suffix
        rows = range(min(100, len(reader.lm.get_input_embeddings().weight)))
        ordinary = [i for i in rows if i not in reader.special_ids] or [0]
        n = max(1, min(n, reader.checkpoint.max_length - len(tokenizer.prefix + end)))
        return tokenizer.prefix + [ordinary[(7 * i + first) % len(ordinary)] for i in range(n)] + end

    def _packed(self, one: list[int], other: list[int], shares: bool) -> list[Reading]:
        """Both prompts, the text of the first, if it is to be shared, under two questions."""
        if not shares:
            return [_whole(one), _whole(other)]
        stop = min(len(self._reader.prompt_tokenizer.prefix) + 3, len(one) - 1)
        return [Reading([0, 1], one[:stop], [one[stop:], [*one[stop + 1 :], one[stop]]]), _whole(other)]

    @torch.inference_mode()
    def _states(self, batch: Sequence[Reading], way: Way) -> dict["Key", Tensor]:
        return self._reader.pool(batch, way, self._wanted)

    def _same(self, batch: Sequence[Reading], way: Way, among: int = 0) -> bool:
        """Whether prompts, from that reading on, have the states that each has alone."""
        apart = [Reading([0], reading.text, [rest]) for reading in batch[among:] for rest in reading.rests]
        try:
            together = self._states(batch, way)
            alone = [self._states([one], Way.ALONE) for one in apart]
        except torch.OutOfMemoryError:
            raise
        except Exception:  # whatever an architecture can't do: another way can
            return False
        return all(
            self._close(states[-len(alone) :], torch.cat([of_one[key] for of_one in alone]))
            for key, states in together.items()
        )

    @torch.inference_mode()
    def _same_answers(self, long: list[int], short: list[int]) -> bool:
        """Whether answers begin with the logits that a prompt has alone: beside, a token may win by a hair."""
        reader, logits = self._reader, []
        for prompts in ([long, short], [short]):
            padded = pad(prompts, reader.pad_id, side=reader.generation_padding, device=reader.lm.device)
            logits.append([step[-1] for step in greedy_logits(reader.lm, *padded, pad_id=reader.pad_id)])  # (V,) each
        first_same = self._close(logits[0][0], logits[1][0])
        if not first_same or logits[0][0].argmax() != logits[1][0].argmax() or min(map(len, logits)) < 2:
            return first_same
        return self._close(logits[0][1], logits[1][1])

    def _close(self, ours: Tensor, theirs: Tensor) -> bool:
        """Whether they are equal but for rounding; what is not a number in both is another matter."""
        tolerance = 1e-3 if self._reader.lm.dtype == torch.float32 else 5e-2
        ours, theirs = (states.nan_to_num(0, 0, 0) for states in (ours, theirs))
        return bool((ours - theirs).norm() <= tolerance * theirs.norm())


def _whole(prompt: list[int]) -> Reading:
    return Reading([0], [], [prompt])
