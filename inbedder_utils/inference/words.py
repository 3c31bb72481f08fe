"""Reading logits as words."""

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from inbedder_utils.checks import as_numbers


def last_layer_states(embeddings: Any, width: int) -> Tensor:
    """Embeddings as states that an LM head can read: (n, width) float32.

    Raises:
        TypeError: if they are no numbers.
        ValueError: if they have another shape, or are not finite.
    """
    states = torch.as_tensor(as_numbers("embeddings", embeddings))
    if states.ndim != 2 or states.shape[1] != width:
        raise ValueError(f"embeddings must be (n, {width}), the width of the last layer; got {tuple(states.shape)}")
    if not states.isfinite().all():
        raise ValueError("embeddings hold NaN or infinite numbers, which are no words: encode the texts again")
    return states


def best_words(logits: Tensor, tokenizer: PreTrainedTokenizerBase, k: int) -> list[list[str]]:
    """The k words with the highest logits.

    Args:
        logits: (B, V).
        tokenizer: of the same vocabulary.
        k: words per row; fewer where the vocabulary has fewer.

    Returns:
        B lists, best first. Special tokens, pieces without a letter or digit, and repetitions that differ only in
        case or in a leading space are left out.
    """
    likely = logits.float().topk(min(20 * k + 200, logits.shape[1])).indices.tolist()
    return [_distinct(ids, tokenizer)[:k] for ids in likely]


def _distinct(ids: list[int], tokenizer: PreTrainedTokenizerBase) -> list[str]:
    words: dict[str, str] = {}
    for piece in tokenizer.batch_decode([[i] for i in ids], skip_special_tokens=True):
        word = piece.strip().removeprefix("##")  # as WordPiece marks what continues a word
        if any(map(str.isalnum, word)):
            words.setdefault(word.casefold(), word)
    return list(words.values())
