"""An LM head for a base that has none: a sentence embedder comes with an encoder only."""

from collections.abc import Sequence
from random import Random

import torch
from torch import nn
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inbedder_utils.inference.hidden_states import only_states

READ_BACK = 0.3  # share of tokens that the head reads back
MASKED = 0.15  # share of tokens that the encoder doesn't see


def fit_lm_head(
    lm: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    steps: int = 150,
    batch_size: int = 12,
    learning_rate: float = 3e-3,
    seed: int = 0,
    show_progress_bar: bool = False,
) -> float:
    """Teach a new LM head to name the token that a last-layer state stands for; nothing else is changed.

    From a random head, training on answers spends most of its steps on finding out which state means which word.

    Args:
        lm: a masked language model whose head has random weights.
        tokenizer: its tokenizer.
        texts: any texts.
        steps: number of batches.
        batch_size: texts per batch.
        learning_rate: of Adam; it falls to zero as a cosine.
        seed: of the draw of texts and tokens.
        show_progress_bar: draw a bar that counts steps.

    Returns:
        Loss of the last batch, in nats per token.
    """
    pool, rng = sorted(set(texts)), Random(seed)
    generator = torch.Generator().manual_seed(seed)
    body = {id(parameter) for parameter in lm.base_model.parameters()}
    head = [parameter for parameter in lm.parameters() if id(parameter) not in body]
    optimizer = torch.optim.AdamW(head, lr=learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    loss = torch.tensor(float("nan"))
    for _ in tqdm(range(steps), disable=not show_progress_bar, desc="fitting the LM head"):
        drawn = [rng.choice(pool) for _ in range(batch_size)]
        batch = tokenizer(drawn, padding=True, truncation=True, max_length=96, return_tensors="pt")
        ids, mask = batch["input_ids"], batch["attention_mask"]
        chance = torch.rand(ids.shape, generator=generator)
        words = mask.bool() & ~torch.isin(ids, torch.tensor(tokenizer.all_special_ids))
        seen = ids.masked_fill(words & (chance < MASKED), tokenizer.mask_token_id)
        asked = words & (chance < READ_BACK)
        with only_states(lm.base_model, asked):
            logits = lm(input_ids=seen, attention_mask=mask).logits[0]
        loss = nn.functional.cross_entropy(logits.float(), ids[asked])
        optimizer.zero_grad()
        loss.backward(inputs=head)
        optimizer.step()
        schedule.step()
    lm.zero_grad()
    return loss.item()
