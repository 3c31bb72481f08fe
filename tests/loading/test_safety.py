"""Checkpoints that somebody else made: no code of theirs is run, no file outside them read, no network reached for."""

import argparse
import json
import os
import pickle
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from safetensors.torch import load_file
from small_models import ASK, TEXTS

from inbedder_utils import load_encoder

SAFE, PICKLED = "model.safetensors", "pytorch_model.bin"


@pytest.fixture
def folder(folder_of, tmp_path) -> Path:
    """A checkpoint that may be changed."""
    return shutil.copytree(folder_of("llama"), tmp_path / "llama")


@pytest.fixture
def marker(tmp_path) -> Path:
    """What the malicious code below makes."""
    return tmp_path / "marker"


class Malicious:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    """The weights, whose file is removed."""
    weights = load_file(folder / SAFE)
    (folder / SAFE).unlink()
    return weights


def edited(file: Path, **entries) -> Path:
    """The folder, with entries changed in one of its JSON files."""
    content = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    file.write_text(json.dumps(content | entries), encoding="utf-8")
    return file.parent


def assert_encodes_as(folder: Path, other: Path) -> None:
    ours, theirs = (load_encoder(place, device="cpu").encode(TEXTS, ASK) for place in (folder, other))
    np.testing.assert_array_equal(ours, theirs)


# --- pickles


def test_safetensors_are_read_where_there_are_both(folder, folder_of, marker):
    torch.save({"x": Malicious(marker)}, folder / PICKLED)
    assert_encodes_as(folder, folder_of("llama"))
    assert not marker.exists()


@pytest.mark.parametrize("sharded", [False, True])
def test_a_pickle_of_plain_tensors_loads(folder, folder_of, sharded):
    weights = weights_of(folder)
    torch.save(weights, folder / ("shard.bin" if sharded else PICKLED))
    if sharded:
        edited(folder / f"{PICKLED}.index.json", metadata={}, weight_map=dict.fromkeys(weights, "shard.bin"))
    assert_encodes_as(folder, folder_of("llama"))


def in_zip(weights, evil, file):
    torch.save(weights | {"x": evil}, file)


def in_the_old_format(weights, evil, file):
    torch.save(weights | {"x": evil}, file, _use_new_zipfile_serialization=False)


def alone(weights, evil, file):
    file.write_bytes(pickle.dumps(evil, protocol=2))


@pytest.mark.parametrize("write", [in_zip, in_the_old_format, alone])
@pytest.mark.parametrize("file", [PICKLED, "shard.bin"])
def test_a_pickle_that_could_run_code_is_refused_unopened(folder, marker, write, file):
    weights = weights_of(folder)
    write(weights, Malicious(marker), folder / file)
    if file != PICKLED:
        edited(folder / f"{PICKLED}.index.json", metadata={}, weight_map=dict.fromkeys(weights, file))
    with pytest.raises(OSError, match="could run any code: refused. Ask for them as safetensors") as error:
        load_encoder(folder)
    assert str(folder) in str(error.value) and not marker.exists()
    with suppress(RuntimeError):  # torch notices that it is no file of weights, when all has been run
        torch.load(folder / file, weights_only=False)
    assert marker.exists(), "the pickle is what it should be"


def test_the_command_that_the_refusal_names_keeps_the_tensors(folder, folder_of):
    torch.save(weights_of(folder) | {"arguments": argparse.Namespace(seed=0)}, folder / PICKLED)
    with pytest.raises(OSError, match="only if you trust whoever made them") as error:
        load_encoder(folder)
    _, _, command = str(error.value).partition("with: ")
    python, *arguments, file = shlex.split(command)
    assert (python, file) == ("python", "FILE")
    subprocess.run([sys.executable, *arguments, folder / PICKLED], check=True)
    assert_encodes_as(folder, folder_of("llama"))


def test_a_file_that_is_no_pickle_is_not_recommended_to_be_opened(folder):
    (folder / SAFE).unlink()
    (folder / PICKLED).write_text("version https://git-lfs.github.com/spec/v1\n", encoding="utf-8")
    with pytest.raises(OSError, match="are damaged or not plain tensors") as error:
        load_encoder(folder)
    assert "will likely succeed" not in str(error.value)


# --- lists of weight files


@pytest.mark.parametrize("file", [SAFE, PICKLED])
@pytest.mark.parametrize("name", ["../outside", "sub/../../outside", "{tmp_path}/outside"])
def test_weights_outside_the_folder_are_never_read(folder, tmp_path, file, name):
    outside = tmp_path / "outside"
    if file == SAFE:
        weights = load_file(folder / SAFE)
        (folder / SAFE).rename(outside)
    else:
        weights = weights_of(folder)
        torch.save(weights, outside)
    name = name.format(tmp_path=tmp_path)
    edited(folder / f"{file}.index.json", metadata={}, weight_map=dict.fromkeys(weights, name))
    with pytest.raises(OSError, match="which is not in its folder: that is never opened") as error:
        load_encoder(folder)
    assert f"{file}.index.json" in str(error.value) and repr(name) in str(error.value)


@pytest.mark.parametrize(
    "content", ["{", "[" * 100_000, "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": 3}}', '{"weight_map": [1]}']
)
def test_a_damaged_list_of_weight_files_is_named(folder, content):
    (folder / f"{SAFE}.index.json").write_text(content, encoding="utf-8")
    with pytest.raises(OSError, match="model.safetensors.index.json is not a list of weight files .*: copy it again"):
        load_encoder(folder)


# --- code in a checkpoint


@pytest.fixture
def with_code(folder, marker, monkeypatch) -> Path:
    """A checkpoint beside code that makes the marker, and a user who says yes to everything."""
    code = f"import os\nos.mkdir({str(marker)!r})\nfrom transformers import LlamaConfig as Config\n"
    (folder / "code.py").write_text(code, encoding="utf-8")
    monkeypatch.setattr("builtins.input", lambda prompt="": "y")
    return folder


def test_code_beside_a_known_architecture_is_not_run(with_code, folder_of, marker):
    edited(with_code / "config.json", auto_map={"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"})
    assert_encodes_as(with_code, folder_of("llama"))
    assert not marker.exists()


@pytest.mark.parametrize("settings", [{}, {"family": "causal"}])
def test_an_architecture_that_comes_as_code_is_refused(with_code, marker, settings):
    edited(with_code / "config.json", auto_map={"AutoConfig": "code.Config"}, model_type="own")
    with pytest.raises(OSError, match="only with code that comes with it, which is never run here: choose"):
        load_encoder(with_code, **settings)
    assert not marker.exists()


def test_a_tokenizer_that_comes_as_code_is_refused(with_code, marker):
    own = {"auto_map": {"AutoTokenizer": ["code.Tokenizer", "code.Tokenizer"]}, "tokenizer_class": "OwnTokenizer"}
    edited(with_code / "tokenizer_config.json", **own)
    with pytest.raises(OSError, match="only with code that comes with it, which is never run here"):
        load_encoder(with_code)
    assert not marker.exists()


def test_a_sentence_embedder_that_comes_as_code_is_refused(with_code, marker):
    pytest.importorskip("sentence_transformers")
    modules = [{"idx": 0, "name": "0", "path": "", "type": "code.Module"}]
    (with_code / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    with pytest.raises(OSError, match="only with code that comes with it, which is never run here"):
        load_encoder(with_code)
    assert not marker.exists()


def test_a_pickle_in_a_sentence_embedder_that_could_run_code_is_refused(folder, marker):
    pytest.importorskip("sentence_transformers")
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    in_zip(weights_of(folder), Malicious(marker), folder / PICKLED)
    with pytest.raises(OSError, match="could run any code: refused"):
        load_encoder(folder)
    assert not marker.exists()


def test_the_attention_is_not_the_checkpoints_choice(folder, folder_of):
    edited(folder / "config.json", _attn_implementation="somebody/kernel-with-code")
    assert "attention sdpa" in repr(load_encoder(folder, device="cpu"))
    assert_encodes_as(folder, folder_of("llama"))


# --- the network

SCRIPT = """
import json, socket, sys, urllib.request

reached = []

def refuse(*args, **kwargs):
    reached.append(repr(args[-1]))
    raise OSError("no network")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
from inbedder_utils import load_encoder

outcomes = {}
for name, settings in json.loads(sys.argv[1]):
    try:
        vectors = load_encoder(name, device="cpu", **settings).encode(["The parcel never came."], "Why?")
        outcomes[name] = str(vectors.shape)
    except OSError as error:
        outcomes[name] = str(error)
silent = not reached
try:
    urllib.request.urlopen("http://localhost:9")
except OSError:
    pass
print(json.dumps([silent, bool(reached), outcomes]))
"""


def test_local_checkpoints_and_local_files_only_never_reach_for_the_network(folder, folder_of, tmp_path):
    cached = tmp_path / "models--somebody--pickled"
    shutil.copytree(folder_of("bert"), cached / "snapshots" / ("1" * 40))
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("1" * 40, encoding="utf-8")
    torch.save(weights_of(cached / "snapshots" / ("1" * 40)), cached / "snapshots" / ("1" * 40) / PICKLED)
    local = {"local_files_only": True}
    asked = [("tiny", {}), ("mini", {}), (str(folder), {}), ("somebody/pickled", local), ("somebody/else", local)]
    asked += [("BrandonZYW/opt-1.3b-InBedder", local)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(asked)],
        env=environment | {"HF_HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    silent, noticed, outcomes = json.loads(done.stdout)
    assert silent and noticed, "nothing was reached for, and it would have been noticed"
    *loaded, elsewhere, registered = outcomes.values()
    assert [shape.startswith("(1, ") for shape in loaded] == [True] * 4, loaded
    assert "'somebody/else' is not a known checkpoint" in elsewhere
    assert "local_files_only=True only what was" in elsewhere
    assert registered.startswith("'BrandonZYW/opt-1.3b-InBedder' could not be loaded") and "Did you" not in registered


# --- files with absurd contents


@pytest.mark.parametrize(
    ("name", "entries", "message"),
    [
        ("llama", {"num_hidden_layers": 10**9}, "num_hidden_layers in config.json must be 1 to 1000, got 1000000000"),
        ("bert", {"num_hidden_layers": 0}, "num_hidden_layers in config.json must be 1 to 1000, got 0"),
        ("t5", {"num_decoder_layers": 10**30}, "num_decoder_layers in config.json must be 1 to 1000"),
        ("t5", {"decoder_start_token_id": None}, "decoder_start_token_id in config.json must be an integer, got None"),
        ("t5", {"decoder_start_token_id": 10**9}, "decoder_start_token_id in config.json must be 0 to"),
        ("llama", {"hidden_size": 10**30}, "can't be read, is it complete"),
        ("llama", {"hidden_size": -1}, "can't be read, is it complete.* hidden size"),
        ("llama", {"hidden_size": "wide"}, "can't be read, is it complete.* 'hidden_size' expected int, got str"),
        ("llama", {"num_attention_heads": 0}, "can't be read, is it complete"),
        (
            "llama",
            {"vocab_size": 3},
            "the tokenizer is not this model's: it gives ids up to .* embeddings for 3 tokens",
        ),
        ("llama", {"model_type": []}, "can't be read, is it complete"),
        ("llama", {"pad_token_id": 10**9}, "can't be read, is it complete"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_a_config_that_no_model_has_is_refused(folder_of, tmp_path, name, entries, message):
    folder = shutil.copytree(folder_of(name), tmp_path / name)
    with pytest.raises((OSError, ValueError, TypeError), match=message):
        load_encoder(edited(folder / "config.json", **entries), device="cpu")


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", ["", "{", "[]", "3", "[" * 100_000, '{"a": ' * 100_000, "\x00", "\ufeff{}"])
def test_what_is_no_json_object_is_refused(folder, file, content):
    (folder / file).write_text(content, encoding="utf-8")
    with pytest.raises(OSError, match="can't be read, is it complete") as error:
        load_encoder(folder)
    assert str(folder) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("tokenizer.json", lambda content: content["model"]["vocab"].update(e=10**9)),
        ("tokenizer.json", lambda content: content["model"]["vocab"].update(e=10**30)),
        ("tokenizer.json", lambda content: content["model"]["vocab"].update(e=-1)),
        ("tokenizer.json", lambda content: content["post_processor"]["special_tokens"].clear()),
        ("tokenizer_config.json", lambda content: content.update(unk_token="", bos_token="<none>")),
    ],
    ids=["large id", "huge id", "negative id", "no special tokens", "empty token"],
)
def test_a_tokenizer_that_cannot_read_or_names_ids_that_the_model_lacks_is_refused(folder, file, change):
    content = json.loads((folder / file).read_text(encoding="utf-8"))
    change(content)
    (folder / file).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises((OSError, ValueError), match="is it complete|the tokenizer is not this model's"):
        load_encoder(folder, device="cpu")


def test_words_for_true_and_false_in_the_settings_of_a_folder_are_refused(folder):
    edited(folder / "inbedder.json", standardize="false")
    with pytest.raises(TypeError, match="standardize must be true or false, got 'false'"):
        load_encoder(folder)
