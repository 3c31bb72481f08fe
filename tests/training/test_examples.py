"""From rows to batches: labels stand where the logits predict them, and only answers carry loss."""

import copy

import pytest
import torch
from small_models import ASK, CORPUS, OTHER, QA_ROWS, TEXTS
from tokenizers import Tokenizer, models, normalizers
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedTokenizerFast,
)

from inbedder_utils.inference.hidden_states import only_states
from inbedder_utils.prompts import INBEDDER
from inbedder_utils.registry import Checkpoint
from inbedder_utils.training.examples import IGNORED, QUESTIONS_PER_EXAMPLE, answer_ids, encode_rows, make_collator
from inbedder_utils.training.losses import answer_loss

MODELS = {"causal": AutoModelForCausalLM, "masked": AutoModelForMaskedLM, "seq2seq": AutoModelForSeq2SeqLM}
READ_ONCE, PLAIN = (Checkpoint("x", "masked", read_once=once, max_length=100) for once in (True, False))
CAUSAL, SEQ2SEQ = Checkpoint("x", "causal", max_length=100), Checkpoint("x", "seq2seq", max_length=100)
EVERY = [("opt", CAUSAL), ("llama", CAUSAL), ("bert", PLAIN), ("bert", READ_ONCE), ("roberta", PLAIN)]
EVERY += [("roberta", READ_ONCE), ("t5", SEQ2SEQ)]
MASKED = [(name, checkpoint) for name, checkpoint in EVERY if checkpoint.family == "masked"]
ROWS = QA_ROWS[:9] + [{"input": TEXTS[5], "instruction": ASK, "output": "angry late kettle lid"}]
LONG = [{"input": TEXTS[4] * 12, "instruction": OTHER, "output": "kettle"}]


def ids_of(cases):
    return [f"{name}-{'once' if checkpoint.read_once else checkpoint.family}" for name, checkpoint in cases]


every_family = pytest.mark.parametrize(("name", "checkpoint"), EVERY, ids=ids_of(EVERY))
every_masked = pytest.mark.parametrize(("name", "checkpoint"), MASKED, ids=ids_of(MASKED))


@pytest.fixture(scope="module")
def parts_of(folder_of):
    """(name, family) -> model in evaluation mode, and tokenizer."""
    from functools import cache

    @cache
    def load(name: str, family: str):
        tokenizer = AutoTokenizer.from_pretrained(folder_of(name))
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        return MODELS[family].from_pretrained(folder_of(name), dtype=torch.float32).eval(), tokenizer

    return load


def expected_ids(tokenizer, checkpoint, row, most=20):
    text = row["output"] if checkpoint.family == "seq2seq" else f" {row['output']}"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"][:most]
    return ids if checkpoint.family == "masked" else [*ids, tokenizer.eos_token_id]


def learned(example) -> list[int]:
    return [label for label in example["labels"] if label != IGNORED]


def batch_of(model, tokenizer, checkpoint, rows):
    return make_collator(checkpoint, tokenizer, model)(encode_rows(rows, tokenizer, checkpoint))


def test_padding_that_the_model_has_no_row_for_is_not_used(parts_of):
    model, tokenizer = copy.deepcopy(parts_of("gpt2", "causal"))
    tokenizer.add_special_tokens({"pad_token": "<|new|>"})
    batch = batch_of(model, tokenizer, Checkpoint("x", "causal"), QA_ROWS[:4])
    assert (batch["attention_mask"] == 0).any()
    assert batch["input_ids"].max() < model.config.vocab_size == tokenizer.pad_token_id


@torch.inference_mode()
def outputs_of(model, batch):
    inputs = {name: value for name, value in batch.items() if name not in ("labels", "answer_at")}
    if "answer_at" not in batch:
        return model(**inputs)
    stack = model.get_decoder() if type(model) in MODELS["causal"]._model_mapping.values() else model.base_model
    with only_states(stack, batch["answer_at"]):
        return model(**inputs)


# --- examples


@every_family
def test_the_answers_tokens_and_nothing_else_carry_loss(parts_of, name, checkpoint):
    _, tokenizer = parts_of(name, checkpoint.family)
    expected = [token for row in ROWS for token in expected_ids(tokenizer, checkpoint, row)]
    examples = encode_rows(ROWS, tokenizer, checkpoint)
    assert [token for example in examples for token in learned(example)] == expected
    assert all(example["length"] == len(example["input_ids"]) for example in examples)


def test_a_causal_answer_and_an_end_token_follow_the_prompt(parts_of, encoder_of):
    _, tokenizer = parts_of("opt", "causal")
    tokenize = encoder_of("opt", max_length=100).prompt_tokenizer
    prompts = tokenize([r["input"] for r in ROWS], [r["instruction"] for r in ROWS])
    for row, prompt, example in zip(ROWS, prompts, encode_rows(ROWS, tokenizer, CAUSAL), strict=True):
        answer = expected_ids(tokenizer, CAUSAL, row)
        assert example["input_ids"] == prompt + answer and example["labels"] == [IGNORED] * len(prompt) + answer
        assert tokenizer.decode(answer) == f" {row['output']}{tokenizer.eos_token}"


def test_an_encoder_reads_what_it_is_encoded_from_and_the_answer_is_apart(parts_of, encoder_of):
    _, tokenizer = parts_of("t5", "seq2seq")
    tokenize = encoder_of("t5", max_length=100).prompt_tokenizer
    prompts = tokenize([r["input"] for r in ROWS], [r["instruction"] for r in ROWS])
    for row, prompt, example in zip(ROWS, prompts, encode_rows(ROWS, tokenizer, SEQ2SEQ), strict=True):
        assert example["input_ids"] == prompt
        assert tokenizer.decode(example["labels"], skip_special_tokens=True) == row["output"]
        assert example["labels"][-1] == tokenizer.eos_token_id


@pytest.mark.parametrize("name", ["bert", "roberta"])
@pytest.mark.parametrize("most", [1, 2, 20])
def test_there_is_one_mask_per_answer_token_right_after_the_prompt(parts_of, encoder_of, name, most):
    _, tokenizer = parts_of(name, "masked")
    encode = encoder_of(name, n_masks=1, max_length=100).prompt_tokenizer
    prompts = encode([r["input"] for r in ROWS], [r["instruction"] for r in ROWS])
    for row, prompt, example in zip(ROWS, prompts, encode_rows(ROWS, tokenizer, PLAIN, most), strict=True):
        answer = expected_ids(tokenizer, PLAIN, row, most)
        stop = len(prompt) - 2  # one mask, one token at the end
        masks = [tokenizer.mask_token_id] * len(answer)
        assert example["input_ids"] == prompt[:stop] + masks + prompt[-1:]
        assert example["labels"] == [IGNORED] * stop + answer + [IGNORED]
        assert example["positions"] == list(range(len(example["input_ids"]))) and set(example["segments"]) == {0}


@every_family
def test_answers_are_cut_off_at_their_most_tokens(parts_of, name, checkpoint):
    _, tokenizer = parts_of(name, checkpoint.family)
    for most in (1, 3):
        end = 0 if checkpoint.family == "masked" else 1
        lengths = [len(learned(example)) for example in encode_rows(ROWS[-1:], tokenizer, checkpoint, most)]
        assert lengths == [most + end]


@every_family
def test_only_the_text_is_shortened(parts_of, name, checkpoint):
    _, tokenizer = parts_of(name, checkpoint.family)
    (short,) = encode_rows([LONG[0] | {"input": "Ok."}], tokenizer, checkpoint)
    (long,) = encode_rows(LONG, tokenizer, checkpoint)
    prompt = [len(e["input_ids"]) - (len(learned(e)) if checkpoint.family == "causal" else 0) for e in (short, long)]
    assert prompt[0] < prompt[1] <= 100 and prompt[1] >= 80
    assert learned(short) == learned(long)
    around = len(tokenizer("\n\n### Instruction:\n" + OTHER)["input_ids"])
    assert short["input_ids"][-around:] == long["input_ids"][-around:]


@every_family
def test_an_instruction_that_leaves_no_room_for_the_text_is_refused(parts_of, name, checkpoint):
    _, tokenizer = parts_of(name, checkpoint.family)
    with pytest.raises(ValueError, match="leaves no room for the text"):
        encode_rows([LONG[0] | {"instruction": "why " * 200}], tokenizer, checkpoint)


# --- several questions behind one text


def packs(parts_of, name, n_questions):
    _, tokenizer = parts_of(name, "masked")
    rows = [
        {"input": text, "instruction": f"{ASK} {'no' * i}", "output": "kettle"}
        for i in range(n_questions)
        for text in TEXTS[:2]  # in turn, so that rows of a text don't stand together
    ]
    return encode_rows(rows, tokenizer, READ_ONCE), tokenizer


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_a_pack_holds_some_questions_about_one_text(parts_of, name):
    examples, tokenizer = packs(parts_of, name, QUESTIONS_PER_EXAMPLE + 3)
    assert [max(example["segments"]) for example in examples] == [QUESTIONS_PER_EXAMPLE, 3, QUESTIONS_PER_EXAMPLE, 3]
    texts = [tuple(t for t, s in zip(e["input_ids"], e["segments"], strict=True) if s == 0) for e in examples]
    assert texts[0] == texts[1] != texts[2] == texts[3]
    mask = tokenizer.mask_token_id
    for example in examples:
        n_answer = len(learned(example)) // max(example["segments"])
        for question in range(1, max(example["segments"]) + 1):
            own = [t for t, s in zip(example["input_ids"], example["segments"], strict=True) if s == question]
            assert own.count(mask) == n_answer and own[-1] == tokenizer.sep_token_id
        assert example["segments"] == sorted(example["segments"])
        assert not any(t == mask for t, s in zip(example["input_ids"], example["segments"], strict=True) if s == 0)


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_no_question_is_lost_or_asked_twice(parts_of, name):
    examples, tokenizer = packs(parts_of, name, QUESTIONS_PER_EXAMPLE + 3)
    assert sum(max(example["segments"]) for example in examples) == 2 * (QUESTIONS_PER_EXAMPLE + 3)
    asked = [
        (texts, tuple(t for t, s in zip(e["input_ids"], e["segments"], strict=True) if s == question))
        for texts, e in enumerate(examples)
        for question in range(1, max(e["segments"]) + 1)
    ]
    assert len({(i // 2, question) for i, question in asked}) == len(asked)


@every_masked
def test_with_vectors_every_answer_has_as_many_masks_as_the_model_is_read_at(parts_of, name, checkpoint):
    model, tokenizer = parts_of(name, "masked")
    vectors, n = torch.arange(len(ROWS))[:, None] * torch.ones(1, 4), checkpoint.n_masks
    examples = encode_rows(ROWS, tokenizer, checkpoint, vectors=vectors)
    batch = make_collator(checkpoint, tokenizer, model)(examples)
    assert batch["answer_vectors"].equal(vectors), "in the order of the questions"
    expected = [(expected_ids(tokenizer, checkpoint, row) + [tokenizer.sep_token_id] * n)[:n] for row in ROWS]
    assert batch["labels"].view(-1, n).tolist() == expected


@every_masked
def test_questions_about_one_text_know_that_they_are(parts_of, name, checkpoint):
    model, tokenizer = parts_of(name, "masked")
    examples = encode_rows(ROWS, tokenizer, checkpoint, vectors=torch.zeros(len(ROWS), 4))
    texts = make_collator(checkpoint, tokenizer, model)(examples)["answer_texts"].tolist()
    inputs = [row["input"] for row in ROWS]
    assert texts == [list(dict.fromkeys(inputs)).index(text) for text in inputs]


# --- answers


def prepending():
    """A tokenizer that puts a mark before every string, as that of Llama 2; and one that joins words at will."""
    pieces = ["<unk>", "</s>", "▁", *sorted(set("".join(CORPUS).replace(" ", "")))]
    words = sorted({word for line in CORPUS for word in line.split()})
    merges, vocabulary = [], dict.fromkeys(pieces)
    for word in words:
        joined = "▁"
        for letter in word:
            merges.append((joined, letter))
            joined += letter
            vocabulary[joined] = None
    merges, vocabulary = list(dict.fromkeys(merges)), {piece: i for i, piece in enumerate(vocabulary)}
    bpe = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>"))
    bpe.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, unk_token="<unk>", eos_token="</s>", pad_token="</s>")


@pytest.mark.parametrize("prompt", [INBEDDER, "{input} {instruction} Answer: ", "{instruction} {input}"])
def test_an_answer_begins_with_a_token_of_its_own_behind_the_prompt(prompt):
    tokenizer = prepending()
    examples = encode_rows(QA_ROWS[:2], tokenizer, Checkpoint("x", "causal", prompt, max_length=200))
    labels = [tokenizer.convert_ids_to_tokens(learned(example)) for example in examples]
    assert labels == [["▁angry", "</s>"], ["▁kettle", "</s>"]]
    for example, row in zip(examples, QA_ROWS, strict=False):
        whole = tokenizer(f"{prompt.format(**row)} {row['output']}")["input_ids"]
        assert prompt.endswith(" ") or example["input_ids"] == [*whole, tokenizer.eos_token_id]


def test_a_tokenizer_that_joins_prompt_and_answer_leaves_the_prompt_as_it_is_encoded():
    bpe = Tokenizer(
        models.BPE(
            {"<unk>": 0, ":": 1, " ": 2, "a": 3, ": ": 4, ": a": 5, " a": 6}, [(":", " "), (": ", "a"), (" ", "a")]
        )
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, unk_token="<unk>")
    assert tokenizer(": a")["input_ids"] == [5]
    assert answer_ids(["a"], tokenizer, ":") == [[6]] and answer_ids(["a"], tokenizer, "") == [[3]]


# --- batches


@pytest.mark.parametrize("name", ["opt", "llama"])
def test_in_a_causal_batch_states_are_judged_on_the_answer_that_follows_them(parts_of, name):
    model, tokenizer = parts_of(name, "causal")
    examples, batch = encode_rows(ROWS, tokenizer, CAUSAL), batch_of(model, tokenizer, CAUSAL, ROWS)
    size = (len(ROWS), max(e["length"] for e in examples))
    assert batch["input_ids"].shape == batch["attention_mask"].shape == batch["answer_at"].shape == size
    assert batch["labels"].tolist() == [label for example in examples for label in learned(example)]
    assert batch["input_ids"].roll(-1, 1)[batch["answer_at"]].equal(batch["labels"])
    for example, ids, mask in zip(examples, batch["input_ids"], batch["attention_mask"], strict=True):
        assert ids[mask == 1].tolist() == example["input_ids"] and mask.tolist() == sorted(mask.tolist(), reverse=True)
    assert outputs_of(model, batch).logits.shape[:2] == (1, len(batch["labels"]))


@every_masked
def test_a_masked_batch_reads_its_masks_only(parts_of, name, checkpoint):
    model, tokenizer = parts_of(name, "masked")
    examples, batch = encode_rows(ROWS, tokenizer, checkpoint), batch_of(model, tokenizer, checkpoint, ROWS)
    size = (len(examples), max(example["length"] for example in examples))
    assert batch["input_ids"].shape == batch["answer_at"].shape == size
    if checkpoint.read_once:
        assert batch["attention_mask"].shape == (size[0], 1, size[1], size[1])
        assert batch["position_ids"].shape == size
        assert batch["position_ids"].min() == (0 if name == "bert" else model.config.pad_token_id + 1)
    else:  # as in encoding: some models take no other mask, or would see farther with it
        assert batch["attention_mask"].shape == size and "position_ids" not in batch
    assert (batch["input_ids"][batch["answer_at"]] == tokenizer.mask_token_id).all()
    assert batch["answer_at"].sum() == (batch["input_ids"] == tokenizer.mask_token_id).sum() == len(batch["labels"])
    expected = " ".join(row["output"] for row in ROWS)
    assert tokenizer.decode(batch["labels"]).split() == expected.split()
    assert outputs_of(model, batch).logits.shape[:2] == (1, len(batch["labels"]))


def test_a_seq2seq_batch_feeds_each_answer_token_to_the_next(parts_of):
    model, tokenizer = parts_of("t5", "seq2seq")
    batch = batch_of(model, tokenizer, SEQ2SEQ, ROWS)
    assert batch["labels"].shape == batch["decoder_input_ids"].shape
    assert outputs_of(model, batch).logits.shape[:2] == batch["labels"].shape
    for row, labels, fed in zip(ROWS, batch["labels"], batch["decoder_input_ids"], strict=True):
        answer = labels[labels != IGNORED]
        assert tokenizer.decode(answer, skip_special_tokens=True) == row["output"]
        assert fed[0] == model.config.decoder_start_token_id and fed[1 : len(answer)].equal(answer[:-1])


# --- loss


def whole_loss(model, tokenizer, checkpoint, row) -> tuple[torch.Tensor, int]:
    """Sum and number of terms as transformers computes them: one row, no padding, logits of all tokens."""
    (example,) = encode_rows([row], tokenizer, checkpoint)
    ids, labels = torch.tensor([example["input_ids"]]), torch.tensor([example["labels"]])
    with torch.inference_mode():
        return model(input_ids=ids, labels=labels).loss * len(learned(example)), len(learned(example))


@pytest.mark.parametrize(("name", "checkpoint"), [("opt", CAUSAL), ("llama", CAUSAL), ("bert", PLAIN), ("t5", SEQ2SEQ)])
def test_the_loss_of_a_batch_is_that_of_transformers_row_by_row(parts_of, name, checkpoint):
    model, tokenizer = parts_of(name, checkpoint.family)
    batch = batch_of(model, tokenizer, checkpoint, ROWS)
    sums, counts = zip(*(whole_loss(model, tokenizer, checkpoint, row) for row in ROWS), strict=True)
    loss = answer_loss(outputs_of(model, batch), batch["labels"])
    torch.testing.assert_close(loss, sum(sums) / sum(counts), rtol=1e-4, atol=1e-4)


@every_masked
def test_packing_and_padding_leave_the_loss_as_it_is(parts_of, name, checkpoint):
    model, tokenizer = parts_of(name, "masked")
    together, parts, n = batch_of(model, tokenizer, checkpoint, ROWS), 0.0, 0
    for row in ROWS:
        batch = batch_of(model, tokenizer, checkpoint, [row])
        parts = parts + answer_loss(outputs_of(model, batch), batch["labels"]) * len(batch["labels"])
        n += len(batch["labels"])
    loss = answer_loss(outputs_of(model, together), together["labels"])
    torch.testing.assert_close(loss, parts / n, rtol=1e-4, atol=1e-4)


def test_the_loss_is_the_mean_cross_entropy_of_what_is_not_ignored():
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 4, 9), torch.tensor([[IGNORED, 3, 8, IGNORED], [0, IGNORED, IGNORED, 5]])
    by_hand = [-logits[i, j].softmax(-1)[labels[i, j]].log() for i, j in ((0, 1), (0, 2), (1, 0), (1, 3))]
    torch.testing.assert_close(answer_loss({"logits": logits}, labels), torch.stack(by_hand).mean())
    kept = labels != IGNORED
    torch.testing.assert_close(answer_loss({"logits": logits[kept][None]}, labels[kept]), torch.stack(by_hand).mean())


def test_half_precision_logits_are_judged_in_full():
    logits, labels = torch.randn(1, 3, 5).bfloat16(), torch.tensor([[1, 2, 3]])
    expected = nn.functional.cross_entropy(logits[0].float(), labels[0])
    torch.testing.assert_close(answer_loss({"logits": logits}, labels), expected)


@every_family
def test_halves_of_a_batch_add_up_to_the_whole(parts_of, name, checkpoint):
    model, tokenizer = parts_of(name, checkpoint.family)
    whole, *halves = (
        batch_of(model, tokenizer, checkpoint, rows)
        for rows in (ROWS, ROWS[:3], ROWS[3:])  # of unequal numbers
    )
    n = (whole["labels"] != IGNORED).sum()
    together = sum(answer_loss(outputs_of(model, half), half["labels"], n) for half in halves)
    torch.testing.assert_close(together, answer_loss(outputs_of(model, whole), whole["labels"]), rtol=1e-4, atol=1e-4)
