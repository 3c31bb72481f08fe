"""Training on a small scale: the real code, a few steps."""

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file

from inbedder_utils import load_encoder
from inbedder_utils.optimizers import MuonWithAdam
from inbedder_utils.prompts import INBEDDER
from inbedder_utils.qa_data import shorten_answer
from inbedder_utils.tokens import PromptTokenizer
from inbedder_utils.training import (
    IGNORED,
    PRESETS,
    AnswerCollator,
    build_model,
    build_tokenizer,
    encode_rows,
    train,
    training_rows,
)

SMALL = replace(
    PRESETS["tiny"], texts=8, notes=8, vocabulary=400, hidden=16, layers=2, heads=2, intermediate=16, batch_size=8
)


@pytest.fixture(scope="module")
def rows():
    return training_rows(replace(SMALL, texts=6, notes=6), seed=0)


@pytest.fixture(scope="module")
def tokenizer(rows):
    return build_tokenizer((text for row in rows for text in row.values()), 500)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train(SMALL, tmp_path_factory.mktemp("run") / "small", device="cpu", max_steps=3)


def test_answers_are_short(rows):
    assert all(row["output"] == shorten_answer(row["output"]) for row in rows)


@pytest.mark.parametrize("text", ["Grüße aus 東京 🗼", "a\x00b\ttab\n\nnew", "<s></s><pad>", "", "  two  spaces "])
def test_the_tokenizer_spells_any_text(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id


def test_a_bigger_vocabulary_is_what_was_asked_for(tokenizer):
    assert len(tokenizer) == 500
    assert len({tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}) == 3


def test_the_answer_follows_the_prompt_and_carries_all_of_the_loss(rows, tokenizer):
    prompts = PromptTokenizer(tokenizer, INBEDDER, max_length=256)(
        [row["input"] for row in rows], [row["instruction"] for row in rows]
    )
    for row, prompt, example in zip(rows, prompts, encode_rows(rows, tokenizer, 256), strict=True):
        ids, labels = example["input_ids"], example["labels"]
        assert ids[: len(prompt)] == prompt and example["length"] == len(ids) == len(labels)
        assert labels[: len(prompt)] == [IGNORED] * len(prompt)
        assert labels[len(prompt) :] == ids[len(prompt) :]
        assert tokenizer.decode(ids[len(prompt) :]) == f" {row['output']}{tokenizer.eos_token}"


def test_the_answer_does_not_retokenize_the_prompt(rows, tokenizer):
    row = rows[0]
    whole = INBEDDER.format(input=row["input"], instruction=row["instruction"]) + f" {row['output']}"
    (example,) = encode_rows([row], tokenizer, 256)
    assert tokenizer(whole)["input_ids"] == example["input_ids"][:-1]


def test_a_batch_ends_with_the_answers(rows, tokenizer):
    examples = encode_rows(rows, tokenizer, 256)[:5]
    batch = AnswerCollator(tokenizer.pad_token_id)(examples)
    assert batch["input_ids"].shape == batch["attention_mask"].shape
    assert batch["labels"].shape == (5, batch["logits_to_keep"])
    for example, ids, mask, labels in zip(
        examples, batch["input_ids"], batch["attention_mask"], batch["labels"], strict=True
    ):
        assert ids[mask == 1].tolist() == example["input_ids"]
        assert mask.tolist() == sorted(mask.tolist())
        answer = [label for label in example["labels"] if label != IGNORED]
        assert labels[labels != IGNORED].tolist() == answer
        assert labels[0] == IGNORED, "the state before the first answer token must be kept, for it predicts it"


def test_the_optimizer_updates_every_weight_and_follows_the_schedule(rows, tokenizer):
    model = build_model(SMALL, tokenizer)
    optimizer = MuonWithAdam(model, 1e-2)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    batch = AnswerCollator(tokenizer.pad_token_id)(encode_rows(rows, tokenizer, 256)[:8])
    losses = []
    for _ in range(5):
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(not weight.equal(before[name]) for name, weight in model.named_parameters())
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    model(**batch).loss.backward()
    stopped = [weight.clone() for weight in model.parameters()]
    optimizer.step()
    assert all(a.equal(b) for a, b in zip(stopped, model.parameters(), strict=True))


def test_the_optimizer_state_can_be_restored(rows, tokenizer):
    model = build_model(SMALL, tokenizer)
    optimizer = MuonWithAdam(model, 1e-2)
    model(**AnswerCollator(tokenizer.pad_token_id)(encode_rows(rows, tokenizer, 256)[:8])).loss.backward()
    optimizer.step()
    state = optimizer.state_dict()
    optimizer.load_state_dict(state)
    groups = [group for part in optimizer.parts for group in part.param_groups]
    assert all(mine is theirs for mine, theirs in zip(optimizer.param_groups, groups, strict=True))


def test_the_result_loads_and_encodes(trained):
    settings = json.loads((trained / "inbedder.json").read_text())
    assert settings == {
        "family": "causal",
        "prompt": INBEDDER,
        "pooling": "fst_gen",
        "layer": -1,
        "max_length": 256,
        "max_new_tokens": 4,
    }
    encoder = load_encoder(trained)
    embeddings = encoder.encode(["I want my money back.", "It rains in Osaka."], "What is it about?")
    assert embeddings.shape == (2, 16) and np.isfinite(embeddings).all()
    assert len(encoder.answer(["I want my money back."], "What does the customer need?")) == 1


def test_the_folder_is_complete_and_alone(trained):
    weights = load_file(trained / "model.safetensors")
    assert {array.dtype for array in weights.values()} == {np.dtype("float16")}
    assert (trained / "README.md").read_text().startswith("---\nlicense: mit")
    assert (trained / "loss.csv").read_text().startswith("step,loss,learning_rate\n")
    assert [path.name for path in trained.parent.iterdir()] == ["small"], "a temporary folder was left behind"


def test_the_same_seed_gives_the_same_weights(trained, tmp_path):
    again = train(SMALL, tmp_path / "again", device="cpu", max_steps=3)
    other = train(SMALL, tmp_path / "other", seed=1, device="cpu", max_steps=3)
    first, second, third = (load_file(folder / "model.safetensors") for folder in (trained, again, other))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert any(not np.array_equal(first[name], third[name]) for name in first)


def test_an_older_checkpoint_is_replaced_as_a_whole(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "inbedder.json").write_text("{}")
    (folder / "stale.bin").write_text("")
    train(SMALL, folder, device="cpu", max_steps=1)
    assert (folder / "model.safetensors").is_file() and not (folder / "stale.bin").exists()


def test_a_failed_run_leaves_nothing(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("disk full")

    monkeypatch.setattr("inbedder_utils.training.save", fail)
    with pytest.raises(RuntimeError, match="disk full"):
        train(SMALL, tmp_path / "model", device="cpu", max_steps=1)
    assert list(tmp_path.iterdir()) == []


def test_someone_elses_folder_is_not_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match=r"inbedder\.json.*choose a new folder"):
        train(SMALL, tmp_path, device="cpu", max_steps=1)
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_unknown_preset_and_device_and_steps(tmp_path):
    with pytest.raises(ValueError, match="unknown preset 'tinny': expected one of tiny.*did you mean 'tiny'"):
        train("tinny", tmp_path / "x")
    with pytest.raises(ValueError, match="abacus"):
        train(SMALL, tmp_path / "x", device="abacus")
    with pytest.raises(ValueError, match="max_steps must be 1 or more, got 0"):
        train(SMALL, tmp_path / "x", max_steps=0)
