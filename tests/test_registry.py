"""The table of known checkpoints."""

import json
from typing import get_args

import pytest

from inbedder_utils import list_checkpoints
from inbedder_utils.loading.settings import folder_settings
from inbedder_utils.prompts import INBEDDER, LLAMA_CHAT, PAIR, TEXT_ONLY
from inbedder_utils.registry import DEFAULT_POOLING, FAMILY_POOLINGS, REGISTRY, Checkpoint, Family

PAPER = [name for name in REGISTRY if name.startswith("BrandonZYW/")]


def test_the_papers_checkpoints_are_known_with_the_papers_prompt_and_pooling():
    assert sorted(PAPER) == [
        f"BrandonZYW/{m}-InBedder" for m in ("llama-2-7b", "opt-1.3b", "opt-2.7b", "opt-350m", "roberta-large")
    ]
    for name in PAPER:
        checkpoint = REGISTRY[name]
        assert checkpoint.prompt == INBEDDER and checkpoint.layer == -1
        assert checkpoint.pooling == ("avg_gen" if "roberta" in name else "fst_gen")


def test_baselines_have_the_prompts_that_they_were_made_for():
    assert REGISTRY["meta-llama/Llama-2-7b-chat-hf"].prompt == LLAMA_CHAT
    assert REGISTRY["KomeijiForce/inbedder-roberta-large"].prompt == PAIR
    assert REGISTRY["intfloat/e5-large-v2"].prompt == TEXT_ONLY


@pytest.mark.parametrize("checkpoint", REGISTRY.values(), ids=lambda checkpoint: checkpoint.name)
def test_every_entry_is_under_its_own_name_and_pinned_to_a_commit_if_at_all(checkpoint):
    assert REGISTRY[checkpoint.name] is checkpoint
    assert checkpoint.about
    assert checkpoint.revision is None or (len(checkpoint.revision) == 40 and int(checkpoint.revision, 16))


def test_every_family_has_a_default_pooling_that_it_accepts():
    assert set(DEFAULT_POOLING) == set(FAMILY_POOLINGS) == set(get_args(Family))
    for family, pooling in DEFAULT_POOLING.items():
        assert pooling in FAMILY_POOLINGS[family]


def test_the_list_has_a_row_for_everything_that_loads_by_name():
    table = list_checkpoints()
    assert list(table.index) == list(REGISTRY)
    row = table.loc["BrandonZYW/llama-2-7b-InBedder"]
    assert (row["family"], row["pooling"], row["from"]) == ("causal", "fst_gen", "hub")
    assert row["million parameters"] == 6738.4
    assert (row["GB in bfloat16"], row["GB in float32"]) == (13.48, 26.95)
    assert not table.isna().any().any()


def test_with_settings_takes_what_is_given_and_leaves_the_original_alone():
    before = Checkpoint("x", "causal")
    after = before.with_settings(layer=2, pooling=None, max_length=9)
    assert (after.layer, after.pooling, after.max_length) == (2, "fst_gen", 9)
    assert (before.layer, before.max_length) == (-1, 512)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"family": "causall"}, "unknown family 'causall': expected one of causal, masked, .* did you mean 'causal'"),
        ({"family": "masked", "pooling": "avg_gn"}, "unknown pooling 'avg_gn'.* did you mean 'avg_gen'"),
        ({"family": "seq2seq", "pooling": "avg_all"}, "'avg_all' is not defined for seq2seq models: choose one of"),
        ({"family": "causal", "pooling": "own"}, "unknown pooling 'own'"),
        (
            {"family": "sentence", "pooling": "fst_gen"},
            "'fst_gen' is not defined for sentence models: choose one of own",
        ),
        ({"family": "causal", "prompt": "{input}"}, "prompt must hold '{instruction}'"),
        ({"family": "causal", "n_masks": -1}, "n_masks must be 1 or more, got -1"),
    ],
)
def test_an_unusable_checkpoint_cannot_be_made(settings, message):
    with pytest.raises(ValueError, match=message):
        Checkpoint("x", **settings)


def test_a_folder_without_settings_has_none(tmp_path):
    assert folder_settings(tmp_path) == {}


def test_folder_settings_are_read_as_they_were_written(tmp_path):
    written = {"family": "masked", "n_masks": 4, "prompt": "{input} – {instruction}", "about": "é"}
    (tmp_path / "inbedder.json").write_text(json.dumps(written, ensure_ascii=False), encoding="utf-8")
    assert folder_settings(tmp_path) == written


@pytest.mark.parametrize("name", ["name", "revision", "n_mask"])
def test_a_folder_cannot_set_what_is_no_setting(tmp_path, name):
    (tmp_path / "inbedder.json").write_text(json.dumps({name: "x"}), encoding="utf-8")
    with pytest.raises(
        ValueError, match=f"unknown setting in .*inbedder.json '{name}': expected one of about, emoji_as_words, family"
    ):
        folder_settings(tmp_path)


def test_the_bundled_checkpoint_is_what_the_registry_and_its_recipe_say(tiny_encoder):
    from inbedder_utils.training.presets import PRESETS

    registered = REGISTRY["tiny"]
    beside_the_weights = folder_settings(registered.folder)
    assert beside_the_weights == {name: getattr(registered, name) for name in beside_the_weights}
    recipe = PRESETS["tiny"].checkpoint("causal")
    assert all(getattr(recipe, name) == value for name, value in beside_the_weights.items())
    assert sum(weights.numel() for weights in tiny_encoder.lm.parameters()) == registered.parameters
    assert sum(path.stat().st_size for path in registered.folder.iterdir()) < 12e6
