"""Read-once attention: a text reads itself, each question the text and itself."""

import json
import shutil

import numpy as np
import pytest
import torch
from small_models import ASK, OTHER, TEXTS

from inbedder_utils import load_encoder
from inbedder_utils.inference.read_once import PADDING, TEXT, first_position, read_once_mask
from inbedder_utils.prompts import PAIR
from inbedder_utils.registry import Checkpoint
from inbedder_utils.training.examples import IGNORED, masked_batch, pack_questions

ASKED = [ASK, OTHER, "Why?"]
LONG = TEXTS[4] * 12
every_masked = pytest.mark.parametrize("name", ["bert", "roberta"])


def difference(ours, theirs) -> float:
    """Largest relative difference of two tables of vectors."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    return (np.linalg.norm(ours - theirs, axis=-1) / np.linalg.norm(theirs, axis=-1)).max()


@pytest.fixture(scope="module")
def read_once_of(folder_of, tmp_path_factory):
    """name -> encoder of the same weights that reads once."""
    from functools import cache

    @cache
    def load(name: str):
        folder = shutil.copytree(folder_of(name), tmp_path_factory.mktemp("read_once") / name)
        settings = {"family": "masked", "read_once": True, "max_length": 128}
        (folder / "inbedder.json").write_text(json.dumps(settings), encoding="utf-8")
        return load_encoder(folder, device="cpu")

    return load


def cut(encoder, text: str, questions: list[str]) -> tuple[list[int], list[list[int]]]:
    """Ids of the text and of each question after it, masks included."""
    texts = [text] * len(questions)
    rows = encoder.prompt_tokenizer(texts, questions)
    stops = encoder.prompt_tokenizer.text_stops(rows, texts, questions)
    (start,) = {tuple(row[:stop]) for row, stop in zip(rows, stops, strict=True)}
    return list(start), [row[stop:] for row, stop in zip(rows, stops, strict=True)]


def batch_of(encoder, rows: list[tuple[list[int], list[list[int]]]]) -> dict[str, torch.Tensor]:
    """A batch as in training; labels stand at the masks."""
    examples = []
    for text, questions in rows:
        row = pack_questions(text, questions)
        at_mask = [token == encoder.tokenizer.mask_token_id for token in row["input_ids"]]
        examples.append(row | {"labels": [7 if masked else IGNORED for masked in at_mask]})
    return masked_batch(examples, encoder.reader.pad_id, first_position(encoder.lm.config))


@torch.inference_mode()
def states(encoder, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "position_ids")}
    return encoder.lm.base_model(**inputs).last_hidden_state


def answer_states(encoder, batch: dict[str, torch.Tensor]) -> np.ndarray:
    """The mean state at each question's masks, row by row."""
    hidden, n = states(encoder, batch)[batch["answer_at"]], encoder.checkpoint.n_masks
    return hidden.view(-1, n, hidden.shape[-1]).mean(1).numpy()


# --- masks and rows


def test_the_mask_says_who_sees_whom():
    row = [TEXT, TEXT, 1, 1, 2, PADDING, PADDING]
    mask = read_once_mask(torch.tensor([row]))
    assert mask.shape == (1, 1, 7, 7) and mask.dtype == torch.float32
    for i, seeing in enumerate(row):
        for j, seen in enumerate(row):
            visible = seen == TEXT or seen == seeing
            assert mask[0, 0, i, j] == (0 if visible else torch.finfo(torch.float32).min)
            assert not (visible and seen == PADDING and seeing != PADDING)


def test_a_row_without_questions_is_ordinary_attention():
    assert (read_once_mask(torch.zeros(2, 5, dtype=torch.long)) == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_mask_is_finite_in_every_precision_and_no_row_of_it_is_empty(dtype):
    mask = read_once_mask(torch.tensor([[TEXT, 1, 2, PADDING], [TEXT, TEXT, TEXT, 1]]), dtype)
    assert mask.dtype == dtype and mask.isfinite().all()
    assert (mask == 0).any(-1).all()


def test_questions_stand_behind_their_text_and_go_on_from_its_positions():
    row = pack_questions([10, 11, 12], [[20, 21], [30], [40, 41, 42]])
    assert row == {
        "input_ids": [10, 11, 12, 20, 21, 30, 40, 41, 42],
        "segments": [TEXT] * 3 + [1, 1, 2, 3, 3, 3],
        "positions": [0, 1, 2, 3, 4, 3, 3, 4, 5],
    }
    assert pack_questions([10, 11], []) == {"input_ids": [10, 11], "segments": [TEXT, TEXT], "positions": [0, 1]}


def test_positions_start_where_the_architecture_counts_from(encoder_of):
    assert first_position(encoder_of("bert").lm.config) == 0
    roberta = encoder_of("roberta").lm
    assert first_position(roberta.config) == roberta.config.pad_token_id + 1
    ids = torch.tensor([[0, 5, 6, 2]])
    explicit = torch.arange(4)[None] + first_position(roberta.config)
    with torch.inference_mode():
        torch.testing.assert_close(roberta(ids, position_ids=explicit).logits, roberta(ids).logits)


# --- models


@every_masked
def test_a_texts_states_do_not_change_with_the_question(read_once_of, name):
    encoder = read_once_of(name)
    text, questions = cut(encoder, TEXTS[0], ASKED)
    alone = states(encoder, batch_of(encoder, [(text, questions[:1])]))
    for asked in ([questions[1]], [questions[2]], questions):
        other = states(encoder, batch_of(encoder, [(text, asked)]))
        assert difference(other[0, : len(text)], alone[0, : len(text)]) < 1e-4
    with torch.inference_mode():
        positions = torch.arange(len(text))[None] + first_position(encoder.lm.config)
        bare = encoder.lm.base_model(torch.tensor([text]), position_ids=positions).last_hidden_state
    assert difference(bare[0], alone[0, : len(text)]) < 1e-4


@every_masked
@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text[:12])
def test_an_embedding_is_the_same_alone_and_among_other_questions(read_once_of, name, text):
    encoder = read_once_of(name)
    together = answer_states(encoder, batch_of(encoder, [cut(encoder, text, ASKED)]))
    alone = np.concatenate([encoder.encode([text], question) for question in ASKED])
    assert difference(together, alone) < 1e-4
    assert difference(together[:1], together[1:2]) > 1e-2


@every_masked
def test_padding_and_order_of_a_training_batch_change_nothing(read_once_of, name):
    encoder = read_once_of(name)
    rows = [cut(encoder, text, ASKED[: 1 + i % 3]) for i, text in enumerate(TEXTS)]
    alone = [answer_states(encoder, batch_of(encoder, [row])) for row in rows]
    assert difference(answer_states(encoder, batch_of(encoder, rows)), np.concatenate(alone)) < 1e-4
    backwards = answer_states(encoder, batch_of(encoder, rows[::-1]))
    assert difference(backwards, np.concatenate(alone[::-1])) < 1e-4


@every_masked
@pytest.mark.parametrize("pooling", ["fst_gen", "last_gen", "avg_gen", "avg_ppt", "avg_all"])
def test_padding_and_order_of_texts_change_nothing(read_once_of, name, pooling):
    encoder, order = read_once_of(name), [4, 1, 0, 5, 3, 2]
    asked = [ASKED[i % 3] for i in range(len(TEXTS))]
    pairs = list(zip(TEXTS, asked, strict=True))
    alone = np.concatenate([encoder.pooled([text], ask, [pooling])[pooling, -1] for text, ask in pairs])
    assert difference(encoder.pooled(TEXTS, asked, [pooling])[pooling, -1], alone) < 1e-4
    texts, asked = zip(*(pairs[i] for i in order), strict=True)
    assert difference(encoder.pooled(texts, asked, [pooling], batch_size=4)[pooling, -1], alone[order]) < 1e-4


@every_masked
def test_answers_do_not_depend_on_neighbours_either(read_once_of, name):
    encoder = read_once_of(name)
    assert encoder.answer(TEXTS, ASK) == [encoder.answer([text], ASK)[0] for text in TEXTS]


@every_masked
def test_reading_once_is_another_embedding_than_ordinary_attention(read_once_of, folder_of, name):
    once, ordinary = read_once_of(name), load_encoder(folder_of(name), device="cpu", max_length=128)
    assert once.checkpoint.read_once and not ordinary.checkpoint.read_once
    assert difference(once.encode(TEXTS[:1], ASK), ordinary.encode(TEXTS[:1], ASK)) > 1e-2


@every_masked
def test_eager_attention_reads_once_as_well(read_once_of, name):
    encoder = read_once_of(name)
    eager = load_encoder(encoder.checkpoint.name, device="cpu", attn_implementation="eager")
    assert difference(eager.encode(TEXTS, ASK), encoder.encode(TEXTS, ASK)) < 1e-4


@every_masked
def test_a_long_text_is_shortened_and_its_question_is_not(read_once_of, name):
    encoder = read_once_of(name)
    (row,) = encoder.prompt_tokenizer([LONG], [ASK])
    (stop,) = encoder.prompt_tokenizer.text_stops([row], [LONG], [ASK])
    text, (question,) = cut(encoder, TEXTS[1], [ASK])
    assert len(row) == 128 and row[stop:] == question and stop > len(text)


@pytest.mark.parametrize(
    "settings", [{"family": "causal"}, {"family": "seq2seq"}, {"family": "masked", "prompt": PAIR}]
)
def test_other_models_cannot_read_once(settings):
    with pytest.raises(ValueError, match="read_once is for masked models whose prompt is one string"):
        Checkpoint("x", read_once=True, **settings)


def test_a_prompt_with_the_question_first_can_not_be_read_once():
    with pytest.raises(ValueError, match="the text first"):
        Checkpoint("x", "masked", prompt="{instruction} {input}", read_once=True)
