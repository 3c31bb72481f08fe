"""From question-answer rows to batches: only answer tokens carry loss, in every family of models.

Every collator aligns its labels with the logits: `labels[i]` is the token that `logits[i]` should predict, and
`IGNORED` where there is none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DataCollatorForSeq2Seq, PreTrainedTokenizerBase

from inbedder_utils.inference.read_once import PADDING, first_position, packed, read_once_mask
from inbedder_utils.registry import Checkpoint
from inbedder_utils.tokens import PromptTokenizer, padding_id

IGNORED = -100  # a label that carries no loss
PACK = 8  # questions that stand behind one text in a read-once row
Row = dict[str, str]
Example = dict[str, Any]


def encode_rows(
    rows: Sequence[Row],
    tokenizer: PreTrainedTokenizerBase,
    checkpoint: Checkpoint,
    max_answer: int = 20,
    vectors: Tensor | None = None,
) -> list[Example]:
    """Tokenize rows for training.

    Args:
        rows: with input, instruction and output.
        tokenizer: of the model.
        checkpoint: family, prompt, most tokens of a prompt.
        max_answer: most tokens of an answer.
        vectors: (n, H) of the answers, for `inbedder_utils.training.losses`: every answer of a masked model then has
            the checkpoint's number of masks, those left over ask for the end token, and examples hold `answer_vectors`,
            `text` (its number), and the `type` of the text, if rows have one.

    Returns:
        Examples with `input_ids`, `labels` and `length`. In causal models the answer and the end token follow the
        prompt; in seq2seq models they are the labels; in masked models there is one mask per answer token. A masked
        read-once model has up to `PACK` questions behind one text in an example.
    """
    if checkpoint.family == "masked":
        examples = _masked(rows, tokenizer, checkpoint, max_answer, vectors)
    else:
        encode = _causal if checkpoint.family == "causal" else _seq2seq
        examples = encode(rows, tokenizer, checkpoint, max_answer)
    return [example | {"length": len(example["input_ids"])} for example in examples]


def _tokenized(
    rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, checkpoint: Checkpoint, max_answer: int
) -> tuple[PromptTokenizer, list[list[int]], list[list[int]]]:
    reserved = max_answer if checkpoint.family == "masked" else 0
    encode = PromptTokenizer(tokenizer, checkpoint.prompt, max_length=checkpoint.max_length - reserved)
    prompts = encode([row["input"] for row in rows], [row["instruction"] for row in rows])
    start = "" if checkpoint.family == "seq2seq" else " "
    answers = tokenizer([start + row["output"] for row in rows], add_special_tokens=False, split_special_tokens=True)
    return encode, prompts, [ids[:max_answer] for ids in answers["input_ids"]]


def _causal(
    rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, checkpoint: Checkpoint, max_answer: int
) -> list[Example]:
    _, prompts, answers = _tokenized(rows, tokenizer, checkpoint, max_answer)
    end = [tokenizer.eos_token_id]
    return [
        {"input_ids": prompt + answer + end, "labels": [IGNORED] * len(prompt) + answer + end}
        for prompt, answer in zip(prompts, answers, strict=True)
    ]


def _seq2seq(
    rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, checkpoint: Checkpoint, max_answer: int
) -> list[Example]:
    _, prompts, answers = _tokenized(rows, tokenizer, checkpoint, max_answer)
    end = [tokenizer.eos_token_id]
    return [{"input_ids": prompt, "labels": answer + end} for prompt, answer in zip(prompts, answers, strict=True)]


def _masked(
    rows: Sequence[Row],
    tokenizer: PreTrainedTokenizerBase,
    checkpoint: Checkpoint,
    max_answer: int,
    vectors: Tensor | None,
) -> list[Example]:
    encode, prompts, answers = _tokenized(rows, tokenizer, checkpoint, max_answer)
    if vectors is not None:
        fill = [tokenizer.sep_token_id] * checkpoint.n_masks
        answers = [(answer + fill)[: checkpoint.n_masks] for answer in answers]
    stops = [0] * len(rows)
    if checkpoint.read_once:
        stops = encode.text_stops(prompts, [row["input"] for row in rows], [row["instruction"] for row in rows])
    asked: dict[tuple[int, ...], list[tuple[list[int], list[int], int]]] = {}  # per text: question, labels, row
    for i, (prompt, answer, stop) in enumerate(zip(prompts, answers, stops, strict=True)):
        end = len(prompt) - len(encode.suffix)
        question = prompt[stop:end] + [tokenizer.mask_token_id] * len(answer) + encode.suffix
        labels = [IGNORED] * (end - stop) + answer + [IGNORED] * len(encode.suffix)
        asked.setdefault(tuple(prompt[:stop]), []).append((question, labels, i))
    size = PACK if checkpoint.read_once else 1
    examples = []
    for number, (text, questions) in enumerate(asked.items()):
        for pack in (questions[i : i + size] for i in range(0, len(questions), size)):
            parts = (text, [question for question, _, _ in pack]) if checkpoint.read_once else (pack[0][0], [])
            example = packed(*parts) | {"labels": [IGNORED] * len(text) + [x for _, labels, _ in pack for x in labels]}
            if vectors is not None:
                asked_of = [i for *_, i in pack]
                example |= {
                    "answer_vectors": vectors[asked_of],
                    "text": number,
                    "type": rows[asked_of[0]].get("type", ""),
                }
            examples.append(example)
    return examples


@dataclass(frozen=True)
class CausalCollator:
    """Pads on the left, so that all answers stand at the end and only their logits are computed."""

    pad_id: int

    def __call__(self, examples: list[Example]) -> dict[str, Any]:
        """Make a batch: ids and mask (B, T); the logits kept begin before the longest answer's first."""
        rows = [example["input_ids"] for example in examples]
        keep = 2 + max(sum(label != IGNORED for label in example["labels"]) for example in examples)
        labels = [example["labels"][1:] + [IGNORED] for example in examples]  # a state predicts the next token
        return {
            "input_ids": _padded(rows, self.pad_id, left=True),
            "attention_mask": _padded([[1] * len(row) for row in rows], 0, left=True),
            "labels": _padded(labels, IGNORED, left=True)[:, -keep:],
            "logits_to_keep": keep,
        }


@dataclass(frozen=True)
class MaskedCollator:
    """Pads on the right; the LM head reads the states at the masks only."""

    pad_id: int
    first_position: int = 0

    def __call__(self, examples: list[Example]) -> dict[str, Any]:
        """Make a batch: ids and positions (B, T), the 4D mask, where the masks are (B, T), and labels (masks,)."""
        labels = _padded([example["labels"] for example in examples], IGNORED)
        segments = _padded([example["segments"] for example in examples], PADDING)
        imitated = [example for example in examples if "answer_vectors" in example]
        vectors = [example["answer_vectors"] for example in imitated]
        texts = [torch.full((len(v),), example["text"]) for v, example in zip(vectors, imitated, strict=True)]
        return {
            "input_ids": _padded([example["input_ids"] for example in examples], self.pad_id),
            "attention_mask": read_once_mask(segments),
            "position_ids": _padded([example["positions"] for example in examples], 0) + self.first_position,
            "answer_at": labels != IGNORED,
            "labels": labels[labels != IGNORED],
        } | ({"answer_vectors": torch.cat(vectors), "answer_texts": torch.cat(texts)} if vectors else {})


def collator(
    checkpoint: Checkpoint, tokenizer: PreTrainedTokenizerBase, model: nn.Module
) -> Callable[[list[Example]], dict[str, Any]]:
    """What makes batches for a model."""
    pad_id = padding_id(tokenizer, model)
    if checkpoint.family == "causal":
        return CausalCollator(pad_id)
    if checkpoint.family == "masked":
        return MaskedCollator(pad_id, first_position(model.config))
    to_batch = DataCollatorForSeq2Seq(tokenizer, model, label_pad_token_id=IGNORED)
    names = ("input_ids", "labels")
    return lambda examples: dict(to_batch([{name: example[name] for name in names} for example in examples]))


def answer_loss(outputs: dict[str, Tensor], labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
    """Cross-entropy per answer token.

    Args:
        outputs: of the model, with logits (..., V).
        labels: aligned with the logits, `IGNORED` where there is nothing to predict.
        num_items_in_batch: answer tokens in the whole step, over all accumulated batches; None for this batch's.
    """
    logits = outputs["logits"]
    total = nn.functional.cross_entropy(
        logits.float().flatten(0, -2), labels.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    return total / (num_items_in_batch if num_items_in_batch is not None else (labels != IGNORED).sum())


def _padded(rows: list[list[int]], value: int, left: bool = False) -> Tensor:
    width = max(map(len, rows))
    fill = [[value] * (width - len(row)) for row in rows]
    return torch.tensor([pad + row if left else row + pad for row, pad in zip(rows, fill, strict=True)])
