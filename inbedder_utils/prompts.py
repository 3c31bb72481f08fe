"""The template around each text: what stands before it, and the question after it."""

import re
from dataclasses import dataclass
from functools import cached_property

INBEDDER = "### Input:\n{input}\n\n### Instruction:\n{instruction}\n\n### Response:"
"""The paper's template (section 3): the text first, then the question, then room for the answer."""

LLAMA_CHAT = (
    "[INST] Your task is to give an answer according to the instruction and input. "
    "Please keep your answer short.\n\nInput: {input}\n\nInstruction: {instruction}\n\n### Your Answer: [/INST]"
)
"""The paper's template for chat models without InBedder tuning."""

PAIR = "{input}{sep}{instruction}"
"""Text and question as the two sides of the tokenizer's own sentence pair (the authors' quick-trial model)."""

TEXT_ONLY = "{input}"
"""No question at all: how the paper runs plain sentence embedders."""


@dataclass(frozen=True)
class FilledPrompt:
    """A prompt with its text and question in place.

    Attributes:
        sides: one string, or the two sides of a sentence pair.
        side: which of them holds the text.
        start, stop: where the text stands in it, in characters.
    """

    sides: tuple[str, ...]
    side: int
    start: int
    stop: int


@dataclass(frozen=True)
class Prompt:
    """A template, cut at its placeholders.

    `{input}` stands for the text and occurs once; `{instruction}` occurs at most once; `{sep}`, at most once,
    is where a masked model's tokenizer puts the separator of a sentence pair. Everything else, other braces
    included, is literal. Texts and instructions are never searched for placeholders.

    Raises:
        TypeError: if the template is not a string.
        ValueError: if a placeholder is missing or repeated.
    """

    template: str

    def __post_init__(self) -> None:
        if not isinstance(self.template, str):
            raise TypeError(f"prompt must be a string holding '{{input}}', got {self.template!r}")
        counts = {name: self.template.count(name) for name in ("{input}", "{instruction}", "{sep}")}
        if counts["{input}"] != 1 or max(counts.values()) > 1:
            raise ValueError(
                f"prompt must hold '{{input}}' exactly once and '{{instruction}}' and '{{sep}}' at most once, "
                f"got {self.template!r}; the paper's template is inbedder_utils.prompts.INBEDDER"
            )

    @property
    def asks(self) -> bool:
        """Whether the template has room for a question."""
        return "{instruction}" in self.template

    @property
    def is_pair(self) -> bool:
        """Whether text and question are the two sides of a sentence pair."""
        return "{sep}" in self.template

    @cached_property
    def _pieces(self) -> list[str]:
        return re.split(r"(\{input\}|\{instruction\}|\{sep\})", self.template)

    def fill(self, text: str, instruction: str) -> FilledPrompt:
        """Put the text and the question in their places."""
        values = {"{input}": text, "{instruction}": instruction}
        sides, side, start = [""], 0, 0
        for piece in self._pieces:
            if piece == "{sep}":
                sides.append("")
                continue
            if piece == "{input}":
                side, start = len(sides) - 1, len(sides[-1])
            sides[-1] += values.get(piece, piece)
        return FilledPrompt(tuple(sides), side, start, start + len(text))
