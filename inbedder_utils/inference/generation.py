"""Answers in words: greedy search, whatever sampling a checkpoint's own settings ask for."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel


def greedy_answers(lm: PreTrainedModel, ids: Tensor, mask: Tensor, *, max_new_tokens: int, pad_id: int) -> Tensor:
    """Generate with a causal or seq2seq model.

    Args:
        lm: the model.
        ids: (B, T); a causal model's are padded on the left.
        mask: (B, T), 1 where a token is real.
        max_new_tokens: most tokens of an answer.
        pad_id: what stands after an answer's end.

    Returns:
        (B, up to max_new_tokens): the new tokens only.
    """
    with _only_token_ids(lm):
        config = GenerationConfig(max_new_tokens=max_new_tokens, do_sample=False, num_beams=1, pad_token_id=pad_id)
        generated = lm.generate(ids, attention_mask=mask, generation_config=config)
    return generated[:, 1 if lm.config.is_encoder_decoder else ids.shape[1] :]


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
