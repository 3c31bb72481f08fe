"""A second loss for models made from a sentence embedder: be like the base's own embedding of the answer.

The answer's tokens are single words of a vocabulary, each as far from "angry" as from every other; in the base's
embedding, "furious" is near "angry". Learning both, the masks can be read back as words, and their mean lies near those
of texts with like answers.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inbedder_utils.inference.batching import Budget, Reading, pad, run_batches
from inbedder_utils.pooling import mean_at
from inbedder_utils.tokens import padding_id

TEMPERATURE = 0.05
TEMPERATURE_AMONG = 0.1
NEVER = -1e4  # similarity of what is not to be compared


@torch.inference_mode()
def answer_vectors(lm: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, answers: Sequence[str]) -> Tensor:
    """Embed answers as a sentence embedder does: the mean of all last-layer states.

    Args:
        lm: the base, before it is trained.
        tokenizer: its tokenizer.
        answers: n strings.

    Returns:
        (n, H) float32.
    """
    distinct = {answer: i for i, answer in enumerate(dict.fromkeys(answers))}
    rows = tokenizer(list(distinct))["input_ids"]
    vectors, pad_id = torch.empty(len(rows), lm.config.hidden_size), padding_id(tokenizer, lm)

    def embed(batch: Sequence[Reading]) -> Tensor:
        rows = [row for reading in batch for row in reading.prompts]
        ids, mask = pad(rows, pad_id, device=lm.device)  # (B, T), (B, T)
        places = [np.arange(len(row)) + i * ids.shape[1] for i, row in enumerate(rows)]
        return mean_at(lm.base_model(input_ids=ids, attention_mask=mask).last_hidden_state, places)  # (B, H)

    lm.eval()
    for batch, embedded in run_batches([Reading([i], [], [row]) for i, row in enumerate(rows)], embed, Budget(1024)):
        vectors[[i for reading in batch for i in reading.indices]] = embedded.cpu()
    return vectors[[distinct[answer] for answer in answers]]


def imitation_loss(states: Tensor, targets: Tensor, texts: Tensor) -> Tensor:
    """How unlike the answers' vectors the masks are, within a batch.

    Each embedding is compared with the vectors of all answers in the batch, among them those to other questions about
    its own text. Its similarities should be those of its own answer's vector: equal answers are no mistakes, and like
    answers small ones. Then the embeddings of different texts are compared with each other in the same way: one that
    has all of its answer in it, but even more of its text, would pass the first comparison. There, a question counts
    as much as the most like answer about another text is like its own.

    Args:
        states: (n * masks, H), the states at the masks, question by question.
        targets: (n, H) vectors of the answers.
        texts: (n,), which text each question is about.

    Returns:
        Cross-entropy per question, in nats, of both comparisons together.
    """
    embeddings = nn.functional.normalize(states.float().view(len(targets), -1, states.shape[-1]).mean(1), dim=-1)
    targets = nn.functional.normalize(targets.float(), dim=-1)
    alike = targets @ targets.T
    to_answers = _cross_entropy(alike / TEMPERATURE, embeddings @ targets.T / TEMPERATURE)
    own_text = texts[:, None] == texts
    wanted, found = (similarity.masked_fill(own_text, NEVER) for similarity in (alike, embeddings @ embeddings.T))
    weights = wanted.max(-1).values.clamp(min=1e-6)
    to_each_other = _cross_entropy(wanted / TEMPERATURE, found / TEMPERATURE_AMONG)
    return to_answers.mean() + (to_each_other * weights).sum() / weights.sum()


def _cross_entropy(wanted: Tensor, found: Tensor) -> Tensor:
    return -(wanted.softmax(-1) * found.log_softmax(-1)).sum(-1)
