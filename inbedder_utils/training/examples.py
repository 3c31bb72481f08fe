"""From question-answer rows to batches: only answer tokens carry loss, in every family of models.

A batch is padded on the right and attended as in encoding, so that a row's loss is that of a plain forward of it alone.
`labels[i]` is the token that `logits[i]` should predict; of causal and masked models `answer_at` says which states
(B, T) predict one, and the LM head is to read no others.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inbedder_utils.data.qa_sources import Row
from inbedder_utils.inference.batching import pad
from inbedder_utils.inference.read_once import PADDING, first_position, read_once_mask
from inbedder_utils.registry import Checkpoint
from inbedder_utils.tokens import PromptTokenizer, padding_id

IGNORED = -100  # a label that carries no loss
QUESTIONS_PER_EXAMPLE = 8  # those that stand behind one text in a read-once example
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
        read-once model has up to `QUESTIONS_PER_EXAMPLE` questions behind one text in an example.
    """
    masked = checkpoint.family == "masked"
    ends = [i for i in (tokenizer.eos_token_id, tokenizer.sep_token_id) if i is not None]
    end, reserved = ([], max_answer) if masked else (ends[:1], 0)
    settings = {"max_length": checkpoint.max_length - reserved, "emoji_as_words": checkpoint.emoji_as_words}
    encode = PromptTokenizer(tokenizer, checkpoint.prompt, **settings)
    prompts = encode([row["input"] for row in rows], [row["instruction"] for row in rows])
    prompt_end = "" if checkpoint.family == "seq2seq" else checkpoint.prompt.split()[-1]
    answers = [ids[:max_answer] + end for ids in answer_ids([row["output"] for row in rows], tokenizer, prompt_end)]
    pairs = list(zip(prompts, answers, strict=True))
    if masked:
        examples = _masked(rows, pairs, encode, checkpoint, vectors)
    elif checkpoint.family == "causal":
        examples = [{"input_ids": prompt + ids, "labels": [IGNORED] * len(prompt) + ids} for prompt, ids in pairs]
    else:
        examples = [{"input_ids": prompt, "labels": ids} for prompt, ids in pairs]
    return [example | {"length": len(example["input_ids"])} for example in examples]


def answer_ids(answers: Sequence[str], tokenizer: PreTrainedTokenizerBase, prompt_end: str) -> list[list[int]]:
    """Tokenize answers as they go on after a space behind the end of a prompt; or, if there is none, as they begin.

    Alone, " angry" would begin with a token of its own where a tokenizer marks beginnings ("▁"), the same in every
    answer. No answer token crosses the border, for at encoding there is nothing behind it: where a tokenizer would join
    the two, the answer is tokenized alone.
    """

    def ids_of(strings: list[str]) -> list[list[int]]:
        return tokenizer(strings, add_special_tokens=False, split_special_tokens=True)["input_ids"]

    if not prompt_end:
        return ids_of(list(answers))
    (before,) = ids_of([prompt_end])
    whole = ids_of([f"{prompt_end} {answer}" for answer in answers])
    return [
        ids[len(before) :] if ids[: len(before)] == before else ids_of([f" {answer}"])[0]
        for ids, answer in zip(whole, answers, strict=True)
    ]


def _masked(
    rows: Sequence[Row],
    pairs: list[tuple[list[int], list[int]]],  # ids of prompts and answers
    encode: PromptTokenizer,
    checkpoint: Checkpoint,
    vectors: Tensor | None,
) -> list[Example]:
    tokenizer, prompts, stops = encode.tokenizer, [prompt for prompt, _ in pairs], [0] * len(rows)
    if checkpoint.read_once:
        stops = encode.text_stops(prompts, [row["input"] for row in rows], [row["instruction"] for row in rows])
    questions_of: dict[tuple[int, ...], list[tuple[list[int], list[int], int]]] = {}  # by text: ids, labels, row
    for i, ((prompt, answer), stop) in enumerate(zip(pairs, stops, strict=True)):
        if vectors is not None:
            answer = (answer + [tokenizer.sep_token_id] * checkpoint.n_masks)[: checkpoint.n_masks]
        end = len(prompt) - len(encode.suffix)
        question = prompt[stop:end] + [tokenizer.mask_token_id] * len(answer) + encode.suffix
        labels = [IGNORED] * (end - stop) + answer + [IGNORED] * len(encode.suffix)
        questions_of.setdefault(tuple(prompt[:stop]), []).append((question, labels, i))
    size = QUESTIONS_PER_EXAMPLE if checkpoint.read_once else 1
    examples, numbers = [], {text: number for number, text in enumerate(dict.fromkeys(row["input"] for row in rows))}
    for text, questions in questions_of.items():
        for pack in (questions[i : i + size] for i in range(0, len(questions), size)):
            labels = [IGNORED] * len(text) + [label for _, labels, _ in pack for label in labels]
            whole = (text, [ids for ids, _, _ in pack]) if checkpoint.read_once else (pack[0][0], [])
            example = pack_questions(*whole) | {"labels": labels}
            if vectors is not None:
                row = rows[pack[0][2]]
                about = {"text": numbers[row["input"]], "type": row.get("type", "")}
                example |= {"answer_vectors": vectors[[i for *_, i in pack]]} | about
            examples.append(example)
    return examples


def pack_questions(text: Sequence[int], questions: Sequence[Sequence[int]]) -> dict[str, list[int]]:
    """Put questions (ids of what stands after the text, mask tokens included) behind their text, in one row.

    The positions of every question go on from the text, as if it stood there alone.
    """
    pieces = [text, *questions]
    starts = [0] + [len(text)] * len(questions)
    return {
        "input_ids": [token for piece in pieces for token in piece],
        "segments": [segment for segment, piece in enumerate(pieces) for _ in piece],
        "positions": [start + i for start, piece in zip(starts, pieces, strict=True) for i in range(len(piece))],
    }


def make_collator(
    checkpoint: Checkpoint, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel
) -> Callable[[list[Example]], dict[str, Any]]:
    """Make the function that makes batches of examples for a model."""
    pad_id = padding_id(tokenizer, model)
    if checkpoint.family == "causal":
        return partial(causal_batch, pad_id=pad_id)
    if checkpoint.family == "seq2seq":
        return partial(seq2seq_batch, pad_id=pad_id, start_id=model.config.decoder_start_token_id)
    first = first_position(model.config) if checkpoint.read_once else None
    return partial(masked_batch, pad_id=pad_id, first_position=first, dtype=model.dtype)


def causal_batch(examples: list[Example], pad_id: int) -> dict[str, Any]:
    """A state is judged on the token after it, if that is the answer's."""
    ids, mask = _padded(examples, "input_ids", pad_id)  # (B, T) each
    following = torch.full_like(ids, IGNORED)  # (B, T)
    following[:, :-1] = _padded(examples, "labels", IGNORED)[0][:, 1:]
    return {"input_ids": ids, "attention_mask": mask} | _judged(following)


def seq2seq_batch(examples: list[Example], pad_id: int, start_id: int) -> dict[str, Any]:
    """The encoder reads the prompt; the decoder reads its start token and each of the answer to predict the next."""
    ids, mask = _padded(examples, "input_ids", pad_id)  # (B, T) each
    labels, _ = _padded(examples, "labels", IGNORED)  # (B, answer)
    fed = labels.roll(1, 1).masked_fill(labels.roll(1, 1) == IGNORED, pad_id)  # (B, answer)
    fed[:, 0] = start_id
    return {"input_ids": ids, "attention_mask": mask, "labels": labels, "decoder_input_ids": fed}


def masked_batch(
    examples: list[Example], pad_id: int, first_position: int | None = None, dtype: torch.dtype = torch.float32
) -> dict[str, Any]:
    """The states at the masks are judged; `first_position` is given for read-once examples only; dtype: the model's."""
    ids, mask = _padded(examples, "input_ids", pad_id)  # (B, T) each
    batch = {"input_ids": ids, "attention_mask": mask} | _judged(_padded(examples, "labels", IGNORED)[0])
    if first_position is not None:
        batch["attention_mask"] = read_once_mask(_padded(examples, "segments", PADDING)[0], dtype)  # (B, 1, T, T)
        batch["position_ids"] = _padded(examples, "positions", 0)[0] + first_position  # (B, T)
    imitated = [example for example in examples if "answer_vectors" in example]
    if imitated:
        texts = [torch.full((len(example["answer_vectors"]),), example["text"]) for example in imitated]
        batch["answer_vectors"] = torch.cat([example["answer_vectors"] for example in imitated])  # (questions, H)
        batch["answer_texts"] = torch.cat(texts)  # (questions,)
    return batch


def _judged(labels: Tensor) -> dict[str, Tensor]:
    """Which states (B, T) predict an answer token, and those tokens (answers,), of labels (B, T)."""
    return {"answer_at": labels != IGNORED, "labels": labels[labels != IGNORED]}


def _padded(examples: list[Example], name: str, value: int) -> tuple[Tensor, Tensor]:
    device = torch.device("cpu")  # where batches are made; the Trainer moves them
    return pad([example[name] for example in examples], value, device=device)  # (B, T) each
