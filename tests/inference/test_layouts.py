"""Prompts without padding, each text once: what comes out is what reading them one by one gives."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from small_models import ASK, CAUSAL, EVERY, FAMILY_OF, MASKED, OTHER, TEXTS

from inbedder_utils import load_encoder
from inbedder_utils.inference.batching import Reading, Way, group_by_text
from inbedder_utils.inference.layouts import pack
from inbedder_utils.inference.reader import MAX_TOKENS
from inbedder_utils.inference.trials import Trials
from inbedder_utils.registry import FAMILY_POOLINGS

CPU = torch.device("cpu")
QUESTIONS = [ASK, OTHER, "Why?", "What would the customer like the seller to do about it in the end?"]
LONG = "The box came early. " * 80
PACKED = [(name, pooling) for name in CAUSAL + MASKED for pooling in FAMILY_POOLINGS[FAMILY_OF[name]][:-1]]


def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float((np.linalg.norm(ours - theirs, axis=-1) / np.linalg.norm(theirs, axis=-1)).max())


def packs(encoder) -> bool:
    return Way.PACKED in encoder.reader.trials.ways


@pytest.fixture
def always_packing(monkeypatch):
    """As on CUDA; a CPU packs only where texts are shared."""
    monkeypatch.setattr(Trials, "unpacked", lambda self, way: way)


def tokens_read(encoder, run) -> int:
    """How many tokens enter the first block while `run` runs, without the trials whether prompts can be packed."""
    assert packs(encoder)
    for exponent in range(10):
        encoder.reader.trials.way(2**exponent, generates=False)
    seen = []
    block = next(m for m in encoder.reader.stack.modules() if isinstance(m, torch.nn.ModuleList))[0]
    handle = block.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append((args[0] if args else kwargs["hidden_states"]).shape[:2].numel()),
        with_kwargs=True,
    )
    try:
        run()
    finally:
        handle.remove()
    return sum(seen)


# --- bringing prompts together


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4)), max_size=30), st.integers(1, 40), st.booleans())
def test_every_prompt_is_read_once_whole_and_within_the_budget(kinds, max_tokens, share):
    texts = [[], [1, 2, 3], [1, 2, 4, 5]]
    rows = [texts[kind] + [9] * n for kind, n in kinds]
    found = group_by_text(rows, [len(texts[kind]) for kind, _ in kinds], max_tokens, share=share)
    assert sorted(i for reading in found for i in reading.indices) == list(range(len(rows)))
    for reading in found:
        assert reading.prompts == [rows[i] for i in reading.indices]
        assert len(reading.indices) == 1 or (share and reading.text and reading.cost <= max_tokens)


def test_prompts_with_the_same_text_become_one_reading():
    rows = [[1, 2, 7], [1, 2, 8, 9], [3, 7], [1, 2, 6]]
    assert group_by_text(rows, [2, 2, 1, 2], 100) == [
        Reading([0, 1, 3], [1, 2], [[7], [8, 9], [6]]),
        Reading([2], [3], [[7]]),
    ]


# --- one row


def test_questions_stand_behind_their_text_and_go_on_from_its_positions():
    layout = pack(
        [Reading([0, 1], [5, 6], [[7], [8, 9]]), Reading([2], [], [[4, 3]])],
        transformers.RobertaConfig(pad_token_id=1),
        CPU,
        causal=False,
    )
    assert layout.inputs["input_ids"].tolist() == [[5, 6, 7, 8, 9, 4, 3]]
    assert layout.inputs["position_ids"].tolist() == [[2, 3, 4, 4, 5, 2, 3]]
    assert [where.tolist() for where in layout.places] == [[0, 1, 2], [0, 1, 3, 4], [5, 6]]
    assert layout.sequences.seen.tolist() == [0, 1, 0, 1, 2, 0, 1, 3, 4, 5, 6]
    assert (layout.sequences.stops, layout.sequences.seen_stops) == ([2, 3, 5, 7], [2, 5, 9, 11])


@pytest.mark.parametrize(("name", "pooling"), PACKED)
def test_packed_prompts_give_what_padded_ones_give(folder_of, encoder_of, always_packing, name, pooling):
    padded = load_encoder(folder_of(name), attn_implementation="eager", device="cpu")
    assert packs(encoder_of(name)) and not packs(padded)
    ours, theirs = (e.pooled(TEXTS, ASK, [pooling], [1, -1]) for e in (encoder_of(name), padded))
    for key, vectors in theirs.items():
        assert difference(ours[key], vectors) < 1e-4


@pytest.mark.parametrize(("name", "pooling"), PACKED)
def test_many_questions_give_what_one_at_a_time_gives(folder_of, name, pooling):
    encoder = load_encoder(folder_of(name), pooling=pooling, device="cpu")
    texts = [*TEXTS, LONG, TEXTS[0]]
    together = encoder.encode_many(texts, QUESTIONS)
    assert difference(together, np.stack([encoder.encode(texts, question) for question in QUESTIONS])) < 1e-4


@pytest.mark.parametrize("name", CAUSAL)
def test_causal_models_read_a_text_once_for_all_its_questions(encoder_of, name):
    encoder = encoder_of(name)
    rows = [encoder.prompt_tokenizer([TEXTS[5]], [question])[0] for question in QUESTIONS]
    read = tokens_read(encoder, partial(encoder.encode_many, [TEXTS[5]], QUESTIONS))
    assert read < sum(map(len, rows)) - 2 * len(encoder.tokenizer(TEXTS[5], add_special_tokens=False)["input_ids"])


@pytest.mark.parametrize("name", CAUSAL + MASKED)
def test_no_padding_is_read_where_prompts_are_packed(encoder_of, always_packing, name):
    encoder = encoder_of(name)
    rows = encoder.prompt_tokenizer(TEXTS, [ASK] * len(TEXTS))
    assert tokens_read(encoder, partial(encoder.encode, TEXTS, ASK)) == sum(map(len, rows))


@pytest.mark.parametrize("name", ["llama", "bert"])
def test_a_cpu_packs_only_prompts_that_share_a_text(encoder_of, name):
    encoder, rows = encoder_of(name), []
    handle = encoder.reader.stack.register_forward_pre_hook(
        lambda *args: rows.append(len(args[2]["input_ids"])), with_kwargs=True
    )
    try:
        encoder.encode_many(TEXTS[:1], [ASK])
        for run in (partial(encoder.encode, TEXTS, ASK), partial(encoder.encode_many, TEXTS, [ASK, OTHER])):
            rows.append(0)
            run()
    finally:
        handle.remove()
    one, many = "".join(f"{n}," for n in rows).split("0,")[1:]
    assert one == f"{len(TEXTS)},"
    assert many == ("1," if name == "llama" else f"{2 * len(TEXTS)},")


def test_mini_reads_a_text_once_for_all_its_questions():
    encoder = load_encoder("mini", device="cpu")
    rows = [encoder.prompt_tokenizer([TEXTS[5]], [question])[0] for question in QUESTIONS]
    stops = encoder.prompt_tokenizer.text_stops(rows, [TEXTS[5]] * len(rows), QUESTIONS)
    assert len(set(stops)) == 1
    read = tokens_read(encoder, partial(encoder.encode_many, [TEXTS[5]], QUESTIONS))
    assert read == sum(map(len, rows)) - (len(rows) - 1) * stops[0]


def test_many_questions_stay_within_the_budget(encoder_of):
    encoder, largest = encoder_of("llama"), []
    encoder.reader.trials.way(256, generates=False)  # its runs are not counted
    handle = encoder.reader.stack.register_forward_pre_hook(
        lambda *args: largest.append(args[2]["input_ids"].shape[1]), with_kwargs=True
    )
    try:
        encoder.encode_many(TEXTS * 5, [f"{question} {i}" for question in QUESTIONS for i in range(20)])
    finally:
        handle.remove()
    assert 0.5 * MAX_TOKENS["cpu"] < max(largest) <= MAX_TOKENS["cpu"]


# --- remembering texts


@pytest.mark.parametrize("name", [*CAUSAL, "bert", "t5", "mini"])
def test_an_encoder_that_remembers_gives_the_same(encoder_of, name):
    encoder = load_encoder("mini", device="cpu") if name == "mini" else encoder_of(name)
    remembering = encoder.remembering()
    for question in QUESTIONS:
        assert difference(remembering.encode([*TEXTS, LONG], question), encoder.encode([*TEXTS, LONG], question)) < 1e-4
        assert remembering.answer(TEXTS, question) == encoder.answer(TEXTS, question)
        key = remembering.checkpoint.pooling, 1
        assert difference(*(e.pooled(TEXTS, question, key[:1], key[1:])[key] for e in (remembering, encoder))) < 1e-4


@pytest.mark.parametrize("name", ["llama", "mini"])
def test_a_second_question_costs_the_question_only(encoder_of, always_packing, name):
    encoder = load_encoder("mini", device="cpu") if name == "mini" else encoder_of(name)
    remembering = encoder.remembering()
    remembering.encode(TEXTS, ASK)
    rows = encoder.prompt_tokenizer(TEXTS, [OTHER] * len(TEXTS))
    stops = encoder.prompt_tokenizer.text_stops(rows, TEXTS, [OTHER] * len(TEXTS))
    read = tokens_read(remembering, partial(remembering.encode, TEXTS, OTHER))
    assert read == sum(len(row) - stop for row, stop in zip(rows, stops, strict=True))
    assert tokens_read(encoder, partial(encoder.encode, TEXTS, OTHER)) == sum(map(len, rows))


def test_what_does_not_fit_into_memory_is_read_again(encoder_of):
    encoder = encoder_of("llama")
    tight = encoder.remembering(max_bytes=20_000)
    for question in QUESTIONS:
        assert difference(tight.encode(TEXTS, question), encoder.encode(TEXTS, question)) < 1e-4
        assert 0 < tight.reader.memory.n_bytes <= 20_000
    with pytest.raises(ValueError, match="max_bytes must be 1 or more"):
        encoder.remembering(max_bytes=0)


@pytest.mark.parametrize("prompt", ["{instruction}\n{input}", "{input} {instruction}", "{input}{instruction}"])
def test_prompts_that_end_or_begin_with_the_text_can_be_remembered(folder_of, prompt):
    encoder = load_encoder(folder_of("opt"), prompt=prompt, device="cpu")
    remembering = encoder.remembering()
    for question in [ASK, ASK, OTHER]:
        assert difference(remembering.encode(TEXTS, question), encoder.encode(TEXTS, question)) < 1e-4


def test_a_question_that_is_cut_on_the_left_leaves_no_text_to_share():
    encoder, padded = (
        load_encoder("mini", truncation="left", device="cpu", attn_implementation=name) for name in (None, "eager")
    )
    asked = "what is it about and why ? " * 38
    assert difference(encoder.encode(TEXTS, asked), padded.encode(TEXTS, asked)) < 1e-4


def test_a_text_with_more_questions_than_memory_has_room_for_is_read_in_parts(encoder_of):
    encoder, largest = copy.copy(encoder_of("llama")), []
    expected = encoder.encode_many(TEXTS[:1], [f"{ASK} {i}" for i in range(30)])

    def full(_, __, kwargs):
        largest.append(kwargs["input_ids"].numel())
        if largest[-1] > 150:
            raise torch.OutOfMemoryError("CUDA out of memory")

    handle = encoder.reader.stack.register_forward_pre_hook(full, with_kwargs=True)
    try:
        found = encoder.encode_many(TEXTS[:1], [f"{ASK} {i}" for i in range(30)])
    finally:
        handle.remove()
    assert max(largest) > 150 and difference(found, expected) < 1e-4


# --- which models can


def test_masks_of_other_sizes_and_other_attention_are_padded(folder_of):
    assert not packs(load_encoder(folder_of("t5"), device="cpu"))
    encoder = load_encoder(folder_of("llama"), device="cpu")
    encoder.lm.config.sliding_window = encoder.checkpoint.max_length - 1
    assert Way.PACKED not in Trials(encoder.reader).ways
    assert np.isfinite(encoder.encode(TEXTS, ASK)).all()


@pytest.mark.parametrize("name", EVERY)
def test_attention_is_what_it_was_after_encoding_also_when_it_fails(encoder_of, name):
    encoder = encoder_of(name)
    encoder.encode(TEXTS, ASK)
    assert encoder.lm.config._attn_implementation == encoder.reader.stack.config._attn_implementation == "sdpa"
    with pytest.raises(ValueError, match="batch_size must be 1 or more"):
        encoder.encode(TEXTS, ASK, batch_size=0)
    handle = encoder.reader.stack.register_forward_pre_hook(lambda *_: 1 / 0)
    try:
        with pytest.raises(ZeroDivisionError):
            encoder.encode(TEXTS, ASK)
    finally:
        handle.remove()
    assert encoder.reader.stack.config._attn_implementation == "sdpa"
