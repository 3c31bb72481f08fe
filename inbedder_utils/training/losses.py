"""Two losses: on the answer's tokens; and, for models made from a sentence embedder, on likeness to its embeddings.

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
from inbedder_utils.training.examples import IGNORED

TEMPERATURE = 0.05
TEMPERATURE_AMONG_EMBEDDINGS = 0.1
NOT_COMPARED = -1e4  # similarity that no softmax sees


def answer_loss(outputs: dict[str, Tensor], labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
    """Cross-entropy per answer token.

    Args:
        outputs: of the model, with logits (..., V).
        labels: aligned with the logits, `IGNORED` where there is nothing to predict.
        num_items_in_batch: answer tokens in the whole step, over all accumulated batches; None for this batch's.
    """
    logits = outputs["logits"].float().flatten(0, -2)  # (labels, V)
    total = nn.functional.cross_entropy(logits, labels.flatten(), ignore_index=IGNORED, reduction="sum")
    return total / (num_items_in_batch if num_items_in_batch is not None else (labels != IGNORED).sum())


@torch.inference_mode()
def answer_vectors(lm: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, answers: Sequence[str]) -> Tensor:
    """Embed n answers as the base does, before it is trained: the mean of all last-layer states, (n, H) float32."""
    distinct = {answer: i for i, answer in enumerate(dict.fromkeys(answers))}
    rows = tokenizer(list(distinct))["input_ids"]
    vectors, pad_id = torch.empty(len(rows), lm.config.hidden_size), padding_id(tokenizer, lm)

    def embed(batch: Sequence[Reading]) -> Tensor:
        prompts = [reading.rests[0] for reading in batch]
        ids, mask = pad(prompts, pad_id, device=lm.device)  # (B, T), (B, T)
        places = [np.arange(len(prompt)) + i * ids.shape[1] for i, prompt in enumerate(prompts)]
        return mean_at(lm.base_model(input_ids=ids, attention_mask=mask).last_hidden_state, places)  # (B, H)

    lm.eval()
    for batch, embedded in run_batches([Reading([i], [], [row]) for i, row in enumerate(rows)], embed, Budget(1024)):
        vectors[[reading.indices[0] for reading in batch]] = embedded.cpu()
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
    embeddings = states.float().view(len(targets), -1, states.shape[-1]).mean(1)  # (n, H)
    embeddings = nn.functional.normalize(embeddings, dim=-1)  # (n, H)
    targets = nn.functional.normalize(targets.float(), dim=-1)  # (n, H)
    alike = targets @ targets.T  # (n, n)
    to_answers = _cross_entropy(alike / TEMPERATURE, embeddings @ targets.T / TEMPERATURE)  # (n,)
    own_text = texts[:, None] == texts  # (n, n)
    wanted = alike.masked_fill(own_text, NOT_COMPARED)  # (n, n)
    similarities = (embeddings @ embeddings.T).masked_fill(own_text, NOT_COMPARED)  # (n, n)
    among_embeddings = _cross_entropy(wanted / TEMPERATURE, similarities / TEMPERATURE_AMONG_EMBEDDINGS)  # (n,)
    weights = wanted.max(-1).values.clamp(min=1e-6)  # (n,)
    return to_answers.mean() + (among_embeddings * weights).sum() / weights.sum()


def _cross_entropy(wanted: Tensor, similarities: Tensor) -> Tensor:
    return -(wanted.softmax(-1) * similarities.log_softmax(-1)).sum(-1)  # (n,)
