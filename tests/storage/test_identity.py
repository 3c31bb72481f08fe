"""Models told apart by their weights, embedders by all that decides about their vectors."""

import copy
import json
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from inbedder_utils import load_encoder
from inbedder_utils.registry import REGISTRY
from inbedder_utils.storage.identity import VALUES_PER_TENSOR, fingerprint, identity, name_and_revision


def test_the_same_weights_have_the_same_fingerprint(tiny_encoder):
    known = fingerprint(tiny_encoder.lm)
    assert len(known) == 16 and set(known) <= set("0123456789abcdef")
    assert fingerprint(load_encoder("tiny", device="cpu").lm) == known


def test_a_small_change_to_any_one_tensor_is_noticed(encoder_of):
    lm = copy.deepcopy(encoder_of("llama").lm)
    known = {fingerprint(lm)}
    for weights in lm.parameters():
        with torch.no_grad():
            weights.mul_(1 + 1e-6).add_(1e-6)
        known.add(fingerprint(lm))
    assert len(known) == 1 + len(list(lm.parameters()))


def test_name_shape_and_buffers_count():
    class Holder(nn.Module):
        def __init__(self, **tensors):
            super().__init__()
            for name, tensor in tensors.items():
                self.register_buffer(name, tensor)

    zeros = torch.zeros(6)
    held = [{}, {"a": zeros}, {"b": zeros}, {"a": zeros.view(2, 3)}, {"a": zeros.view(3, 2)}, {"a": zeros + 1}]
    assert len({fingerprint(Holder(**tensors)) for tensors in held}) == len(held)
    assert fingerprint(Holder(a=zeros)) == fingerprint(Holder(a=zeros.long()))
    assert fingerprint(Holder(a=torch.empty(0)))


@pytest.mark.parametrize("shape", [(1024, 1024), (4096, 512), (VALUES_PER_TENSOR,)])
def test_every_column_of_a_matrix_is_in_the_sample(shape):
    linear = nn.Module()
    linear.weight = nn.Parameter(torch.zeros(shape))
    known = fingerprint(linear)
    for column in range(0, shape[-1], 97):
        with torch.no_grad():
            linear.weight[..., column] = 1
        assert fingerprint(linear) != known
        known = fingerprint(linear)


@pytest.mark.gpu
def test_a_gpu_gives_the_same_fingerprint(tiny_encoder):
    assert fingerprint(copy.deepcopy(tiny_encoder.lm).cuda()) == fingerprint(tiny_encoder.lm)


def test_everything_that_changes_a_vector_changes_the_identity(folder_of, encoder_of):
    settings = [
        {},
        {"pooling": "avg_ppt"},
        {"layer": 1},
        {"max_length": 64},
        {"truncation": "left"},
        {"dtype": "bfloat16"},
        {"prompt": "{input} {instruction}"},
        {"pooling": "re_encode", "re_encoder": encoder_of_list("a")},
        {"pooling": "re_encode", "re_encoder": encoder_of_list("b")},
    ]
    encoders = [load_encoder(folder_of("llama"), device="cpu", **given) for given in settings]
    known = {json.dumps(identity(encoder)) for encoder in encoders}
    assert len(known) == len(settings)
    assert identity(encoder_of("llama")) == identity(encoders[0])


def test_saving_a_part_of_a_model_leaves_its_identity(folder_of, tmp_path):
    encoder = load_encoder(folder_of("llama"), device="cpu")
    known = identity(encoder)
    encoder.lm.model.save_pretrained(tmp_path)
    assert identity(encoder) == known


def encoder_of_list(name):
    class Counting:
        def encode(self, answers):
            return [[len(answer)] for answer in answers]

        def __repr__(self):
            return f"Counting({name})"

    return Counting()


def test_a_folder_is_the_same_however_its_path_is_spelled(folder_of, tmp_path, monkeypatch):
    shutil.copytree(folder_of("llama"), tmp_path / "m")
    monkeypatch.chdir(tmp_path)
    spelled = ["m", "./m", "m/", str(tmp_path / "m"), tmp_path / "m" / ".." / "m"]
    encoders = [load_encoder(path, device="cpu") for path in spelled]
    assert len({json.dumps(identity(encoder)) for encoder in encoders}) == 1
    assert len({name_and_revision(encoder) for encoder in encoders}) == 1


def test_other_answers_to_embed_are_another_embedder(tmp_path):
    shutil.copytree(REGISTRY["mini"].folder, tmp_path / "m")
    known = set()
    for answers in ("angry\nhappy\n", "late\n"):
        (tmp_path / "m" / "answers.txt").write_text(answers, encoding="utf-8")
        again = {"pooling": "re_encode", "re_encoder": encoder_of_list("a")}
        known.add(json.dumps(identity(load_encoder(tmp_path / "m", device="cpu", **again))))
    assert len(known) == 2


@pytest.mark.parametrize(
    "edit",
    [
        {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}},
        {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16},
        {"rms_norm_eps": 1e-2},
        {"hidden_act": "gelu"},
        {"max_position_embeddings": 300},
        {"eos_token_id": 3},
    ],
    ids=str,
)
def test_every_entry_of_the_config_counts(folder_of, tmp_path, edit):
    folder = tmp_path / "m"
    shutil.copytree(folder_of("llama"), folder)
    encoder = load_encoder(folder, device="cpu")
    known, (name, revision) = identity(encoder), name_and_revision(encoder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | edit), encoding="utf-8")
    encoder = load_encoder(folder, device="cpu")
    edited, (same_name, other_revision) = identity(encoder), name_and_revision(encoder)
    assert edited != known and edited["weights"] == known["weights"]
    assert same_name == name and other_revision != revision


def test_a_config_that_changes_vectors_makes_another_cache(folder_of, tmp_path):
    folder, cache = tmp_path / "m", tmp_path / "cache"
    shutil.copytree(folder_of("llama"), folder)
    before = load_encoder(folder, device="cpu").encode(["a lid"], "Why?", cache=cache)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["rope_parameters"] = {"rope_type": "default", "rope_theta": 5.0}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    encoder = load_encoder(folder, device="cpu")
    after = encoder.encode(["a lid"], "Why?", cache=cache)
    np.testing.assert_array_equal(after, encoder.encode(["a lid"], "Why?"))
    assert np.abs(after - before).max() > 1e-4
