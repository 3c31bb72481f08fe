"""Long texts: read in passages, or cut and counted; and texts that a model can hardly read."""

import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import ASK

from inbedder_utils import load_encoder, tokens
from inbedder_utils.checks import TextsCut
from inbedder_utils.inference.long_texts import Passages
from inbedder_utils.inference.progress import counting

LONG = "The lid of the tea pot leaks. " * 40
THREE = ["The lid leaks.", LONG + "I am angry.", LONG + "I am glad."]


@pytest.fixture(scope="module")
def cutting(folder_of):
    return load_encoder(folder_of("llama"), max_length=100, device="cpu")


@pytest.fixture(scope="module")
def passages(folder_of):
    return load_encoder(folder_of("llama"), max_length=100, device="cpu", truncation="passages")


def test_a_text_in_passages_is_the_mean_of_them_and_a_short_one_is_as_ever(cutting, passages):
    whole = passages.encode(THREE, ASK)
    pieces = Passages(passages.prompt_tokenizer, THREE, [ASK] * 3)
    assert pieces.starts.tolist() == [0, 1, 1 + (len(pieces.texts) - 1) // 2]
    assert "".join(pieces.texts) == "".join(THREE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # each of them fits
        alone = cutting.encode(pieces.texts, ASK)
    by_hand = [part.mean(0) for part in np.split(alone, pieces.starts[1:])]
    np.testing.assert_allclose(whole, by_hand, atol=1e-6)
    np.testing.assert_allclose(whole[0], cutting.encode(THREE[:1], ASK)[0], atol=1e-6)
    key = passages.checkpoint.pooling, passages.checkpoint.layer
    np.testing.assert_allclose(passages.pooled(THREE, ASK)[key], whole, atol=1e-6)


def test_a_text_is_tokenized_once_for_all_of_its_questions(passages, monkeypatch):
    token_starts, asked = tokens.PromptTokenizer.token_starts, []
    monkeypatch.setattr(
        tokens.PromptTokenizer, "token_starts", lambda read, text: (asked.append(text), token_starts(read, text))[1]
    )
    many = passages.encode_many(THREE, [ASK, "Why?", "Where is it?"])
    assert asked == THREE
    np.testing.assert_allclose(many[1], passages.encode(THREE, "Why?"), atol=1e-5)


def test_what_is_said_at_the_end_counts_in_passages_only(cutting, passages):
    with pytest.warns(UserWarning):
        cut = cutting.encode(THREE[1:], ASK)
    np.testing.assert_allclose(cut[0], cut[1], atol=1e-6)
    whole = passages.encode(THREE[1:], ASK)
    assert np.abs(whole[0] - whole[1]).max() > 1e-3


def test_texts_that_are_cut_are_counted_once_and_with_several_questions(cutting):
    with pytest.warns(
        UserWarning, match=r"^2 of 3 prompts .* longer than 100 tokens, so that their texts were cut"
    ) as w:
        cutting.encode(THREE, ASK)
    assert len(w) == 1
    with pytest.warns(UserWarning, match="^4 of 6 prompts"):
        cutting.encode_many(THREE, [ASK, "Why?"])
    with pytest.warns(UserWarning, match="^2 of 3 prompts"):
        cutting.answer(THREE, ASK)


def test_unread_names_what_is_cut_and_what_is_unknown(cutting, passages, folder_of):
    (said,) = cutting.unread(THREE, ASK)
    room = 100 - len(cutting.prompt_tokenizer([""], [ASK])[0])
    assert said == f"2 of 3 texts were longer than {room} tokens and were cut"
    assert passages.unread(THREE, ASK) == cutting.unread([], ASK) == []
    bert = load_encoder(folder_of("bert"), device="cpu")
    (said,) = bert.unread(["这家餐厅的菜很好。", "The lid leaks."], ASK)
    assert said.startswith("1 of 2 texts can hardly be read: ") and said.endswith("tokens are unknown to the model")


@settings(max_examples=30, deadline=None)
@given(st.text(alphabet="ab \n.é字", min_size=1, max_size=60), st.sampled_from(["text", "left"]))
def test_of_a_very_long_text_only_head_and_tail_are_tokenized_with_the_same_result(folder_of, piece, truncation):
    encoder = load_encoder(folder_of("llama"), max_length=90, device="cpu", truncation=truncation)
    text = "".join(piece[i:] + piece[:i] for i in range(len(piece))) * (40_000 // len(piece) ** 2 + 1)
    shortened = encoder.prompt_tokenizer([text, text[1:]], [ASK] * 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens, "CHARACTERS_PER_TOKEN", 10**9)
        assert encoder.prompt_tokenizer([text, text[1:]], [ASK] * 2) == shortened


def test_emoji_are_read_as_words_where_the_checkpoint_says_so(folder_of):
    with_words = load_encoder("mini", device="cpu")
    ids = with_words.prompt_tokenizer(["great 👍 pizza❤️"], [ASK])
    assert ids == with_words.prompt_tokenizer(["great  thumbs up  pizza red heart "], [ASK])
    assert with_words.unread(["👍🎉😂"], ASK) == []
    assert load_encoder(folder_of("bert"), device="cpu").unread(["👍🎉😂"], ASK) != []


def test_nothing_is_said_where_nothing_was_cut_or_a_run_failed():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with counting(3, False, 9) as bar:
            bar.read = 3
        with pytest.raises(KeyError), counting(3, False, 9) as bar:
            bar.cut = 1
            raise KeyError


def test_the_warning_can_be_sent_to_another_process():
    warning = pickle.loads(pickle.dumps(TextsCut("2 of 3 prompts were longer", 2)))
    assert (str(warning), warning.cut) == ("2 of 3 prompts were longer", 2)
