"""Answers chosen among phrases: those that the model was taught, and words of the text and of the question.

Masks are read each on its own, so that the best token at each can make "cough" and "##ergy" one word. A phrase is as
likely as its tokens are at their masks together; those left over ask for the end token, as in training.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

CONTINUES = "##"


def spells_words(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a tokenizer says of its tokens if they begin a word: that of BERT and its kin."""
    return type(tokenizer.backend_tokenizer.model).__name__ == "WordPiece"


class Phrases:
    """What the masks of a model may answer, in its tokenizer's ids.

    Args:
        known: answers that any text may get.
        tokenizer: of the model; see `spells_words`.
        n_masks: most tokens of an answer.
        template: the prompt; its own words are no answers.
    """

    def __init__(self, known: Sequence[str], tokenizer: PreTrainedTokenizerBase, n_masks: int, template: str) -> None:
        self.n_masks, self.end = n_masks, tokenizer.sep_token_id
        *rows, frame = tokenizer(
            [*known, template.format(input="", instruction="")], add_special_tokens=False
        ).input_ids
        self.known = self._padded([ids for ids in rows if 0 < len(ids) <= n_masks])  # (P, masks)
        tokens = [token or "" for token in tokenizer.convert_ids_to_tokens(range(len(tokenizer)))]
        never = {*tokenizer.all_special_ids, *frame}
        self.begins = [not token.startswith(CONTINUES) for token in tokens]
        self.spells = [i not in never and any(map(str.isalnum, token)) for i, token in enumerate(tokens)]

    def best(self, logits: Tensor, prompts: Sequence[list[int]]) -> Tensor:
        """The most likely answers: logits (B, masks, V) at the masks, and B prompts, in; (B, masks) ids out."""
        self.known = self.known.to(logits.device)
        scores, found = logits.float().log_softmax(-1), []  # (B, masks, V)
        for row, prompt in zip(scores, prompts, strict=True):
            choices = torch.cat([self.known, self._padded(self._spans(prompt)).to(row.device)])  # (choices, masks)
            likely = row.gather(1, choices.T).sum(0)  # (choices,)
            found.append(choices[likely.argmax()] if len(choices) else row.argmax(-1))  # (masks,)
        return torch.stack(found)  # (B, masks)

    def _spans(self, prompt: list[int]) -> list[list[int]]:
        """Whole words of a prompt, one or several next to each other."""
        starts = [i for i, token in enumerate(prompt) if self.begins[token]] + [len(prompt)]
        words = list(zip(starts, starts[1:], strict=False))
        spans = {}
        for first, (start, _) in enumerate(words):
            for _, stop in words[first:]:
                ids = prompt[start:stop]
                if len(ids) > self.n_masks or not all(map(self.spells.__getitem__, ids)):
                    break
                spans[tuple(ids)] = None
        return list(map(list, spans))

    def _padded(self, rows: Sequence[Sequence[int]]) -> Tensor:
        whole = [[*row, *[self.end] * (self.n_masks - len(row))] for row in rows]
        return torch.tensor(whole, dtype=torch.long).view(-1, self.n_masks)  # (n, masks)
