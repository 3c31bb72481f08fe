"""What an encoder returns, whatever the model: right states, in order, alone or in company."""

import copy
import json
import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
import torch
from small_models import ASK, CAUSAL, EVERY, FAMILY_OF, OTHER, TEXTS

from inbedder_utils import Encoder, load_encoder
from inbedder_utils.inference.hidden_states import blocks_of
from inbedder_utils.inference.reader import MAX_TOKENS
from inbedder_utils.registry import FAMILY_POOLINGS
from inbedder_utils.storage.cache_folder import list_caches

POOLINGS = {name: [p for p in FAMILY_POOLINGS[FAMILY_OF[name]] if p != "re_encode"] for name in EVERY}
ONE_PASS = {
    "causal": ["fst_gen", "avg_ppt"],
    "masked": ["fst_gen", "avg_gen", "last_gen", "avg_ppt", "avg_all"],
    "seq2seq": ["fst_gen", "avg_ppt"],
}
ONE_OF_EACH_FAMILY = ("opt", "roberta", "t5")

every_model = pytest.mark.parametrize("name", EVERY)
one_of_each_family = pytest.mark.parametrize("name", ONE_OF_EACH_FAMILY)
every_pooling = pytest.mark.parametrize(("name", "pooling"), [(name, p) for name in EVERY for p in POOLINGS[name]])


def depth(encoder, pooling: str) -> int:
    config = encoder.lm.config
    return config.num_decoder_layers if config.model_type == "t5" and pooling != "avg_ppt" else config.num_hidden_layers


def assert_same(ours: np.ndarray, theirs: np.ndarray, tolerance: float = 1e-4) -> None:
    """Every vector's relative difference is small."""
    assert ours.shape == theirs.shape
    differences = np.linalg.norm(ours - theirs, axis=-1) / np.linalg.norm(theirs, axis=-1)
    assert differences.max() < tolerance


@contextmanager
def counted(*modules: torch.nn.Module):
    """How often each module runs to its end."""
    counts = [0] * len(modules)

    def count(i: int):
        def hook(*_):
            counts[i] += 1

        return hook

    handles = [module.register_forward_hook(count(i)) for i, module in enumerate(modules)]
    try:
        yield counts
    finally:
        for handle in handles:
            handle.remove()


def blocks(encoder, pooling: str = "fst_gen") -> list[torch.nn.Module]:
    """The blocks, named model by model: not as the package finds them."""
    lm = encoder.lm
    return list(
        {
            "opt": lambda: lm.model.decoder.layers,
            "llama": lambda: lm.model.layers,
            "qwen2": lambda: lm.model.layers,
            "gpt2": lambda: lm.transformer.h,
            "roberta": lambda: lm.roberta.encoder.layer,
            "bert": lambda: lm.bert.encoder.layer,
            "t5": lambda: (lm.encoder if pooling == "avg_ppt" else lm.decoder).block,
        }[lm.config.model_type]()
    )


# --- shapes, order, neighbours


@every_model
def test_encode_returns_one_float32_row_per_text(encoder_of, name):
    encoder = encoder_of(name)
    vectors = encoder.encode(TEXTS, ASK)
    assert vectors.dtype == np.float32 and vectors.ndim == 2 and len(vectors) == len(TEXTS)
    assert np.isfinite(vectors).all()
    assert vectors.shape[1] == getattr(encoder.lm.config, "word_embed_proj_dim", 32)


@every_pooling
def test_batch_size_order_and_neighbours_never_change_an_embedding(encoder_of, name, pooling):
    encoder = encoder_of(name)
    key, order = (pooling, -1), [4, 1, 0, 5, 3, 2]
    alone = np.concatenate([encoder.pooled([text], ASK, [pooling], [-1])[key] for text in TEXTS])
    assert_same(encoder.pooled(TEXTS, ASK, [pooling], [-1])[key], alone)
    assert_same(encoder.pooled(TEXTS, ASK, [pooling], [-1], batch_size=2)[key], alone)
    assert_same(encoder.pooled([TEXTS[i] for i in order], ASK, [pooling], [-1], batch_size=4)[key], alone[order])
    assert_same(encoder.pooled(TEXTS * 2, ASK, [pooling], [-1])[key], np.concatenate([alone, alone]))


def test_a_prompt_of_a_single_token_is_its_own_average(encoder_of):
    encoder = encoder_of("gpt2", prompt="{input}{instruction}", pooling="avg_ppt")
    assert len(encoder.prompt_tokenizer([""], ["?"])[0]) == 1
    assert_same(encoder.encode([""], "?"), encoder.pooled([""], "?", ["fst_gen"])["fst_gen", -1])
    assert encoder.encode([], "?").shape == (0, 32)


def test_padding_that_the_model_has_no_row_for_is_not_used(encoder_of):
    encoder = encoder_of("gpt2")
    tokenizer = copy.deepcopy(encoder.tokenizer)
    tokenizer.add_special_tokens({"pad_token": "<|new|>"})
    padding_outside = Encoder(type(encoder.reader)(encoder.lm, tokenizer, encoder.checkpoint))
    assert tokenizer.pad_token_id >= encoder.lm.config.vocab_size > padding_outside.reader.pad_id
    assert padding_outside.answer(TEXTS, ASK) == encoder.answer(TEXTS, ASK)


@every_model
def test_another_text_or_question_gives_another_embedding(encoder_of, name):
    encoder = encoder_of(name)
    first, second = encoder.encode_many(TEXTS, [ASK, OTHER])
    assert (np.linalg.norm(first - second, axis=1) > 1e-3).all()
    assert (np.linalg.norm(first[1:] - first[0], axis=1) > 1e-3).all()


@every_model
def test_an_instruction_per_text_equals_separate_calls(encoder_of, name):
    encoder = encoder_of(name)
    asked = [ASK, OTHER] * 3
    separate = np.concatenate([encoder.encode([text], question) for text, question in zip(TEXTS, asked, strict=True)])
    assert_same(encoder.encode(TEXTS, asked), separate)


@every_model
def test_encode_many_stacks_what_encode_gives_for_each_question(encoder_of, name):
    encoder = encoder_of(name)
    questions = [ASK, OTHER, "Why?"]
    stacked = encoder.encode_many(iter(TEXTS), questions, normalize_embeddings=True)
    assert stacked.dtype == np.float32 and stacked.shape[:2] == (3, len(TEXTS))
    for slice_, question in zip(stacked, questions, strict=True):
        assert_same(slice_, encoder.encode(TEXTS, question, normalize_embeddings=True))


@every_pooling
def test_no_texts_give_no_rows_of_the_width_that_texts_have(encoder_of, name, pooling):
    encoder = encoder_of(name)
    layers = range(depth(encoder, pooling) + 1)
    some, none = (encoder.pooled(texts, ASK, [pooling], layers) for texts in (TEXTS[:1], []))
    for key, vectors in none.items():
        assert vectors.shape == (0, some[key].shape[1]) and vectors.dtype == np.float32


@every_model
def test_encode_encode_many_and_answer_accept_no_texts(encoder_of, name):
    encoder = encoder_of(name)
    width = encoder.encode(TEXTS[:1], ASK).shape[1]
    assert encoder.encode([], ASK).shape == (0, width) == encoder.encode([], []).shape
    assert encoder.encode([], ASK, normalize_embeddings=True).shape == (0, width)
    assert encoder.encode_many([], [ASK, OTHER]).shape == (2, 0, width)
    assert encoder.answer([], ASK) == []
    vectors, answers = encoder.encode_with_answers([], ASK)
    assert vectors.shape == (0, width) and answers == []


@every_model
def test_embeddings_and_answers_at_once_are_those_of_two_calls(encoder_of, name):
    encoder = encoder_of(name)
    for asked in (ASK, [ASK, OTHER] * 3):
        vectors, answers = encoder.encode_with_answers(TEXTS, asked)
        assert_same(vectors, encoder.encode(TEXTS, asked))
        assert answers == encoder.answer(TEXTS, asked)


def test_a_masked_model_embeds_and_answers_in_one_pass(encoder_of):
    encoder = encoder_of("roberta")
    encoder.encode(TEXTS, ASK)
    with counted(encoder.reader.stack) as counts:
        encoder.encode_with_answers(TEXTS, ASK)
    with counted(encoder.reader.stack) as head:
        encoder.answer(TEXTS, ASK)
    assert counts == head


def test_a_model_with_narrow_output_is_as_wide_as_its_layer(encoder_of):
    widths = {k: v.shape[1] for k, v in encoder_of("opt_projected").pooled([], ASK, ["fst_gen"], [0, 1, 2, 3]).items()}
    assert widths == {("fst_gen", 0): 32, ("fst_gen", 1): 32, ("fst_gen", 2): 32, ("fst_gen", 3): 16}


@one_of_each_family
def test_normalized_embeddings_have_unit_length_and_the_same_direction(encoder_of, name):
    encoder = encoder_of(name)
    plain, unit = encoder.encode(TEXTS, ASK), encoder.encode(TEXTS, ASK, normalize_embeddings=True)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    assert_same(unit * np.linalg.norm(plain, axis=1, keepdims=True), plain)


def test_standardized_embeddings_have_mean_0_and_deviation_1(folder_of, tmp_path):
    folder = shutil.copytree(folder_of("bert"), tmp_path / "bert")
    (folder / "inbedder.json").write_text('{"family": "masked", "standardize": true}', encoding="utf-8")
    vectors = load_encoder(folder, device="cpu").encode(TEXTS, ASK)
    np.testing.assert_allclose(vectors.mean(1), 0, atol=1e-6)
    np.testing.assert_allclose(vectors.std(1, ddof=1), 1, atol=1e-5)


@one_of_each_family
def test_results_do_not_depend_on_earlier_calls_and_inputs_stay_as_they_were(encoder_of, name):
    encoder = encoder_of(name)
    texts, asked = list(TEXTS), [ASK] * len(TEXTS)
    before = encoder.encode(texts, asked)
    kept = before.copy()
    encoder.answer(texts, asked)
    encoder.words(before)
    encoder.pooled(texts, asked, POOLINGS[name], [0, 1])
    with pytest.raises(ValueError, match="leaves no room"):
        encoder.encode(texts, "why " * 2000)
    np.testing.assert_array_equal(encoder.encode(texts, asked), kept)
    np.testing.assert_array_equal(before, kept)
    assert texts == TEXTS and asked == [ASK] * len(TEXTS)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in encoder.lm.modules())


def test_texts_may_be_any_iterable_of_strings(encoder_of):
    import pandas as pd
    import pyarrow as pa

    encoder = encoder_of("opt")
    expected = encoder.encode(TEXTS, ASK)
    questions = pd.Series([ASK] * len(TEXTS))
    columns = pd.Series(TEXTS, index=range(6, 0, -1)), pa.array(TEXTS), pa.chunked_array([TEXTS[:2], TEXTS[2:]])
    for texts in (tuple(TEXTS), iter(TEXTS), np.array(TEXTS), *columns):
        np.testing.assert_array_equal(encoder.encode(texts, questions), expected)


# --- poolings and layers


@pytest.mark.parametrize(("name", "pooling"), [(name, p) for name in ONE_OF_EACH_FAMILY for p in POOLINGS[name]])
def test_an_encoder_with_that_pooling_and_layer_encodes_what_pooled_gives(folder_of, encoder_of, name, pooling):
    encoder = load_encoder(folder_of(name), pooling=pooling, layer=1, device="cpu")
    expected = encoder_of(name).pooled(TEXTS, ASK, [pooling], [1])[pooling, 1]
    np.testing.assert_array_equal(encoder.encode(TEXTS, ASK), expected)


@every_model
def test_many_poolings_and_layers_at_once_equal_one_at_a_time(encoder_of, name):
    encoder = encoder_of(name)
    together = encoder.pooled(TEXTS, ASK, POOLINGS[name], [0, 1, -1])
    assert set(together) == {(pooling, layer) for pooling in POOLINGS[name] for layer in (0, 1, -1)}
    for (pooling, layer), vectors in together.items():
        assert_same(encoder.pooled(TEXTS, ASK, [pooling], [layer])[pooling, layer] + 1, vectors + 1)


@every_pooling
def test_negative_layers_count_from_the_last(encoder_of, name, pooling):
    encoder = encoder_of(name)
    n = depth(encoder, pooling)
    pooled = encoder.pooled(TEXTS[:2], ASK, [pooling], [0, n, -1, -n - 1])
    np.testing.assert_array_equal(pooled[pooling, -1], pooled[pooling, n])
    np.testing.assert_array_equal(pooled[pooling, -n - 1], pooled[pooling, 0])


def test_pooled_without_poolings_and_layers_takes_the_encoders_own(encoder_of):
    encoder = encoder_of("roberta")
    np.testing.assert_array_equal(encoder.pooled(TEXTS, ASK)["avg_gen", -1], encoder.encode(TEXTS, ASK))


@every_model
def test_states_equal_those_of_transformers_at_every_layer(encoder_of, name):
    """One text at a time, so that there is no padding; positions are those the docstrings name."""
    encoder = encoder_of(name)
    for text in TEXTS:
        (row,) = encoder.prompt_tokenizer([text], [ASK])
        ids = torch.tensor([row])
        inputs = {"input_ids": ids, "output_hidden_states": True}
        with torch.inference_mode():
            if FAMILY_OF[name] == "seq2seq":
                start = torch.tensor([[encoder.lm.config.decoder_start_token_id]])
                output = encoder.lm(**inputs, decoder_input_ids=start)
                expected = {"fst_gen": output.decoder_hidden_states, "avg_ppt": output.encoder_hidden_states}
                where = {"fst_gen": slice(0, 1), "avg_ppt": slice(None)}
            else:
                states = encoder.lm(**inputs).hidden_states
                end = len(row) - len(encoder.prompt_tokenizer.suffix)
                where = {
                    "causal": {"fst_gen": slice(-1, None), "avg_ppt": slice(0, -1)},
                    "masked": {
                        "fst_gen": slice(end - 3, end - 2),
                        "last_gen": slice(end - 1, end),
                        "avg_gen": slice(end - 3, end),
                        "avg_ppt": slice(0, end - 3),
                        "avg_all": slice(None),
                    },
                }[FAMILY_OF[name]]
                expected = dict.fromkeys(where, states)
        for pooling, layers in expected.items():
            assert len(layers) == depth(encoder, pooling) + 1
            ours = encoder.pooled([text], ASK, [pooling], range(len(layers)))
            for layer, hidden in enumerate(layers):
                if name == "opt_projected" and layer == len(layers) - 1:
                    continue  # transformers lists this one before the projection that its LM head reads; see below
                theirs = hidden[0, where[pooling]].mean(0).numpy()
                assert_same(1 + ours[pooling, layer], 1 + theirs[None])


@pytest.mark.parametrize("name", CAUSAL)
def test_the_last_state_of_a_causal_model_is_what_its_head_reads(encoder_of, name):
    encoder = encoder_of(name)
    (row,) = encoder.prompt_tokenizer(TEXTS[:1], [ASK])
    with torch.inference_mode():
        logits = encoder.lm(torch.tensor([row])).logits[0, -1]
        ours = encoder.lm.get_output_embeddings()(torch.from_numpy(encoder.encode(TEXTS[:1], ASK)))[0]
    torch.testing.assert_close(ours, logits, rtol=1e-4, atol=1e-4)


# --- what runs, and what does not


@pytest.mark.parametrize("name", [name for name in EVERY if name != "t5"])
def test_layer_l_costs_l_blocks_and_never_the_head(encoder_of, name):
    encoder = encoder_of(name)
    head = encoder.lm.get_output_embeddings()
    for pooling in ONE_PASS[FAMILY_OF[name]]:
        for layer in range(4):
            with counted(head, *blocks(encoder)) as counts:
                encoder.pooled(TEXTS[:2], ASK, [pooling], [layer], batch_size=2)
            assert counts == [0] + [1] * layer + [0] * (3 - layer)


def test_layer_l_of_an_encoder_decoder_costs_l_blocks_of_its_side(encoder_of):
    encoder = encoder_of("t5")
    below, above, head = blocks(encoder, "avg_ppt"), blocks(encoder, "fst_gen"), encoder.lm.lm_head
    assert (len(below), len(above)) == (3, 2)
    for layer in range(4):
        with counted(head, *below, *above) as counts:
            encoder.pooled(TEXTS, ASK, ["avg_ppt"], [layer])
        assert counts == [0] + [1] * layer + [0] * (3 - layer) + [0, 0]
    for layer in range(3):
        with counted(head, *below, *above) as counts:
            encoder.pooled(TEXTS, ASK, ["fst_gen"], [layer])
        assert counts == [0, 1, 1, 1] + [1] * layer + [0] * (2 - layer)


@pytest.mark.parametrize("name", [name for name in EVERY if FAMILY_OF[name] != "masked"])  # those can't generate
def test_poolings_of_one_pass_never_generate(encoder_of, name, monkeypatch):
    def generate(*_, **__):
        raise AssertionError("generate was called")

    encoder = encoder_of(name)
    monkeypatch.setattr(encoder.lm, "generate", generate)
    assert len(encoder.encode(TEXTS, ASK)) == len(TEXTS)
    assert len(encoder.pooled(TEXTS, ASK, ["fst_gen", "avg_ppt"], [1, -1])) == 4
    with pytest.raises(AssertionError, match="generate was called"):
        encoder.pooled(TEXTS, ASK, ["avg_gen"], [-1])


# --- answers


@pytest.mark.parametrize("name", [name for name in EVERY if FAMILY_OF[name] != "masked"])
def test_answers_are_greedy_whatever_the_checkpoint_says_about_sampling(folder_of, encoder_of, name):
    encoder = load_encoder(folder_of(name), max_new_tokens=6, device="cpu")
    expected = []
    for row in encoder.prompt_tokenizer(TEXTS, [ASK] * len(TEXTS)):
        ids = torch.tensor([row])
        pad = {"pad_token_id": encoder.reader.pad_id}
        out = encoder.lm.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, num_beams=1, max_new_tokens=6, **pad
        )
        new = out[0, 1:] if encoder.lm.config.is_encoder_decoder else out[0, len(row) :]
        expected.append(encoder.tokenizer.decode(new, skip_special_tokens=True).strip())
    assert encoder.answer(TEXTS, ASK) == expected
    assert len(set(expected)) > 1
    wild = {"do_sample": True, "temperature": 9.0, "top_p": 0.5, "num_beams": 3, "repetition_penalty": 1.9}
    for setting in [wild, {"no_repeat_ngram_size": 1}, {"num_return_sequences": 2}, {"return_dict_in_generate": True}]:
        own = copy.deepcopy(encoder.lm.generation_config)
        for key, value in setting.items():
            setattr(encoder.lm.generation_config, key, value)
        changed = copy.deepcopy(encoder.lm.generation_config)
        assert encoder.answer(TEXTS, ASK) == expected, setting
        assert encoder.lm.generation_config == changed
        encoder.lm.generation_config = own


def test_masked_answers_are_the_best_words_at_the_masks(encoder_of):
    encoder = encoder_of("roberta")
    rows = encoder.prompt_tokenizer(TEXTS, [ASK] * len(TEXTS))
    mask = encoder.tokenizer.mask_token_id
    expected = []
    for row in rows:
        ids = torch.tensor([row])
        best = encoder.lm(ids).logits.argmax(-1)[ids == mask]
        assert len(best) == 3
        expected.append(encoder.tokenizer.decode(best, skip_special_tokens=True).strip())
    assert encoder.answer(TEXTS, ASK, batch_size=4) == expected


@every_model
def test_answers_do_not_depend_on_neighbours(encoder_of, name):
    encoder = encoder_of(name)
    assert encoder.answer(TEXTS, ASK) == [encoder.answer([text], ASK)[0] for text in TEXTS]


# --- words


@every_model
def test_words_are_what_the_head_of_the_model_says(encoder_of, name):
    encoder = encoder_of(name)
    with torch.inference_mode():
        expected, shares = [], []
        for row in encoder.prompt_tokenizer(TEXTS, [ASK] * len(TEXTS)):
            ids = torch.tensor([row])
            if FAMILY_OF[name] == "seq2seq":
                start = torch.tensor([[encoder.lm.config.decoder_start_token_id]])
                logits = encoder.lm(ids, decoder_input_ids=start).logits[0, 0]
            elif FAMILY_OF[name] == "masked":
                logits = encoder.lm(ids).logits[0][ids[0] == encoder.tokenizer.mask_token_id][0]
            else:
                logits = encoder.lm(ids).logits[0, -1]
            words, probabilities = {}, logits.softmax(0)
            for i in logits.argsort(descending=True).tolist():
                word = encoder.tokenizer.decode([i]).strip().removeprefix("##")
                if i not in encoder.tokenizer.all_special_ids and any(c.isalnum() for c in word):
                    words.setdefault(word.casefold(), (word, probabilities[i].item()))
            expected.append([word for word, _ in words.values()][:5])
            shares.append([share for _, share in words.values()][:5])
    assert len({tuple(words) for words in expected}) > 1
    states = encoder.pooled(TEXTS, ASK, ["fst_gen"], [-1])["fst_gen", -1]
    assert encoder.words(states, k=5) == expected
    likely = encoder.word_probabilities(states, k=5)
    np.testing.assert_allclose([list(words.values()) for words in likely], shares, rtol=1e-3)


def test_words_of_head_transformed_states_skip_the_transform(folder_of, tmp_path):
    """Both encoders read the same state; one gives it before, one after the dense part of the masked LM head."""
    plain = load_encoder(folder_of("roberta"), pooling="fst_gen", device="cpu")
    folder = shutil.copytree(folder_of("roberta"), tmp_path / "roberta")
    settings = '{"family": "masked", "pooling": "fst_gen", "lm_head_transform": true}'
    (folder / "inbedder.json").write_text(settings, encoding="utf-8")
    transformed = load_encoder(folder, device="cpu")
    vectors = transformed.encode(TEXTS, ASK)
    assert not np.allclose(vectors, plain.encode(TEXTS, ASK), atol=0.1)
    assert transformed.words(vectors, 5) == plain.words(plain.encode(TEXTS, ASK), 5)
    assert transformed.answer(TEXTS, ASK) == plain.answer(TEXTS, ASK)


@one_of_each_family
def test_no_embeddings_have_no_words(encoder_of, name):
    assert encoder_of(name).words(np.zeros((0, 32), np.float32)) == []


def test_words_refuse_what_is_not_a_table_of_last_layer_states(encoder_of):
    encoder = encoder_of("opt_projected")
    with pytest.raises(ValueError, match=r"embeddings must be \(n, 16\), the width of the last layer; got \(16,\)"):
        encoder.words(np.zeros(16))
    with pytest.raises(ValueError, match=r"\(n, 16\).* got \(2, 32\)"):
        encoder.words(np.zeros((2, 32)))
    with pytest.raises(ValueError, match="k must be 1 or more, got 0"):
        encoder.words(np.zeros((2, 16)), k=0)
    with pytest.raises(TypeError, match="k must be an integer, got 2.5"):
        encoder.words(np.zeros((2, 16)), k=2.5)


# --- re_encode


class Lengths:
    """A second model: an answer's number of characters, twice; remembers what it was given."""

    def __init__(self):
        self.seen = []

    def encode(self, answers):
        self.seen += answers
        return [[len(answer)] * 2 for answer in answers]


@one_of_each_family
def test_re_encode_embeds_the_answers_with_the_second_model(folder_of, name):
    second = Lengths()
    encoder = load_encoder(folder_of(name), pooling="re_encode", re_encoder=second, device="cpu")
    vectors, answers = encoder.encode(TEXTS, ASK), encoder.answer(TEXTS, ASK)
    assert sorted(second.seen) == sorted(answers) and len(set(answers)) > 1
    np.testing.assert_array_equal(vectors, [[len(answer)] * 2 for answer in answers])
    assert vectors.dtype == np.float32
    assert encoder.encode([], ASK).shape == (0, 2)
    with pytest.raises(ValueError, match="re_encode embeds words, not hidden states: .* use encode"):
        encoder.pooled(TEXTS, ASK)


# --- precision


@every_model
def test_bfloat16_on_the_cpu_is_close_to_float32(folder_of, encoder_of, name):
    half = load_encoder(folder_of(name), dtype="bfloat16", device="cpu")
    assert half.lm.dtype == torch.bfloat16
    ours = half.encode(TEXTS, ASK, normalize_embeddings=True)
    full = encoder_of(name).encode(TEXTS, ASK, normalize_embeddings=True)
    assert ours.dtype == np.float32
    assert (ours * full).sum(1).min() > 0.99


def test_a_float16_checkpoint_runs_in_float32_on_the_cpu(folder_of, tmp_path):
    lm = load_encoder(folder_of("llama"), dtype="float16", device="cpu")
    lm.lm.save_pretrained(tmp_path)
    lm.tokenizer.save_pretrained(tmp_path)
    assert load_encoder(tmp_path, dtype="float16", device="cpu").lm.dtype == torch.float16
    assert load_encoder(tmp_path, device="cpu").lm.dtype == torch.float32


@pytest.mark.parametrize("name", ["llama", "bert"])
def test_eager_attention_gives_what_sdpa_gives(folder_of, encoder_of, name):
    eager = load_encoder(folder_of(name), attn_implementation="eager", device="cpu")
    assert "attention eager" in repr(eager)
    assert_same(eager.encode(TEXTS, ASK), encoder_of(name).encode(TEXTS, ASK))


@pytest.mark.parametrize(
    ("name", "pooling", "family"),
    [("opt", "fst_gen", "causal"), ("bert", "avg_gen", "masked"), ("t5", "fst_gen", "seq2seq")],
)
def test_repr_tells_what_it_is_and_how_it_runs(encoder_of, folder_of, name, pooling, family):
    text = repr(encoder_of(name))
    assert text.startswith("Encoder(") and str(folder_of(name)) in text
    for said in (
        f"{family}, ",
        f"pooling {pooling} at layer -1",
        "float32 on cpu",
        "attention sdpa",
        "3 layers of width 32",
    ):
        assert said in text
    assert f"at most {encoder_of(name).checkpoint.max_length} tokens" in text
    assert ("a text read once for all its questions" in text) == (family == "causal")
    assert ("a text read for each question" in text) == (family != "causal")


def test_threads_that_share_an_encoder_get_their_own_vectors(encoder_of):
    encoder = encoder_of("opt")
    batches = [[f"{text} {i}" for text in TEXTS] for i in range(8)]
    alone = [encoder.encode(batch, ASK) for batch in batches]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda batch: encoder.encode(batch, ASK), batches))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@one_of_each_family
def test_threads_may_mix_everything_that_an_encoder_does(folder_of, encoder_of, name):
    alone, texts = encoder_of(name), [f"{text} {i}" for i in range(9) for text in TEXTS]
    vectors = alone.encode(texts, ASK)
    shared = load_encoder(folder_of(name), device="cpu")  # a new one, so that its very first calls collide

    def everything(encoder) -> list:
        return [
            partial(encoder.encode, texts, ASK),
            partial(encoder.answer, texts, ASK),
            partial(encoder.words, vectors, 3),
            lambda: encoder.pooled(texts, OTHER, ["avg_ppt"], [1])["avg_ppt", 1],
            partial(encoder.encode_many, texts[:9], [ASK, OTHER]),
        ]

    expected = [call() for call in everything(alone)]
    with ThreadPoolExecutor(8) as threads:
        together = [threads.submit(call) for _ in range(3) for call in everything(shared)]
    for running, result in zip(together, expected * 3, strict=True):
        if isinstance(result, np.ndarray):
            assert_same(running.result(), result)
        else:
            assert running.result() == result


def test_threads_do_not_mix_up_two_encoders_of_one_model(encoder_of):
    deep = encoder_of("opt")
    flat = Encoder(type(deep.reader)(deep.lm, deep.tokenizer, deep.checkpoint.with_settings(layer=1)))
    calls = [(encoder, [f"{text} {i}" for text in TEXTS]) for i in range(8) for encoder in (deep, flat)]
    alone = [encoder.encode(texts, ASK) for encoder, texts in calls]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda call: call[0].encode(call[1], ASK), calls))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda encoder: pickle.loads(pickle.dumps(encoder))])
@one_of_each_family
def test_a_copy_of_an_encoder_gives_the_same(folder_of, name, copied):
    encoder = load_encoder(folder_of(name), device="cpu")  # transformers can't pickle one that gave all hidden states
    again = copied(encoder)
    assert again.lm is not encoder.lm
    np.testing.assert_array_equal(again.encode(TEXTS, ASK), encoder.encode(TEXTS, ASK))


def test_the_budget_of_tokens_is_the_one_of_the_device_unless_set(encoder_of, monkeypatch):
    encoder = Encoder(copy.copy(encoder_of("opt").reader))
    assert n_passes(encoder) == 1
    monkeypatch.setitem(MAX_TOKENS, "cpu", 1)
    assert n_passes(encoder) == len(TEXTS)
    encoder.reader.max_tokens = 10_000
    assert n_passes(encoder) == 1


def n_passes(encoder) -> int:
    encoder.encode(TEXTS, ASK)  # a first call may try out how the model reads
    with counted(encoder.reader.stack) as counts:
        encoder.encode(TEXTS, ASK)
    return counts[0]


def test_the_lm_head_transform_works_at_every_layer(folder_of, tmp_path):
    folder = shutil.copytree(folder_of("roberta"), tmp_path / "transformed")
    settings = {"family": "masked", "lm_head_transform": True, "max_length": 64}
    (folder / "inbedder.json").write_text(json.dumps(settings), encoding="utf-8")
    encoder, plain = load_encoder(folder), load_encoder(folder_of("roberta"), max_length=64)
    head = plain.lm.lm_head
    short = [text[:20] for text in TEXTS]
    pooled = encoder.pooled(short, ASK, ["fst_gen"], [0, 1, -1])
    for (_, layer), vectors in pooled.items():
        states = torch.from_numpy(plain.pooled(short, ASK, ["fst_gen"], [layer])["fst_gen", layer])
        with torch.inference_mode():
            expected = head.layer_norm(torch.nn.functional.gelu(head.dense(states)))
        np.testing.assert_allclose(vectors, expected, rtol=1e-4, atol=1e-4)


@one_of_each_family
def test_numbers_that_are_not_finite_are_refused_and_never_kept(folder_of, tmp_path, name):
    encoder = load_encoder(folder_of(name), device="cpu")
    with torch.no_grad():
        blocks_of(encoder.reader.stack)[1].to(torch.float32).apply(overflow)
    fix = r"load it in bfloat16 or float32 \(dtype=\)"
    with pytest.raises(ValueError, match=f"NaN or infinite numbers for {len(TEXTS)} of {len(TEXTS)} texts, .*: {fix}"):
        encoder.encode(TEXTS, ASK, cache=tmp_path)
    assert list_caches(tmp_path)["vectors"].sum() == 0
    with pytest.raises(ValueError, match=f"NaN or infinite numbers for .*: {fix}"):
        encoder.pooled(TEXTS, ASK)
    with pytest.raises(ValueError, match=f"NaN for the words of its answer: {fix}"):
        encoder.answer(TEXTS, ASK)


def overflow(module) -> None:
    """What a model does that is loaded in a type too narrow for it."""
    for weights in module.parameters(recurse=False):
        weights.fill_(float("inf"))


def test_many_questions_go_to_a_file_too(encoder_of, tmp_path, monkeypatch):
    encoder, questions = encoder_of("opt"), [ASK, OTHER, "Why?"]
    expected = encoder.encode_many(TEXTS, questions)
    monkeypatch.setattr("inbedder_utils.storage.streams.WINDOW", 4)  # a text's questions stay together
    written = encoder.encode_many(TEXTS, questions, out=tmp_path / "many.npy")
    assert isinstance(written, np.memmap)
    np.testing.assert_allclose(written, expected, atol=2e-6)
    np.testing.assert_allclose(encoder.encode_many(TEXTS, questions), expected, atol=2e-6)
    assert np.load(tmp_path / "many.npy").shape == (3, *encoder.encode(TEXTS, ASK).shape)
    assert encoder.encode_many([], questions, out=tmp_path / "none.npy").shape == (3, 0, expected.shape[2])


FORKED = """
import os, signal, sys, threading
import numpy as np, torch
from inbedder_utils import load_encoder
torch.set_num_threads(1)
encoder = load_encoder(sys.argv[1], device="cpu")
texts, ask = ["The lid leaks. " * 20] * 3 + [f"{i}" for i in range(400)], "Why?"
expected = encoder.encode(texts[:5], ask)
stop = threading.Event()
def busy():
    while not stop.is_set():
        encoder.encode(texts, ask)
thread = threading.Thread(target=busy)
thread.start()
for _ in range(10):
    if (child := os.fork()) == 0:
        signal.alarm(20)
        os._exit(0 if np.allclose(encoder.encode(texts[:5], ask), expected, atol=1e-5) else 1)
    assert os.waitpid(child, 0)[1] == 0, "the child hung, or read the model through its parent's hooks"
stop.set()
thread.join()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that can fork")
def test_a_process_that_forks_while_another_thread_encodes_has_a_child_that_can_encode(folder_of):
    command = [sys.executable, "-c", FORKED, str(folder_of("opt"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
