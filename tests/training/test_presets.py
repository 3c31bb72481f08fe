"""Recipes: which one is used, and what it says about the model it makes."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from inbedder_utils.data.label_sets import LABEL_SETS
from inbedder_utils.data.qa_sources import QA_SETS
from inbedder_utils.registry import REGISTRY, Checkpoint
from inbedder_utils.training.presets import PAPER_DATA, PRESETS, Part, Preset, Scratch, preset_for


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_found_by_its_name_and_by_its_base(name):
    preset = PRESETS[name]
    assert preset.name == name and preset_for(name, None) is preset and preset_for(preset, None) is preset
    if preset.base:
        assert preset_for(None, preset.base) is preset
    if preset.base and name not in REGISTRY:
        assert preset_for(None, name) is preset and preset_for(name, name) is preset


def test_a_bundled_checkpoint_is_a_base_itself_and_not_the_recipe_that_made_it():
    assert preset_for(None, "mini") == Preset("own", "mini")
    assert preset_for("mini", "mini") == PRESETS["mini"].with_settings(base="mini")


def test_any_other_base_gets_the_papers_settings():
    recipe = preset_for(None, "some/model")
    assert recipe == Preset("own", "some/model") and recipe.data == (Part(PAPER_DATA),)
    assert (recipe.name, recipe.learning_rate, recipe.batch_size, recipe.max_answer) == ("own", 2e-5, 64, 20)


def test_a_base_replaces_the_presets_own():
    recipe = preset_for("roberta-large", "FacebookAI/roberta-base")
    assert recipe == PRESETS["roberta-large"].with_settings(base="FacebookAI/roberta-base")
    assert PRESETS["roberta-large"].base == "FacebookAI/roberta-large"


def test_a_preset_from_random_weights_takes_no_base():
    assert preset_for("tiny", None).scratch
    with pytest.raises(ValueError, match="preset 'tiny' starts from random weights: leave base out, or choose another"):
        preset_for("tiny", "some/model")


def test_neither_base_nor_preset_and_unknown_ones():
    with pytest.raises(ValueError, match="name a base model to start from, or a preset: roberta-large, .*mini"):
        preset_for(None, None)
    with pytest.raises(ValueError, match="unknown preset 'roberta-larg': .* did you mean 'roberta-large'"):
        preset_for("roberta-larg", "some/model")


def test_a_preset_has_a_base_or_a_size_and_not_both():
    for base, scratch in ((None, None), ("some/model", Scratch())):
        with pytest.raises(ValueError, match="either a base model to start from, or the size of one from scratch"):
            Preset("x", base, scratch=scratch)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "batch_size must be 1 or more, got 0"),
        ({"micro_batch": 0}, ValueError, "micro_batch must be 1 or more, got 0"),
        ({"max_answer": 1.5}, TypeError, "max_answer must be an integer, got 1.5"),
        ({"learning_rate": -1.0}, ValueError, "learning_rate must be above 0 and finite, got -1.0"),
        ({"epochs": float("nan")}, ValueError, "epochs must be above 0 and finite, got nan"),
    ],
)
def test_settings_are_checked(settings, error, message):
    with pytest.raises(error, match=message):
        Preset("x", "some/model", **settings)
    with pytest.raises(error, match=message):
        PRESETS["mini"].with_settings(**settings)


def test_numbers_of_numpy_can_be_written_down():
    checkpoint = Checkpoint("x", "masked", max_length=np.int64(9), parameters=np.int64(0))
    assert json.loads(json.dumps(asdict(checkpoint)))["max_length"] == 9
    preset = Preset("x", "some/model", batch_size=np.int64(8), learning_rate=np.float32(0.5), epochs=3)
    assert {"batch_size": 8, "learning_rate": 0.5, "epochs": 3}.items() <= json.loads(
        json.dumps(asdict(preset))
    ).items()


def test_settings_that_are_none_stay_as_they_are():
    assert PRESETS["mini"].with_settings(epochs=None, data=None) == PRESETS["mini"]
    assert PRESETS["mini"].with_settings(epochs=2.0, held_out="").held_out == ""


@pytest.mark.parametrize("name", PRESETS)
def test_all_settings_can_be_written_down(name):
    settings = asdict(PRESETS[name])
    assert set(settings) == set(Preset.__dataclass_fields__) and json.loads(json.dumps(settings))["name"] == name


@pytest.mark.parametrize("name", PRESETS)
def test_every_part_is_one_that_can_be_read(name):
    for part in PRESETS[name].data:
        assert part.source in {"inbedder_qa", "small_world", PAPER_DATA, *QA_SETS, *LABEL_SETS}
        assert part.passes >= 1 and (part.limit is None or part.limit >= 1)


@pytest.mark.parametrize("n_masks", [None, 5])
def test_a_model_is_read_as_the_one_that_it_started_from_but_for_what_the_recipe_says(n_masks):
    start = Checkpoint("base", "masked", n_masks=4, read_once=True, max_length=99, pooling="fst_gen", revision="a" * 40)
    read = Preset("mine", "base", n_masks=n_masks).checkpoint("masked", start)
    assert (read.name, read.n_masks, read.revision) == ("mine", n_masks or 4, None)
    assert (read.read_once, read.max_length, read.pooling) == (True, 99, "fst_gen")
    assert Preset("mine", "base", read_once=False).checkpoint("masked", start).read_once is False


def test_read_once_is_for_masked_models_and_ignored_by_others():
    recipe = Preset("mine", "base", read_once=True, max_new_tokens=7)
    assert recipe.checkpoint("masked").read_once
    assert not recipe.checkpoint("causal").read_once and recipe.checkpoint("causal").max_new_tokens == 7
