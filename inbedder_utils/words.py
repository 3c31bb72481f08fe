"""Reading logits as words."""

from torch import Tensor
from transformers import PreTrainedTokenizerBase


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
