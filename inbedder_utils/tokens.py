"""Token ids of filled prompts: only the text is ever shortened, and no text can act as markup."""

import re
from collections.abc import Sequence
from typing import Literal, get_args

import emoji
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inbedder_utils.checks import clean, integer, short
from inbedder_utils.prompts import INBEDDER, FilledPrompt, Prompt

Truncation = Literal["text", "left", "passages"]
CHARACTERS_PER_TOKEN = 12
"""Of a text that is longer than that many for each token that fits, head and tail are tokenized only."""
MARGIN = 64
"""Tokens beyond those that fit: what the missing middle of a long text could change of its head or tail."""


def padding_id(tokenizer: PreTrainedTokenizerBase, lm: PreTrainedModel) -> int:
    """What padding is made of: the tokenizer's padding, its end token, or 0, whichever the model has a row for."""
    rows = range(len(lm.get_input_embeddings().weight))
    return next(i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id, 0) if i in rows)


class PromptTokenizer:
    """Turns texts and instructions into the ids a model reads.

    A whole prompt is tokenized as one string (each side of a sentence pair on its own), so that ids are those of
    the original code. Special tokens spelled out in a text, an instruction or the template (`</s>`, `<mask>`,
    `[MASK]`) are read as ordinary characters; added tokens that aren't special are words like others. The answer's
    mask tokens, if any, follow the prompt directly.

    Args:
        tokenizer: a fast tokenizer.
        template: see `inbedder_utils.prompts.Prompt`.
        max_length: most tokens in a row, special tokens and masks included.
        truncation: "text" shortens the end of the text only, and so does "passages" where none are made of it
            (`inbedder_utils.inference.long_texts`); "left" cuts the filled prompt as one string, as the original code
            does: heading first, then text, then question.
        n_masks: mask tokens after the prompt.
        whole_prompt_side: the side on which `truncation="left"` cuts ("right" for seq2seq, as in the original code).
        emoji_as_words: read an emoji as its English name, for vocabularies that have none.

    Raises:
        TypeError: for numbers that are not integers.
        ValueError: for an unknown truncation, numbers out of range, a tokenizer without the tokens needed, or an
            unusable template.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        template: str = INBEDDER,
        *,
        max_length: int = 512,
        truncation: Truncation = "text",
        n_masks: int = 0,
        whole_prompt_side: Literal["left", "right"] = "left",
        emoji_as_words: bool = False,
    ) -> None:
        self.tokenizer, self.prompt, self.max_length = tokenizer, Prompt(template), max_length
        self.truncation, self.whole_prompt_side = truncation, whole_prompt_side
        self.emoji_as_words = emoji_as_words
        integer("max_length", max_length, at_least=1)
        integer("n_masks", n_masks, at_least=0, at_most=max_length, fix="max_length counts them, too")
        if not isinstance(truncation, str) or truncation not in get_args(Truncation):
            raise ValueError(f"truncation must be one of {list(get_args(Truncation))}, got {short(truncation)}")
        if truncation == "left" and self.prompt.is_pair:
            raise ValueError("truncation='left' cuts one string; a {sep} prompt has two: use truncation='text'")
        if not tokenizer.is_fast:
            raise ValueError(f"{type(tokenizer).__name__} is a slow tokenizer; the folder needs a tokenizer.json")
        if n_masks and tokenizer.mask_token_id is None:
            raise ValueError(f"{type(tokenizer).__name__} has no mask token: this is not a masked model's tokenizer")
        tokenizer.model_max_length = int(1e9)  # lengths are handled here; no warning about long texts
        self.masks = [tokenizer.mask_token_id] * n_masks
        self.prefix, self.between, self.suffix = self._frame()
        frame = len(self.prefix + self.between + self.masks + self.suffix)
        if max_length <= frame:
            raise ValueError(f"max_length must be more than {frame}, the special tokens of a row; got {max_length}")
        self._unwanted = frozenset(tokenizer.all_special_ids) - {tokenizer.unk_token_id}

    def _frame(self) -> tuple[list[int], list[int], list[int]]:
        """Special tokens that the tokenizer puts before, between and after one string or a pair of strings."""
        encoded = self.tokenizer(*["a"] * (1 + self.prompt.is_pair), return_special_tokens_mask=True)
        ids, special = encoded["input_ids"], encoded["special_tokens_mask"]
        runs = re.match(r"^(1*)(0+)(1*)(0*)(1*)$", "".join(map(str, special)))
        if runs is None:
            raise ValueError(f"the tokenizer reads the letter 'a' as the special tokens {ids}: is it damaged?")
        first, mid, last = runs.end(1), runs.span(3), runs.start(5)
        if not self.prompt.is_pair:
            return ids[:first], [], ids[mid[0] : mid[1]]
        return ids[:first], ids[mid[0] : mid[1]], ids[last:]

    def __call__(self, texts: Sequence[str], instructions: Sequence[str]) -> list[list[int]]:
        """Tokenize each text under its instruction.

        Returns:
            One list of ids per text, at most `max_length` long.

        Raises:
            ValueError: if an instruction leaves no room for its text.
        """
        return [row for row, _ in self.tokenized(texts, instructions)]

    def tokenized(self, texts: Sequence[str], instructions: Sequence[str]) -> list[tuple[list[int], bool]]:
        """The same, and for each text whether it was cut."""
        filled = self._filled(texts, instructions)
        flat = iter(self._ids([side for prompt in filled for side in prompt.sides]))
        rows = [[next(flat) for _ in prompt.sides] for prompt in filled]
        return [self._shortened(row, prompt) for row, prompt in zip(rows, filled, strict=True)]

    def strings(self, texts: Sequence[str], instructions: Sequence[str]) -> list[tuple[str, bool]]:
        """The same as strings, of which the tokenizer makes at most `max_length` ids; for prompts of one side."""
        rows = self.tokenized(texts, instructions)
        filled = self._filled(texts, instructions)
        return [(self._cut(p) if cut else p.sides[0], cut) for (_, cut), p in zip(rows, filled, strict=True)]

    def check_questions(self, questions: Sequence[str]) -> None:
        """Raise the ValueError for an instruction that leaves no room for its text, whatever the text."""
        different = list(dict.fromkeys(questions))
        self(["a"] * len(different), different)

    def token_starts(self, text: str) -> list[int]:
        """Where each token of a text, given as characters that it can read, begins."""
        return [start for start, _ in self._encode([text], return_offsets_mapping=True)["offset_mapping"][0]]

    def unknown_tokens(self, text: str) -> tuple[int, int]:
        """How many of a text's tokens the vocabulary does not have, and how many there are."""
        (ids,) = self._ids([self._readable(text)])
        return ids.count(self.tokenizer.unk_token_id), len(ids)

    def text_stops(self, rows: Sequence[list[int]], texts: Sequence[str], instructions: Sequence[str]) -> list[int]:
        """Where the text ends in each row; all tokens from there on are the question's.

        Args:
            rows: what calling this object with the same texts and instructions returned.
            texts: n strings.
            instructions: n strings.

        Returns:
            n positions.
        """
        if not rows:
            return []
        filled = self._filled(texts, instructions)
        whole = self._encode([prompt.sides[prompt.side] for prompt in filled], return_offsets_mapping=True)
        after = len(self.masks) + len(self.suffix)
        return [
            max(0, len(row) - after - (len(offsets) - self._text_range(offsets, prompt)[1]))
            for row, offsets, prompt in zip(rows, whole["offset_mapping"], filled, strict=True)
        ]

    def _filled(self, texts: Sequence[str], instructions: Sequence[str]) -> list[FilledPrompt]:
        pairs = zip(map(self._readable, texts), map(self._readable, instructions), strict=True)
        return [self.prompt.fill(text, instruction) for text, instruction in pairs]

    def _readable(self, text: str) -> str:
        """A text as it is tokenized; of a very long one head and tail, which hold all that fits."""
        most = CHARACTERS_PER_TOKEN * self.max_length
        while len(text) > 2 * most:
            halves = self._ids([clean(text[:most]), clean(text[-most:])])
            if min(map(len, halves)) >= self.max_length + MARGIN:
                text = text[:most] + text[-most:]
            most *= 2  # the rest may be spaces, thousands of which can be one token
        return self.plain(text)

    def plain(self, text: str) -> str:
        """A text as characters that the tokenizer can read."""
        if self.emoji_as_words and not text.isascii():
            text = emoji.replace_emoji(text, lambda _, names: f" {names['en'].strip(':').replace('_', ' ')} ")
        return clean(text)

    def _ids(self, strings: list[str]) -> list[list[int]]:
        if not strings:
            return []
        rows = self._encode(strings)["input_ids"]
        unknown = self.tokenizer.unk_token_id
        # A unigram vocabulary (T5) lists its special tokens as ordinary pieces, so that splitting isn't enough.
        return [
            row
            if self._unwanted.isdisjoint(row)
            else [
                i if i not in self._unwanted else unknown for i in row if i not in self._unwanted or unknown is not None
            ]
            for row in rows
        ]

    def _encode(self, strings: list[str], **kwargs: bool) -> dict:
        return self.tokenizer(
            strings, add_special_tokens=False, split_special_tokens=True, return_attention_mask=False, **kwargs
        )

    def _framed(self, sides: list[list[int]]) -> list[int]:
        middle = sides[0] if len(sides) == 1 else sides[0] + self.between + sides[1]
        return self.prefix + middle + self.masks + self.suffix

    def _shortened(self, sides: list[list[int]], prompt: FilledPrompt) -> tuple[list[int], bool]:
        """A row, and whether it had to be cut."""
        room = self.max_length - len(self._framed([[]] * len(sides)))
        excess = sum(map(len, sides)) - room
        if excess <= 0:
            return self._framed(sides), False
        if self.truncation == "left":
            (ids,) = sides
            return self._framed([ids[-room:] if self.whole_prompt_side == "left" else ids[:room]]), True
        first, stop = self._text_tokens(prompt)
        if excess >= stop - first:
            raise ValueError(
                f"max_length={self.max_length} leaves no room for the text: the instruction and the prompt around "
                f"it take {sum(map(len, sides)) - (stop - first) + self.max_length - room} tokens. "
                f"Shorten the instruction or raise max_length"
            )
        shortened = list(sides)
        ids = sides[prompt.side]
        shortened[prompt.side] = ids[: stop - excess] + ids[stop:]
        return self._framed(shortened), True

    def _cut(self, prompt: FilledPrompt) -> str:
        """A prompt whose text is cut, as a string."""
        (whole,), room = prompt.sides, self.max_length - len(self._framed([[]]))
        offsets = self._encode([whole], return_offsets_mapping=True)["offset_mapping"][0]
        first, stop = self._text_range(offsets, prompt)
        for kept in range(stop - (len(offsets) - room), first, -1):
            string = whole[: offsets[kept - 1][1]] + whole[offsets[stop - 1][1] :]
            if len(self._ids([string])[0]) <= room:  # not where a character has several tokens, of which some are left
                break
        return string

    def _text_tokens(self, prompt: FilledPrompt) -> tuple[int, int]:
        """The range of tokens that lie wholly inside the text; one that crosses its edge belongs to the prompt."""
        encoded = self._encode([prompt.sides[prompt.side]], return_offsets_mapping=True)
        return self._text_range(encoded["offset_mapping"][0], prompt)

    @staticmethod
    def _text_range(offsets: list[tuple[int, int]], prompt: FilledPrompt) -> tuple[int, int]:
        first = next((i for i, (start, _) in enumerate(offsets) if start >= prompt.start), len(offsets))
        stop = next((i for i in range(len(offsets), 0, -1) if offsets[i - 1][1] <= prompt.stop), 0)
        return first, max(first, stop)
