"""Answers in words, and vectors read back as words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList, PreTrainedModel, PreTrainedTokenizerBase
from transformers.generation.utils import GenerateOutput

from inbedder_utils.checks import as_numbers


def greedy_answers(lm: PreTrainedModel, ids: Tensor, mask: Tensor, *, max_new_tokens: int, pad_id: int) -> Tensor:
    """Generate with a causal or seq2seq model by greedy search, whatever sampling its own settings ask for.

    Takes ids and mask, (B, T) each, a causal model's padded on the left; returns the new tokens only, with `pad_id`
    after an answer's end: (B, up to max_new_tokens).
    """
    generated = _generate(lm, ids, mask, max_new_tokens=max_new_tokens, pad_token_id=pad_id).sequences
    return generated[:, 1 if lm.config.is_encoder_decoder else ids.shape[1] :]  # (B, answer)


def greedy_logits(lm: PreTrainedModel, ids: Tensor, mask: Tensor, *, pad_id: int) -> list[Tensor]:
    """Logits of the first two tokens that `greedy_answers` gives, (B, V) each; of one where all answers end with it."""
    return list(_generate(lm, ids, mask, max_new_tokens=2, pad_token_id=pad_id, output_logits=True).logits)


def _generate(lm: PreTrainedModel, ids: Tensor, mask: Tensor, **settings: Any) -> GenerateOutput:
    with _only_token_ids(lm):
        config = GenerationConfig(do_sample=False, num_beams=1, return_dict_in_generate=True, **settings)
        watch = LogitsProcessorList([lambda _, logits: without_nan(logits)])
        return lm.generate(ids, attention_mask=mask, generation_config=config, logits_processor=watch)


def without_nan(logits: Tensor) -> Tensor:
    """The logits (B, V); a ValueError if some are NaN, of which a search for the best would make any word at all."""
    if logits.isnan().any():
        raise ValueError("the model gives NaN for the words of its answer: load it in bfloat16 or float32 (dtype=)")
    return logits


@contextmanager
def _only_token_ids(lm: PreTrainedModel) -> Iterator[None]:
    """Hide the model's own settings but its token ids: `generate` takes from them whatever it was not told."""
    own = lm.generation_config
    names = ("bos_token_id", "eos_token_id", "decoder_start_token_id")
    lm.generation_config = GenerationConfig(**{name: getattr(own, name) for name in names})
    try:
        yield
    finally:
        lm.generation_config = own


def last_layer_states(embeddings: Any, width: int) -> Tensor:
    """Embeddings as states that an LM head can read: (n, width) float32.

    Raises:
        TypeError: if they are not numbers.
        ValueError: if they have another shape, or are not finite.
    """
    states = torch.tensor(as_numbers("embeddings", embeddings))  # (n, width)
    if states.ndim != 2 or states.shape[1] != width:
        raise ValueError(f"embeddings must be (n, {width}), the width of the last layer; got {tuple(states.shape)}")
    if not states.isfinite().all():
        raise ValueError("embeddings hold NaN or infinite numbers, which are no words: encode the texts again")
    return states


def best_words(logits: Tensor, tokenizer: PreTrainedTokenizerBase, k: int) -> list[dict[str, float]]:
    """The k words with the highest logits (B, V), and the probabilities of their tokens.

    Special tokens, pieces without a letter or digit, and repetitions that differ only in case or in a leading space are
    left out.

    Returns:
        B dicts, best first, shorter where the vocabulary has fewer words.
    """
    logits = logits.float()
    likely, ids = logits.topk(min(20 * k + 200, logits.shape[1]))  # (B, likely), (B, likely)
    shares = (likely - logits.logsumexp(-1, keepdim=True)).exp()  # (B, likely)
    rows = zip(ids.tolist(), shares.tolist(), strict=True)
    return [dict(_distinct(*row, tokenizer)[:k]) for row in rows]


def _distinct(ids: list[int], shares: list[float], tokenizer: PreTrainedTokenizerBase) -> list[tuple[str, float]]:
    words: dict[str, tuple[str, float]] = {}
    pieces = tokenizer.batch_decode([[i] for i in ids], skip_special_tokens=True)
    for piece, share in zip(pieces, shares, strict=True):
        word = piece.strip().removeprefix("##")  # as WordPiece marks what continues a word
        if any(map(str.isalnum, word)):
            words.setdefault(word.casefold(), (word, share))
    return list(words.values())
