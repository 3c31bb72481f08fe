"""Training on a small scale: the real code, a few steps."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ROOT
from safetensors.numpy import load_file
from small_models import ASK, OTHER, POSITIONS, QA_ROWS, TEXTS, build

from inbedder_utils import load_encoder
from inbedder_utils.prompts import INBEDDER
from inbedder_utils.registry import Checkpoint
from inbedder_utils.training.examples import encode_rows, make_collator
from inbedder_utils.training.folders import CHECKPOINTS, LOG_COLUMNS, RunLog, last_checkpoint, prepare, write_log
from inbedder_utils.training.losses import answer_loss
from inbedder_utils.training.muon import MuonWithAdam
from inbedder_utils.training.presets import PRESETS, Preset, Scratch
from inbedder_utils.training.run import train
from inbedder_utils.training.start import build_model, build_tokenizer
from inbedder_utils.training.trainer import training_arguments

SMALL = replace(
    PRESETS["tiny"],
    name="small",
    scratch=Scratch(vocabulary=400, hidden=16, layers=2, heads=2, intermediate=16),
    batch_size=8,
)
READ_ONCE = Preset("small-read-once", "", read_once=True, n_masks=2, max_length=100, learning_rate=1e-3, batch_size=8)
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
RESULT = {"README.md", "config.json", "inbedder.json", "log.csv", "model.safetensors", "run.json", "tokenizer.json"}


def quick(base, rows_file, output, preset=None, **more):
    settings = {"held_out": rows_file, "max_steps": 4, "eval_steps": 2, "device": "cpu", "show_progress_bar": False}
    return train(base, rows_file, output, preset=preset, **settings | more)


def weights(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "model.safetensors")


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def log_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def settings_of(folder: Path) -> dict:
    return json.loads((folder / "inbedder.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer((text for row in QA_ROWS for text in row.values()), 320)


@pytest.fixture(scope="module")
def small_batch(tokenizer):
    checkpoint = Checkpoint("small", "causal")
    model = build_model(SMALL.scratch, tokenizer)
    return make_collator(checkpoint, tokenizer, model)(encode_rows(QA_ROWS[:8], tokenizer, checkpoint))


def loss_of(model, batch) -> torch.Tensor:
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    return answer_loss({"logits": logits[batch["answer_at"]]}, batch["labels"])


@pytest.fixture(scope="module")
def from_scratch(rows_file, tmp_path_factory):
    return quick(None, rows_file, tmp_path_factory.mktemp("run") / "small", SMALL)


@pytest.fixture(scope="module")
def headless(folder_of, tmp_path_factory):
    """An encoder without LM head, as sentence embedders are."""
    folder, start = tmp_path_factory.mktemp("headless"), load_encoder(folder_of("bert"), device="cpu")
    start.lm.base_model.save_pretrained(folder)
    start.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def read_once(folder_of, rows_file, tmp_path_factory):
    """A masked read-once model, trained without interruption."""
    return quick(folder_of("bert"), rows_file, tmp_path_factory.mktemp("run") / "bert", READ_ONCE, max_steps=24)


# --- a model from scratch, and its optimizer


@pytest.mark.parametrize("text", ["Grüße aus 東京 🗼", "a\x00b\ttab\n\nnew", "<s></s><pad>", "", "  two  spaces "])
def test_the_tokenizer_spells_any_text(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id


def test_the_vocabulary_is_as_large_as_was_asked_for(tokenizer):
    assert len(tokenizer) == 320
    assert len({tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}) == 3


def test_the_optimizer_updates_every_weight_and_follows_the_schedule(small_batch, tokenizer):
    model = build_model(SMALL.scratch, tokenizer)
    optimizer = MuonWithAdam(model, 1e-2)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    losses = []
    for _ in range(5):
        loss = loss_of(model, small_batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(not weight.equal(before[name]) for name, weight in model.named_parameters())
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    loss_of(model, small_batch).backward()
    stopped = [weight.clone() for weight in model.parameters()]
    optimizer.step()
    assert all(a.equal(b) for a, b in zip(stopped, model.parameters(), strict=True))


def test_the_optimizer_state_can_be_restored(small_batch, tokenizer):
    model = build_model(SMALL.scratch, tokenizer)
    optimizer = MuonWithAdam(model, 1e-2)
    loss_of(model, small_batch).backward()
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    groups = [group for part in optimizer.parts for group in part.param_groups]
    assert all(mine is theirs for mine, theirs in zip(optimizer.param_groups, groups, strict=True))


def test_a_model_from_scratch_loads_and_encodes(from_scratch):
    expected = {"family": "causal", "prompt": INBEDDER, "pooling": "fst_gen", "max_length": 256, "max_new_tokens": 4}
    assert expected.items() <= settings_of(from_scratch).items()
    encoder = load_encoder(from_scratch, device="cpu")
    embeddings = encoder.encode(TEXTS, ASK)
    assert embeddings.shape == (len(TEXTS), 16) and np.isfinite(embeddings).all()
    assert len(encoder.answer(TEXTS, ASK)) == len(TEXTS)


def test_the_folder_is_complete_and_alone(from_scratch):
    assert {array.dtype for array in weights(from_scratch).values()} == {np.dtype("float16")}
    assert {path.name for path in from_scratch.iterdir()} >= RESULT
    assert not (from_scratch / CHECKPOINTS).exists()
    assert [path.name for path in from_scratch.parent.iterdir()] == ["small"], "a temporary folder was left behind"


def test_the_log_has_a_line_for_every_evaluation(from_scratch):
    assert (from_scratch / "log.csv").read_text(encoding="utf-8").splitlines()[0] == ",".join(LOG_COLUMNS)
    lines = log_of(from_scratch)
    assert [line["step"] for line in lines] == ["0", "2", "4"]
    assert all(float(line["eval_loss"]) > 0 and 0 <= float(line["eval_awareness"]) <= 1 for line in lines)
    assert all(float(line["loss"]) > 0 and float(line["learning_rate"]) > 0 for line in lines[1:])


def test_the_card_says_what_was_done(from_scratch, rows_file):
    card = (from_scratch / "README.md").read_text(encoding="utf-8")
    for said in (
        "# small",
        "causal language model",
        "random weights",
        f"48 rows (text, question, short answer) from {rows_file}",
        "4 steps, seed 0",
        "muon True",
    ):
        assert said in card
    assert "nan" not in card


def test_the_settings_of_the_run_are_written_down(from_scratch, rows_file):
    run = json.loads((from_scratch / "run.json").read_text(encoding="utf-8"))
    assert (run["seed"], run["max_steps"], run["lora"]) == (0, 4, False)
    assert run["settings"]["data"] == [{"source": str(rows_file), "limit": None, "passes": 1}]
    assert run["settings"]["scratch"]["vocabulary"] == 400 and run["settings"]["muon"]


def test_several_sources_are_read_together(rows_file, tmp_path):
    twice, steps = [rows_file, str(rows_file)], {"max_steps": 1, "device": "cpu", "show_progress_bar": False}
    out = train(data=twice, output=tmp_path / "out", preset=SMALL, held_out=rows_file, **steps)
    assert f"96 rows (text, question, short answer) from {rows_file}, {rows_file};" in (out / "README.md").read_text()


# --- a model that starts from another


def test_a_masked_model_that_reads_once(read_once, folder_of):
    settings = settings_of(read_once)
    assert (settings["family"], settings["read_once"], settings["n_masks"], settings["max_length"]) == (
        "masked",
        True,
        2,
        100,
    )
    encoder = load_encoder(read_once, device="cpu")
    assert encoder.checkpoint.read_once and encoder.encode(TEXTS, ASK).shape == (len(TEXTS), 32)
    start = weights(folder_of("bert"))
    assert all(not np.array_equal(array, start[name].astype(np.float16)) for name, array in weights(read_once).items())
    losses = [float(line["eval_loss"]) for line in log_of(read_once)]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(("name", "family"), [("roberta", "masked"), ("t5", "seq2seq"), ("gpt2", "causal")])
def test_other_models_train_as_well(folder_of, rows_file, tmp_path, name, family):
    out = quick(folder_of(name), rows_file, tmp_path / "out", learning_rate=1e-3)
    settings = settings_of(out)
    assert settings["family"] == family and not settings["read_once"]
    assert {path.name for path in out.iterdir()} >= RESULT and len(log_of(out)) == 3
    encoder = load_encoder(out, device="cpu")
    assert np.isfinite(encoder.encode(TEXTS, ASK)).all()
    assert float(log_of(out)[-1]["eval_loss"]) < float(log_of(out)[0]["eval_loss"])


def test_a_prompt_leaves_room_for_its_answer_below_the_models_positions(folder_of, tmp_path):
    rows = [{"input": "The kettle leaks. " * 60, "instruction": ASK, "output": "late kettle box " * 9}] * 4
    file = tmp_path / "long.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    out = quick(folder_of("gpt2"), file, tmp_path / "out", held_out=str(file))
    assert float(log_of(out)[-1]["eval_loss"]) > 0
    assert settings_of(out)["max_length"] == POSITIONS - settings_of(out)["max_new_tokens"], "encoding needs less room"


def test_low_rank_updates_are_trained_by_adam_whatever_the_preset(folder_of, rows_file, tmp_path):
    out = quick(folder_of("bert"), rows_file, tmp_path / "out", replace(READ_ONCE, muon=True), lora=True)
    assert not same(weights(out), weights(folder_of("bert")))
    assert "muon False" in (out / "README.md").read_text(encoding="utf-8")


def test_a_model_that_imitates_answers_keeps_those_that_several_texts_have(folder_of, tmp_path):
    rows = [{"input": f"The {i} bus is late.", "instruction": ASK, "output": "Late  bus"} for i in range(4)]
    rows += [{"input": "Thanks!", "instruction": f"{ASK} {i}", "output": "thanks"} for i in range(4)]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    out = quick(folder_of("bert"), file, tmp_path / "out", replace(READ_ONCE, imitate=1.0), held_out=str(file))
    assert (out / "answers.txt").read_text(encoding="utf-8") == "late bus\n", "thanks is one text's answer only"
    assert load_encoder(out, device="cpu").reader.phrases is not None


@pytest.mark.parametrize("name", ["bert", "t5", "llama"])
def test_low_rank_updates_change_the_matrices_between_embeddings_and_head_only(folder_of, rows_file, tmp_path, name):
    out = quick(folder_of(name), rows_file, tmp_path / "out", lora=True, learning_rate=1e-2)
    start, trained = weights(folder_of(name)), weights(out)
    assert start.keys() == trained.keys()
    changed = {n for n, array in trained.items() if not np.array_equal(array, start[n].astype(np.float16))}
    assert changed and all(trained[n].ndim == 2 and "embed" not in n and "norm" not in n.lower() for n in changed)
    assert np.isfinite(load_encoder(out, device="cpu").encode(TEXTS, OTHER)).all()
    assert not list(out.glob("adapter*"))


def test_a_model_that_we_trained_keeps_its_settings_when_it_is_trained_on(read_once, rows_file, tmp_path):
    again = quick(read_once, rows_file, tmp_path / "again", learning_rate=1e-3)
    assert settings_of(again) == settings_of(read_once)
    assert not same(weights(again), weights(read_once))


def test_without_held_out_rows_some_texts_are_set_aside(folder_of, rows_file, tmp_path):
    out = quick(folder_of("bert"), rows_file, tmp_path / "out", held_out=None, max_steps=1)
    assert "45 rows" in (out / "README.md").read_text(encoding="utf-8")  # one text of sixteen, three questions
    assert log_of(out)[0]["eval_loss"] and log_of(out)[0]["eval_awareness"] == ""


def test_a_base_without_a_head_gets_one_that_names_tokens(headless, rows_file, tmp_path):
    assert not any("cls" in name for name in weights(headless))
    out = quick(headless, rows_file, tmp_path / "out", READ_ONCE)
    assert float(log_of(out)[0]["eval_loss"]) < 5  # guessing among 162 pieces costs 5.1 nats, a random head 6
    assert load_encoder(out, device="cpu").answer(TEXTS, ASK)


def test_a_decoder_without_a_head_is_refused(folder_of, rows_file, tmp_path):
    start = load_encoder(folder_of("llama"), device="cpu")
    start.lm.base_model.save_pretrained(tmp_path / "base")
    start.tokenizer.save_pretrained(tmp_path / "base")
    with pytest.raises(ValueError, match="has no weights for lm_head.weight: it is not a language model"):
        quick(tmp_path / "base", rows_file, tmp_path / "out")


# --- the same run again


def test_the_same_seed_gives_the_same_weights(read_once, folder_of, rows_file, tmp_path):
    again = quick(folder_of("bert"), rows_file, tmp_path / "again", READ_ONCE, max_steps=24)
    other = quick(folder_of("bert"), rows_file, tmp_path / "other", READ_ONCE, max_steps=24, seed=1)
    assert same(weights(again), weights(read_once)) and not same(weights(other), weights(read_once))
    assert (again / "log.csv").read_bytes() == (read_once / "log.csv").read_bytes()


def test_the_same_seed_gives_the_same_model_from_scratch(from_scratch, rows_file, tmp_path):
    again = quick(None, rows_file, tmp_path / "again", SMALL)
    assert same(weights(again), weights(from_scratch))
    assert (again / "tokenizer.json").read_bytes() == (from_scratch / "tokenizer.json").read_bytes()


KILLED = """
import sys, torch
torch.set_num_threads(1)
sys.path[:0] = {tests!r}
from test_train import READ_ONCE, quick
quick({base!r}, {rows!r}, {output!r}, READ_ONCE, max_steps=24)
"""


def kill_after_a_checkpoint(base: Path, rows_file: Path, output: Path) -> None:
    names = {
        "tests": [str(ROOT / "tests"), str(Path(__file__).parent)],
        "base": str(base),
        "rows": str(rows_file),
        "output": str(output),
    }
    process = subprocess.Popen([sys.executable, "-c", KILLED.format(**names)], env=ENVIRONMENT, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not list(output.glob(f"{CHECKPOINTS}/checkpoint-*/trainer_state.json")):
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def test_a_killed_run_that_is_started_again_ends_as_if_nothing_had_happened(read_once, folder_of, rows_file, tmp_path):
    output = tmp_path / "killed"
    kill_after_a_checkpoint(folder_of("bert"), rows_file, output)
    assert last_checkpoint(output) and not (output / "inbedder.json").exists()
    with pytest.raises(ValueError, match=r"a run with other settings \(seed 0 instead of 5\): choose another output"):
        quick(folder_of("bert"), rows_file, output, READ_ONCE, max_steps=24, seed=5)
    before = rows_file.read_bytes()
    for changed in ({"output": "sad"}, {"input": "The box came."}, {"instruction": "What?"}):
        rows_file.write_text("".join(json.dumps(row) + "\n" for row in [*QA_ROWS[:-1], QA_ROWS[-1] | changed]))
        with pytest.raises(
            ValueError, match=r"other settings \(rows '48 and 48 held out, sha256 \w{16}' instead of '48 "
        ):
            quick(folder_of("bert"), rows_file, output, READ_ONCE, max_steps=24)
    rows_file.write_bytes(before)
    quick(folder_of("bert"), rows_file, output, READ_ONCE, max_steps=24)
    assert same(weights(output), weights(read_once))
    assert (output / "log.csv").read_bytes() == (read_once / "log.csv").read_bytes()
    assert {path.name for path in output.iterdir()} == {path.name for path in read_once.iterdir()}


class Interrupted(RunLog):
    def on_log(self, args, state, control, **kwargs):
        super().on_log(args, state, control, **kwargs)
        if state.global_step == 12:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("name", "preset", "more"),
    [
        (None, SMALL, {}),
        (None, SMALL, {"batch_size": 64}),
        ("t5", None, {"learning_rate": 1e-3}),
        ("bert", READ_ONCE, {"lora": True}),
        ("bert", replace(READ_ONCE, imitate=1.0, muon=True), {}),
    ],
    ids=["scratch", "accumulated", "t5", "lora", "imitate"],
)
def test_an_interrupted_run_of_any_kind_goes_on(folder_of, rows_file, tmp_path, monkeypatch, name, preset, more):
    base = folder_of(name) if name else None
    more |= {"max_steps": 14, "eval_steps": 4}  # an epoch of the model from scratch has six steps
    expected = quick(base, rows_file, tmp_path / "whole", preset, **more)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("inbedder_utils.training.run.RunLog", Interrupted)
        quick(base, rows_file, tmp_path / "parts", preset, **more)
    assert last_checkpoint(tmp_path / "parts").endswith("checkpoint-8")
    if name == "t5":  # as if begun by a version that did not note the number of processes
        started = json.loads((tmp_path / "parts" / "run.json").read_text())
        (tmp_path / "parts" / "run.json").write_text(json.dumps({k: v for k, v in started.items() if k != "processes"}))
    resumed = quick(base, rows_file, tmp_path / "parts", preset, **more)
    assert same(weights(resumed), weights(expected))
    assert (resumed / "log.csv").read_bytes() == (expected / "log.csv").read_bytes()


def test_half_written_checkpoints_are_ignored(tmp_path):
    assert last_checkpoint(tmp_path) is None
    for step, state in ((8, '{"global_step": 8}'), (10, '{"global_step": 10, "log'), (12, ""), (14, None)):
        folder = tmp_path / CHECKPOINTS / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        if state is not None:
            (folder / "trainer_state.json").write_text(state, encoding="utf-8")
    assert last_checkpoint(tmp_path).endswith("checkpoint-8")


def test_the_newest_checkpoint_has_the_most_steps_not_the_last_name(tmp_path):
    for step in (80, 100, 9):
        folder = tmp_path / CHECKPOINTS / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}), encoding="utf-8")
    assert last_checkpoint(tmp_path).endswith("checkpoint-100")


def test_the_log_has_one_line_per_step_in_order(tmp_path):
    history = [
        {"step": 4, "epoch": 0.5, "loss": 2.0, "learning_rate": 1e-4, "grad_norm": 9.0},
        {"step": 0, "epoch": 0, "eval_loss": 3.0},
        {"step": 4, "epoch": 0.5, "eval_loss": 1.23456789, "eval_runtime": 2.0},
        {"step": 4, "epoch": 0.5, "eval_loss": 1.23456789},
    ]
    write_log(tmp_path / "log.csv", history)
    assert (tmp_path / "log.csv").read_text(encoding="utf-8") == (
        "step,epoch,loss,learning_rate,eval_loss,eval_awareness\n0,0,,,3,\n4,0.5,2,0.0001,1.23457,\n"
    )


# --- what is refused


def test_a_finished_run_is_not_replaced(from_scratch, rows_file):
    before = weights(from_scratch)
    with pytest.raises(ValueError, match="holds this run, finished: load it, or delete it"):
        quick(None, rows_file, from_scratch, SMALL)
    with pytest.raises(ValueError, match="other settings .*max_steps 4 instead of 5"):
        quick(None, rows_file, from_scratch, SMALL, max_steps=5)
    assert same(weights(from_scratch), before)


def test_someone_elses_folder_is_not_touched(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    rows_file = "./nothing is read before the folder is looked at.jsonl"
    for output in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(ValueError, match="exists and holds no training run: choose another output, or empty it"):
            quick(None, rows_file, output, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_a_start_that_failed_can_be_mended(rows_file, tmp_path):
    with pytest.raises(OSError, match="no data set"):
        quick(None, "./typo.jsonl", tmp_path / "out", SMALL, held_out="./typo.jsonl")
    assert np.isfinite(load_encoder(quick(None, rows_file, tmp_path / "out", SMALL)).encode(TEXTS, ASK)).all()


def test_an_empty_folder_will_do(tmp_path):
    prepare(tmp_path, {"settings": {}}, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_too_little_space_is_found_out_at_the_start(folder_of, rows_file, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match="has 0.0 GB of free space; .* may take .* GB with its checkpoints: make room"):
        quick(without_weights(folder_of("bert"), tmp_path), rows_file, tmp_path / "out")


def test_an_output_below_a_file_cannot_be_written(rows_file, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="can't be written .*: choose another output"):
        quick(None, rows_file, tmp_path / "file" / "out", SMALL)


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_output_is_named(rows_file, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(OSError, match=r"locked.* can't be written \(Permission denied\): choose another output"):
        quick(None, rows_file, tmp_path / "locked" / "out", SMALL)


def without_weights(folder: Path, tmp_path: Path) -> Path:
    """A base that fails when its weights are loaded, so that what is refused before that is told apart."""
    return shutil.copytree(folder, tmp_path / "base", ignore=shutil.ignore_patterns("*.safetensors"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("sqad", "no data set 'sqad': pass a JSON Lines file, a hub id .*squad"),
        ("./none.jsonl", r"no data set './none\.jsonl'"),
        ("someone/something", r"data set 'someone/something' can't be loaded from the hub .* pass a JSON Lines file"),
    ],
)
def test_an_unknown_data_set_is_refused_before_weights_are_loaded(folder_of, tmp_path, data, message):
    with pytest.raises(OSError, match=message):
        quick(without_weights(folder_of("bert"), tmp_path), data, tmp_path / "out")


def test_bad_and_too_few_rows_are_refused_before_weights_are_loaded(folder_of, tmp_path):
    base, data = without_weights(folder_of("bert"), tmp_path), tmp_path / "rows.jsonl"
    data.write_text(json.dumps(QA_ROWS[0]) + '\n{"input": "a"}\n', encoding="utf-8")
    with pytest.raises(ValueError, match="1 of 2 rows of .*rows.jsonl, line 2: instruction, output missing"):
        quick(base, data, tmp_path / "bad")
    data.write_text(json.dumps(QA_ROWS[0]) + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match="too few texts to set some aside: give more, or name held_out"):
        quick(base, data, tmp_path / "few", held_out=None)
    with pytest.raises(ValueError, match="data is empty: name at least one source"):
        quick(base, [], tmp_path / "none")


def test_a_base_without_weights_is_incomplete(folder_of, rows_file, tmp_path):
    with pytest.raises(OSError, match="the checkpoint in .* can't be read, is it complete"):
        quick(without_weights(folder_of("bert"), tmp_path), rows_file, tmp_path / "out")


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("./nothing", "'./nothing' is not a folder with a checkpoint"),
        ("someone/something", "'someone/something' is not a known checkpoint or folder, and could not be loaded"),
    ],
)
def test_a_base_that_is_not_there(rows_file, tmp_path, base, message):
    with pytest.raises(OSError, match=message):
        quick(base, rows_file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unknown_presets_devices_and_steps(rows_file, tmp_path):
    with pytest.raises(ValueError, match="unknown preset 'tinny': expected one of .*tiny.*did you mean 'tiny'"):
        quick(None, rows_file, tmp_path / "x", "tinny")
    with pytest.raises(ValueError, match="name a base model to start from, or a preset"):
        quick(None, rows_file, tmp_path / "x")
    with pytest.raises(ValueError, match="starts from random weights: leave base out"):
        quick("FacebookAI/roberta-large", rows_file, tmp_path / "x", SMALL)
    with pytest.raises(ValueError, match="abacus"):
        quick(None, rows_file, tmp_path / "x", SMALL, device="abacus")
    for name in ("max_steps", "eval_steps", "batch_size"):
        with pytest.raises(ValueError, match=f"{name} must be 1 or more, got 0"):
            quick(None, rows_file, tmp_path / "x", SMALL, **{name: 0})
    for name in ("epochs", "learning_rate"):
        with pytest.raises(ValueError, match=f"{name} must be above 0 and finite, got 0"):
            quick(None, rows_file, tmp_path / "x", SMALL, **{name: 0})
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(("device", "message"), [(None, "has 2 GPUs: start with torchrun"), ("cuda:1", "set CUDA_VIS")])
def test_one_process_takes_no_part_of_several_gpus(rows_file, tmp_path, monkeypatch, device, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match=message):
        quick(None, rows_file, tmp_path / "out", SMALL, device=device)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("total", [*range(1, 25), 59, 101, 499, 500, 501, 973, 3125, 31250])
def test_a_run_is_evaluated_at_most_ten_times_and_logged_in_between(tmp_path, total):
    whole = {"device": torch.device("cpu"), "max_steps": total, "eval_steps": None, "seed": 0}
    made = training_arguments(Preset("own", "x"), tmp_path, 64, 64, disable_tqdm=True, **whole)
    assert total // made.eval_steps <= 10 and made.eval_steps % made.logging_steps == 0
    assert made.logging_steps == min(50, made.eval_steps)


@pytest.mark.parametrize("size", [1, 6, 8, 16, 24, 64, 97, 100])
def test_a_step_has_as_many_rows_as_were_asked_for(tmp_path, size):
    whole = {"device": torch.device("cpu"), "max_steps": 4, "eval_steps": None, "seed": 0, "disable_tqdm": True}
    made = training_arguments(Preset("own", "x", batch_size=size), tmp_path, 640, 640, **whole)
    assert made.per_device_train_batch_size * made.gradient_accumulation_steps == size
    assert made.per_device_train_batch_size <= 16


@pytest.mark.parametrize(("size", "per_example"), [(128, 5.3), (24, 2.5), (100, 7.7)])
def test_a_step_of_read_once_examples_has_about_as_many_rows(tmp_path, size, per_example):
    whole = {"device": torch.device("cpu"), "max_steps": 4, "eval_steps": None, "seed": 0, "disable_tqdm": True}
    made = training_arguments(Preset("own", "x", batch_size=size), tmp_path, round(1000 * per_example), 1000, **whole)
    rows = made.per_device_train_batch_size * made.gradient_accumulation_steps * per_example
    assert abs(rows - size) <= per_example / 2 and made.per_device_train_batch_size * per_example < 16 + per_example


@pytest.mark.parametrize("name", [None, "t5", "bert"])
def test_a_step_in_parts_leads_where_a_whole_one_leads(folder_of, rows_file, tmp_path, name):
    recipe = SMALL if name is None else Preset("own", "", batch_size=8, learning_rate=1e-3, dropout=False)
    base, once = folder_of(name) if name else None, {"max_steps": 1, "eval_steps": 1}
    parts = [quick(base, rows_file, tmp_path / str(n), replace(recipe, micro_batch=n), **once) for n in (8, 2)]
    whole, accumulated = (log_of(part)[-1] for part in parts)
    for value in ("loss", "eval_loss"):
        assert float(accumulated[value]) == pytest.approx(float(whole[value]), rel=1e-3)


# --- several processes


def test_processes_that_cannot_share_a_step_equally_are_refused(rows_file, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(
        ValueError, match=r"batch_size=8 can't be shared equally by 3 processes: choose a multiple of 3"
    ):
        quick(None, rows_file, tmp_path / "out", SMALL)
    assert not (tmp_path / "out").exists()


def test_a_run_goes_on_with_as_many_processes_as_it_began_with(from_scratch, rows_file, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match=r"other settings \(processes 1 instead of 2\): choose another output"):
        quick(None, rows_file, from_scratch, SMALL)


KILLED_OF_TWO = """
import os, signal, sys
sys.path[:0] = {tests!r}
from test_train import READ_ONCE, quick
from inbedder_utils.training import run

class Killed(run.RunLog):
    def on_log(self, args, state, control, **kwargs):
        super().on_log(args, state, control, **kwargs)
        if state.global_step == int(sys.argv[4]) and args.process_index == int(sys.argv[5]):
            os.kill(os.getpid(), signal.SIGKILL)

run.RunLog = Killed
quick(*sys.argv[1:4], READ_ONCE, max_steps=24)
"""


@pytest.mark.slow
def test_two_processes_of_which_one_was_killed_end_as_if_nothing_had_happened(folder_of, rows_file, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(KILLED_OF_TWO.format(tests=[str(ROOT / "tests"), str(Path(__file__).parent)]), encoding="utf-8")

    def by_two(name: str, step: int = -1, rank: int = 0) -> int:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", script]
        command += map(str, (folder_of("bert"), rows_file, tmp_path / name, step, rank))
        return subprocess.run(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL, timeout=300).returncode

    assert by_two("whole") == 0
    for step, rank in ((12, 1), (16, 0)):
        assert by_two("killed", step, rank) != 0
        assert last_checkpoint(tmp_path / "killed").endswith(f"checkpoint-{step - 2}")
        with pytest.raises(ValueError, match=r"other settings \(processes 2 instead of 1\)"):
            quick(folder_of("bert"), rows_file, tmp_path / "killed", READ_ONCE, max_steps=24)
    assert by_two("killed") == 0
    assert same(weights(tmp_path / "killed"), weights(tmp_path / "whole"))
    assert log_of(tmp_path / "killed") == log_of(tmp_path / "whole")


GATHERED = """
import sys, torch
from pathlib import Path
from torch.distributed import barrier, destroy_process_group, get_rank, init_process_group
from torch.distributed.fsdp import fully_shard
from transformers import AutoModelForCausalLM
from inbedder_utils.training.folders import gather
init_process_group("gloo")
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
for layer in model.model.layers:
    fully_shard(layer)
fully_shard(model)
whole = gather(model)
if get_rank() == 0:
    whole.to(torch.float16).save_pretrained(sys.argv[2])
barrier()
destroy_process_group()
"""


def test_a_model_in_pieces_is_gathered_before_it_is_saved(folder_of, tmp_path):
    (tmp_path / "gather.py").write_text(GATHERED, encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += [str(tmp_path / "gather.py"), str(folder_of("llama")), str(tmp_path / "out")]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    start, saved = weights(folder_of("llama")), weights(tmp_path / "out")
    assert same(saved, {name: array.astype(np.float16) for name, array in start.items()})


def test_two_processes_train_one_model(rows_file, tmp_path):
    base = build("bert", tmp_path / "base")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += ["-m", "inbedder_utils", "train", "--base", str(base), "--data", str(rows_file)]
    command += ["--held-out", str(rows_file), "--output", str(tmp_path / "out"), "--batch-size", "8"]
    command += ["--max-steps", "4", "--eval-steps", "2", "--device", "cpu", "--learning-rate", "0.001"]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the checkpoint is in") == 1
    assert [line["step"] for line in log_of(tmp_path / "out")] == ["0", "2", "4"]
    assert np.isfinite(load_encoder(tmp_path / "out", device="cpu").encode(TEXTS, ASK)).all()
