"""From a name or a folder to an encoder: what is inferred, what is refused, and in which words."""

import json
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from small_models import ASK, EVERY, FAMILY_OF, SHIPPED, TEXTS, build

from inbedder_utils import Encoder, load_encoder

KINDS = {"causal": "CausalReader", "masked": "MaskedReader", "seq2seq": "Seq2SeqReader"}
DEFAULTS = {"causal": "fst_gen", "masked": "avg_gen", "seq2seq": "fst_gen"}


def copy_of(folder: Path, to: Path, *, without: tuple[str, ...] = ()) -> Path:
    """A copy that may be changed; `without` files whose names match."""
    copied = shutil.copytree(folder, to)
    for path in copied.iterdir():
        path.chmod(0o644)
        if any(path.match(pattern) for pattern in without):
            path.unlink()
    return copied


@pytest.fixture
def no_weights(folder_of, tmp_path) -> Path:
    """OPT without its weights: whatever is refused here is refused before they would be read."""
    return copy_of(folder_of("opt"), tmp_path / "opt", without=("*.safetensors",))


def settings_in(folder: Path, settings: object) -> Path:
    text = settings if isinstance(settings, str) else json.dumps(settings)
    (folder / "inbedder.json").write_text(text, encoding="utf-8")
    return folder


# --- what is inferred


@pytest.mark.parametrize("name", EVERY)
def test_family_and_pooling_are_inferred_from_the_config(folder_of, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder = load_encoder(folder_of(name), device="cpu")
    family = FAMILY_OF[name]
    assert type(encoder.reader).__name__ == KINDS[family] and isinstance(encoder, Encoder)
    assert encoder.checkpoint.family == family
    assert encoder.checkpoint.pooling == DEFAULTS[family] and encoder.checkpoint.layer == -1
    assert not encoder.lm.training


@pytest.mark.parametrize(("name", "room"), [("opt", 253), ("llama", 253), ("roberta", 256), ("bert", 256), ("t5", 512)])
def test_length_fits_the_positions_that_the_model_has(encoder_of, name, room):
    encoder = encoder_of(name)
    assert encoder.checkpoint.max_length == room
    assert np.isfinite(encoder.pooled(["word " * 2_000], ASK, ["avg_gen"], [-1])["avg_gen", -1]).all()


def test_settings_of_the_folder_are_used_and_arguments_go_before_them(folder_of, tmp_path):
    own = {"family": "causal", "pooling": "avg_ppt", "layer": 2, "max_length": 99, "prompt": "{input} {instruction}="}
    folder = settings_in(copy_of(folder_of("llama"), tmp_path / "llama"), own)
    read = load_encoder(folder, device="cpu").checkpoint
    assert {name: getattr(read, name) for name in own} == own
    asked = load_encoder(
        folder, pooling="fst_gen", layer=0, max_length=50, prompt="{instruction} {input}", device="cpu"
    )
    assert (asked.checkpoint.pooling, asked.checkpoint.layer, asked.checkpoint.max_length) == ("fst_gen", 0, 50)
    assert asked.checkpoint.prompt == "{instruction} {input}"


def test_folder_settings_without_a_family_get_the_inferred_one(folder_of, tmp_path):
    folder = settings_in(copy_of(folder_of("roberta"), tmp_path / "roberta"), {"n_masks": 5})
    read = load_encoder(folder, device="cpu").checkpoint
    assert (read.family, read.n_masks) == ("masked", 5)


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"familly": "causal"}, ValueError, "unknown setting in .*inbedder.json 'familly'.*did you mean 'family'"),
        ("{", ValueError, "inbedder.json is not valid JSON .*restore it, or remove it"),
        ([], ValueError, r"inbedder.json must hold an object .* got \[\]"),
        ({"family": "causl"}, ValueError, "unknown family 'causl': expected one of causal.*did you mean 'causal'"),
        ({"layer": "last"}, TypeError, "layer must be an integer, got 'last'"),
        ({"max_length": 0}, ValueError, "max_length must be 1 or more, got 0"),
    ],
)
def test_unusable_folder_settings_are_refused_before_weights_are_read(no_weights, settings, kind, message):
    with pytest.raises(kind, match=message):
        load_encoder(settings_in(no_weights, settings))


def test_a_path_and_its_string_load_the_same(folder_of):
    assert repr(load_encoder(str(folder_of("opt")), device="cpu")) == repr(load_encoder(folder_of("opt"), device="cpu"))


# --- settings that are refused, before weights are read


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        (
            {"pooling": "fst_gn"},
            ValueError,
            "unknown pooling 'fst_gn': expected one of fst_gen, .* did you mean 'fst_gen'",
        ),
        ({"pooling": "own"}, ValueError, "unknown pooling 'own'"),
        ({"layer": 4}, ValueError, "layer must be -4 to 3, got 4; the model has 3 blocks: .* 3 or -1 the last"),
        ({"layer": -5}, ValueError, "layer must be -4 to 3, got -5"),
        ({"layer": 1.0}, TypeError, "layer must be an integer, got 1.0"),
        ({"layer": True}, TypeError, "layer must be an integer, got True"),
        ({"family": "maskd"}, ValueError, "unknown family 'maskd'.* did you mean 'masked'"),
        ({"family": "masked"}, ValueError, "opt models are not masked ones: leave family out"),
        ({"family": "seq2seq"}, ValueError, "opt models are not seq2seq ones"),
        ({"dtype": "float64"}, ValueError, "unknown dtype 'float64': expected one of float32, bfloat16, float16"),
        ({"dtype": torch.int8}, ValueError, "unknown dtype 'int8'"),
        ({"device": "gpu"}, ValueError, "device 'gpu' is not one torch knows: use 'cpu', 'cuda'"),
        ({"device": "cuda:99"}, ValueError, r"device 'cuda:99' is not there: this machine has \d+ cuda devices"),
        ({"device": "meta"}, ValueError, "unknown device 'meta': expected one of cpu, cuda, mps"),
        ({"attn_implementation": "sdp"}, ValueError, "unknown attn_implementation 'sdp'.* did you mean 'sdpa'"),
        ({"max_length": 254}, ValueError, "max_length must be 1 to 253, got 254; that is what the model's positions"),
        ({"max_length": 2.5}, TypeError, "max_length must be an integer, got 2.5"),
        ({"max_length": 0}, ValueError, "max_length must be 1 or more, got 0"),
        ({"max_new_tokens": 0}, ValueError, "max_new_tokens must be 1 or more, got 0"),
        ({"max_new_tokens": 256}, ValueError, "max_new_tokens=256 leaves no room for a prompt: .* 256 positions"),
        ({"n_masks": 0}, ValueError, "n_masks must be 1 or more, got 0"),
        ({"prompt": "{instruction}"}, ValueError, "prompt must hold '{input}' exactly once.*got '{instruction}'"),
        ({"prompt": "{input}"}, ValueError, "prompt must hold '{instruction}', where the question goes; got '{input}'"),
        ({"prompt": 3}, TypeError, "prompt must be a string holding '{input}', got 3"),
        ({"truncation": "right"}, ValueError, r"truncation must be one of \['text', 'left', 'passages'\], got 'right'"),
        ({"pooling": "re_encode"}, ValueError, "re_encode' and re_encoder= go together: pass both"),
        ({"re_encoder": 3}, ValueError, "go together"),
        (
            {"pooling": "re_encode", "re_encoder": object()},
            TypeError,
            "re_encoder must have a method encode.*got <object",
        ),
        ({"pooling": "re_encode", "re_encoder": "all-MiniLM-L6-v2"}, TypeError, "re_encoder .* got 'all-MiniLM-L6-v2'"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_an_unusable_setting_is_refused_before_weights_are_read(no_weights, settings, kind, message):
    with pytest.raises(kind, match=message):
        load_encoder(no_weights, **{"device": "cpu"} | settings)


def test_an_encoder_that_needs_a_question_cannot_re_encode(no_weights, encoder_of):
    with pytest.raises(TypeError, match="re_encoder must have a method encode"):
        load_encoder(no_weights, pooling="re_encode", re_encoder=encoder_of("opt"))


def test_avg_all_is_refused_for_encoder_decoder_models(folder_of, tmp_path):
    folder = copy_of(folder_of("t5"), tmp_path / "t5", without=("*.safetensors",))
    with pytest.raises(ValueError, match="'avg_all' is not defined for seq2seq models: choose one of fst_gen"):
        load_encoder(folder, pooling="avg_all")
    with pytest.raises(ValueError, match="layer must be -3 to 2, got 3"):  # the decoder's blocks
        load_encoder(folder, layer=3)
    with pytest.raises(OSError, match="is it complete"):  # the encoder's: accepted, so that weights come next
        load_encoder(folder, layer=3, pooling="avg_ppt")


def test_flash_attention_without_its_package_is_refused(no_weights):
    if "flash_attn" in sys.modules or shutil.which("nvidia-smi"):
        pytest.skip("flash-attn may be installed here")
    with pytest.raises(ValueError, match="'flash_attention_2' needs the flash-attn package: .* or use 'sdpa'"):
        load_encoder(no_weights, attn_implementation="flash_attention_2", device="cpu")


def test_flash_attention_on_a_cpu_is_refused(no_weights, tmp_path, monkeypatch):
    (tmp_path / "site" / "flash_attn").mkdir(parents=True)
    (tmp_path / "site" / "flash_attn" / "__init__.py").touch()  # as if it were installed
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(
        ValueError, match="on CUDA in bfloat16 or float16 only, not causal in float32 on cpu: use 'sdpa'"
    ):
        load_encoder(no_weights, attn_implementation="flash_attention_2", device="cpu")


@pytest.mark.parametrize("name", [None, 3, b"tiny", ["tiny"]])
def test_a_name_that_is_neither_string_nor_path_is_refused(name):
    with pytest.raises(TypeError, match="name_or_path must be a name, a hub id or a folder, got"):
        load_encoder(name)


# --- checkpoints that are not there, or not complete


def test_a_folder_without_a_model_says_what_was_expected_and_what_is_there(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileNotFoundError, match="holds no model: expected config.json, .* found notes.txt"):
        load_encoder(tmp_path)
    (tmp_path / "notes.txt").unlink()
    with pytest.raises(FileNotFoundError, match="found nothing"):
        load_encoder(tmp_path)


@pytest.mark.parametrize("name", ["/no/such/folder", "./nowhere", "~/nowhere/x", "a/b/c"])
def test_a_folder_that_is_not_there_is_named_with_the_known_names(name):
    with pytest.raises(FileNotFoundError, match="is not a folder with a checkpoint; known names: .*tiny") as error:
        load_encoder(name)
    assert repr(name) in str(error.value)


def test_a_folder_without_weights_is_not_complete(no_weights):
    with pytest.raises(OSError, match="can't be read, is it complete.*model.safetensors") as error:
        load_encoder(no_weights)
    assert str(no_weights) in str(error.value)


@pytest.mark.parametrize("name", EVERY)
def test_a_folder_without_a_tokenizer_is_not_complete(folder_of, tmp_path, name):
    folder = copy_of(folder_of(name), tmp_path / name, without=("*token*",))
    with pytest.raises(OSError, match="has no tokenizer: expected a tokenizer.json|is it complete"):
        load_encoder(folder)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_half_a_file_is_an_error_that_names_the_folder(folder_of, tmp_path, file):
    folder = copy_of(folder_of("bert"), tmp_path / "bert")
    whole = (folder / file).read_bytes()
    (folder / file).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(OSError, match="can't be read, is it complete") as error:
        load_encoder(folder)
    assert str(folder) in str(error.value)


@pytest.mark.parametrize("slip", ["minni", "Mini"])
def test_a_slip_in_a_short_name_is_told_before_the_hub_is_asked(monkeypatch, slip):
    monkeypatch.setattr("inbedder_utils.loading.settings.fetch", lambda *_, **__: pytest.fail("looked on the hub"))
    with pytest.raises(OSError, match=f"'{slip}' is not a known checkpoint or folder. Did you mean 'mini'?"):
        load_encoder(slip)


@pytest.mark.parametrize(
    ("name", "meant"), [("tinny", "tiny"), ("BrandonZYW/opt-1.3b-InBeder", "BrandonZYW/opt-1.3b-InBedder")]
)
def test_an_unknown_name_gets_the_closest_known_one(name, meant):
    with pytest.raises(OSError, match="is not a known checkpoint or folder") as error:
        load_encoder(name)
    assert repr(name) in str(error.value) and f"Did you mean {meant!r}" in str(error.value)


def test_a_hub_id_without_a_network_says_what_works_without_one():
    with pytest.raises(OSError, match="could not be loaded from the hub .* Without a network, load a bundled"):
        load_encoder("somebody/some-model")


def test_a_model_of_no_known_family_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "vit"}', encoding="utf-8")
    with pytest.raises(ValueError, match="no language model is known for model type 'vit': InBedder needs a causal"):
        load_encoder(tmp_path)


def test_a_checkpoint_without_weights_for_its_head_warns(folder_of, tmp_path):
    bare = load_encoder(folder_of("bert"), device="cpu")
    bare.lm.bert.save_pretrained(tmp_path)
    bare.tokenizer.save_pretrained(tmp_path)
    with pytest.warns(
        UserWarning, match="has no weights for cls.*are random, and so are answers and words. Is it a masked"
    ):
        load_encoder(tmp_path, device="cpu")


@pytest.mark.parametrize("name", ["llama", "bert", "t5"])
def test_a_folder_without_the_weights_of_its_body_is_refused(folder_of, tmp_path, name):
    """An LM head alone, and all but one block."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder_of(name) / "model.safetensors")
    head = {key: w for key, w in weights.items() if key.startswith(("lm_head", "cls"))}
    block = {
        key: w for key, w in weights.items() if all(part not in key for part in ("layers.1.", "layer.1.", "block.1."))
    }
    assert len(head) < len(block) < len(weights)
    for i, kept in enumerate((head, block)):
        folder = copy_of(folder_of(name), tmp_path / str(i))
        save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(OSError, match="has no weights for .* its vectors would be random.* Is the folder complete"):
            load_encoder(folder, device="cpu")


def test_a_missing_head_is_refused_where_vectors_depend_on_its_answers(encoder_of, tmp_path):
    encoder = encoder_of("llama")
    encoder.lm.model.save_pretrained(tmp_path)
    encoder.tokenizer.save_pretrained(tmp_path)
    with pytest.raises(OSError, match="no weights for lm_head.* vectors would be random"):
        load_encoder(tmp_path, pooling="avg_gen", device="cpu")
    with pytest.warns(UserWarning, match="no weights for lm_head.*random, and so are answers and words"):
        again = load_encoder(tmp_path, device="cpu")
    np.testing.assert_allclose(again.encode(TEXTS, ASK), encoder.encode(TEXTS, ASK), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("config", "family", "message"),
    [
        ({"model_type": "perceiver"}, "masked", "no num_hidden_layers: perceiver models aren't supported"),
        ({"model_type": "t5gemma"}, "seq2seq", "decoder_start_token_id in config.json must be an integer, got None"),
    ],
)
def test_a_config_without_what_is_needed_is_refused(no_weights, config, family, message):
    (no_weights / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises((TypeError, ValueError), match=message):
        load_encoder(no_weights, family=family, device="cpu")


def test_a_model_that_can_not_be_read_is_refused_at_load(folder_of, tmp_path):
    folder = copy_of(folder_of("bert"), tmp_path / "funnel", without=("*.safetensors",))
    shape = {"block_sizes": [1, 1], "d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 48, "vocab_size": 200}
    transformers.FunnelForMaskedLM(transformers.FunnelConfig(**shape)).save_pretrained(folder)
    with pytest.raises(ValueError, match="FunnelForMaskedLM can't be read: .* Choose a checkpoint of another"):
        load_encoder(folder, device="cpu")


def test_a_model_with_a_part_that_reads_text_says_what_it_is(folder_of, tmp_path):
    folder = copy_of(folder_of("llama"), tmp_path / "gemma3", without=("*.safetensors",))
    text = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    text |= {"num_key_value_heads": 2, "head_dim": 8, "vocab_size": 420, "max_position_embeddings": 256}
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision |= {"image_size": 28, "patch_size": 14}
    config = transformers.Gemma3Config(text_config=text, vision_config=vision, image_token_id=419)
    transformers.Gemma3ForConditionalGeneration(config).save_pretrained(folder)
    encoder = load_encoder(folder, family="causal", device="cpu")
    assert "2 layers of width 32" in repr(encoder)
    alone = np.concatenate([encoder.encode([text], ASK) for text in TEXTS])
    np.testing.assert_allclose(encoder.encode(TEXTS, ASK), alone, rtol=1e-3, atol=1e-4)


def test_loading_leaves_the_logging_of_transformers_as_it_was(folder_of):
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    load_encoder(folder_of("opt"), device="cpu")
    with pytest.raises(ValueError, match="layer"):
        load_encoder(folder_of("opt"), layer=9, device="cpu")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_loading_prints_nothing(folder_of, capfd):
    load_encoder(folder_of("llama"), device="cpu")
    assert capfd.readouterr() == ("", "")


# --- what encode refuses


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("one text", "texts must be a list, got the str 'one text': pass \\[text\\], or one column of a table"),
        (b"bytes", "got the bytes"),
        (None, "got the NoneType None"),
        (5, "got the int 5"),
        ({"a", "b"}, "got the set"),
        (np.array("a"), "got the ndarray"),
        ({"a": "b"}, "got the dict .*: pass .* one column of a table"),
        (pd.DataFrame({"text": ["a"]}), "got the DataFrame .*"),
        (["a", None], r"texts\[1\] is None \(NoneType\), not a string: drop the missing rows or fill them with ''"),
        (["a", float("nan")], r"texts\[1\] is nan \(float\).*drop the missing rows"),
        (pd.Series(["a", pd.NA], dtype=object), r"texts\[1\] is <NA> \(NAType\).*drop the missing rows"),
        (pd.Series(["a", None]), r"texts\[1\] is nan .*drop the missing rows"),
        (["a", 3], r"texts\[1\] is 3 \(int\), not a string: convert it with str\(\)"),
        ([["a"]], r"texts\[0\] is \['a'\] \(list\)"),
        (np.array([["a", "b"]]), r"texts\[0\] is array.* \(ndarray\), not a string"),
        ([b"a"], r"texts\[0\] is b'a' \(bytes\), not a string: decode it"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_texts_that_are_no_list_of_strings_are_refused(encoder_of, texts, message):
    encoder = encoder_of("opt")
    with pytest.raises(TypeError, match=message):
        encoder.encode(texts, ASK)
    with pytest.raises(TypeError, match=message):
        encoder.encode_many(texts, [ASK])
    with pytest.raises(TypeError, match=message):
        encoder.answer(texts, ASK)
    with pytest.raises(TypeError, match=message):
        encoder.pooled(texts, ASK)


@pytest.mark.parametrize(
    ("instruction", "kind", "message"),
    [
        ([ASK], ValueError, "got 1 instructions for 6 texts: pass one string for all, or one per text .*encode_many"),
        ([ASK] * 7, ValueError, "got 7 instructions for 6 texts"),
        ("", ValueError, "instruction 0 is empty: ask something, such as"),
        (" \n", ValueError, "instruction 0 is empty"),
        ([ASK] * 5 + [""], ValueError, "instruction 5 is empty"),
        ([ASK] * 5 + [None], TypeError, r"instruction 5 is None \(NoneType\), not a string"),
        (
            None,
            TypeError,
            "instruction must be a list, got the NoneType None: pass one question, or a list of one per text",
        ),
        (b"why", TypeError, "instruction must be a list, got the bytes"),
        ("why " * 500, ValueError, "max_length=253 leaves no room for the text.* Shorten the instruction"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_instructions_that_do_not_fit_the_texts_are_refused(encoder_of, instruction, kind, message):
    for method in ("encode", "answer", "pooled"):
        with pytest.raises(kind, match=message):
            getattr(encoder_of("opt"), method)(TEXTS, instruction)


def test_an_empty_instruction_is_refused_even_without_texts(encoder_of):
    with pytest.raises(ValueError, match="instruction 0 is empty"):
        encoder_of("opt").encode([], " ")


@pytest.mark.parametrize("instructions", [ASK, []])
def test_encode_many_refuses_what_is_no_list_of_questions(encoder_of, instructions):
    error, message = (
        (ValueError, "ask at least one question") if instructions == [] else (TypeError, r"pass \[question\]")
    )
    with pytest.raises(error, match=message):
        encoder_of("opt").encode_many(TEXTS, instructions)


def test_pooled_refuses_unknown_poolings_and_layers(encoder_of):
    encoder = encoder_of("opt")
    with pytest.raises(ValueError, match="unknown pooling 'avg_ge': .* did you mean 'avg_gen'"):
        encoder.pooled(TEXTS, ASK, ["fst_gen", "avg_ge"])
    with pytest.raises(ValueError, match="unknown pooling 'avg_all': expected one of fst_gen"):
        encoder_of("t5").pooled(TEXTS, ASK, ["avg_all"])
    with pytest.raises(ValueError, match="layer must be -4 to 3, got 4"):
        encoder.pooled(TEXTS, ASK, ["fst_gen"], [0, 4])
    with pytest.raises(TypeError, match="layer must be an integer, got 'last'"):
        encoder.pooled(TEXTS, ASK, ["fst_gen"], ["last"])
    with pytest.raises(ValueError, match="re_encode embeds words"):
        encoder.pooled(TEXTS, ASK, ["re_encode"])


def test_a_batch_size_that_is_no_positive_integer_is_refused(encoder_of):
    encoder = encoder_of("opt")
    with pytest.raises(ValueError, match="batch_size must be 1 or more, got 0; None fills batches by tokens"):
        encoder.encode(TEXTS, ASK, batch_size=0)
    with pytest.raises(TypeError, match="batch_size must be an integer, got 2.0"):
        encoder.encode(TEXTS, ASK, batch_size=2.0)


def test_unknown_keywords_raise(encoder_of):
    with pytest.raises(TypeError, match="unexpected keyword argument 'normalise'"):
        encoder_of("opt").encode(TEXTS, ASK, normalise=True)
    with pytest.raises(TypeError, match="unexpected keyword argument 'normalise'"):
        encoder_of("opt").encode_many(TEXTS, [ASK], normalise=True)


def test_the_fixtures_that_ship_are_used_where_they_are(tmp_path):
    assert build("opt", tmp_path) == SHIPPED / "opt" and not list(tmp_path.iterdir())


def test_pooled_refuses_nothing_to_pool(encoder_of):
    with pytest.raises(TypeError, match=r"poolings must be a list, got the str 'fst_gen': pass \[pooling\]"):
        encoder_of("opt").pooled(TEXTS, ASK, poolings="fst_gen")
    with pytest.raises(TypeError, match=r"layers must be a list, got the int 0: pass \[layer\]"):
        encoder_of("opt").pooled(TEXTS, ASK, layers=0)
    with pytest.raises(ValueError, match="must name at least one each"):
        encoder_of("opt").pooled(TEXTS, ASK, layers=[])


def test_a_batch_size_of_zero_is_refused_even_without_texts(encoder_of):
    with pytest.raises(ValueError, match="batch_size must be 1 or more, got 0"):
        encoder_of("opt").encode([], ASK, batch_size=0)


def test_words_refuse_numbers_that_are_none(encoder_of):
    states = encoder_of("opt").encode(TEXTS, ASK)
    states[0, 0] = float("nan")
    with pytest.raises(ValueError, match="NaN or infinite"):
        encoder_of("opt").words(states)


def test_an_empty_name_is_not_the_current_folder():
    with pytest.raises(ValueError, match="name_or_path is empty; known names: mini"):
        load_encoder(" ")


def test_a_pair_prompt_is_for_masked_models_only(folder_of):
    with pytest.raises(ValueError, match="'{sep}' in a prompt is for masked models"):
        load_encoder(folder_of("opt"), prompt="{input}{sep}{instruction}")
