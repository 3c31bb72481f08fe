"""Token ids of prompts: only the text is shortened, and nothing in a text acts as markup."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import ASK, EVERY, FAMILY_OF
from transformers import AutoTokenizer

from inbedder_utils import load_encoder
from inbedder_utils.checks import clean
from inbedder_utils.prompts import PAIR, Prompt
from inbedder_utils.tokens import PromptTokenizer

TEMPLATE = "### Input:\n{input}\n\n### Instruction:\n{instruction}\n\n### Response:"
LONG = "".join(f"The {a} {b} leaks. " for a in "lid box tea pot phone".split() for b in "one two lid kettle".split())
SPECIALS = ("</s>", "<s>", "<mask>", "[MASK]", "[CLS]", "[SEP]", "[PAD]", "<pad>", "<unk>", "[UNK]")
SPECIALS += ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<extra_id_0>", "<extra_id_99>")
AWKWARD = (
    "\x00",
    "a\x00b",
    "\ud800",
    "\ude00\ud83d",
    "x\udfff",
    "👩‍👩‍👧‍👦 é",
    " ",
    " \n\t ",
    "\u200b",
    "ﬁ",
    "\u202e",
    "",
)
N_MASKS = {"causal": 0, "masked": 3, "seq2seq": 0}

every_model = pytest.mark.parametrize("name", EVERY)


@pytest.fixture(scope="session")
def tokenizer_of(folder_of):
    """(name, settings) -> (PromptTokenizer, the transformers tokenizer)."""
    from functools import cache

    @cache
    def make(name, template=TEMPLATE, max_length=512, **settings):
        tokenizer = AutoTokenizer.from_pretrained(folder_of(name))
        n_masks = N_MASKS[FAMILY_OF[name]]
        return PromptTokenizer(tokenizer, template, max_length=max_length, n_masks=n_masks, **settings), tokenizer

    return make


def framed(prompt_ids, ids: list[int]) -> list[int]:
    return prompt_ids.prefix + ids + prompt_ids.masks + prompt_ids.suffix


def forbidden(tokenizer) -> set[int]:
    """Special ids that no text may give; characters that a vocabulary lacks may give its unknown token."""
    return set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}


def assert_plain(prompt_ids, tokenizer, row: list[int]) -> None:
    """The frame stands around the row, and nothing inside it is special."""
    head, tail = prompt_ids.prefix, prompt_ids.masks + prompt_ids.suffix
    assert row[: len(head)] == head and row[len(row) - len(tail) :] == tail
    inside = row[len(head) : len(row) - len(tail)]
    assert inside and not forbidden(tokenizer) & set(inside)
    assert row.count(tokenizer.mask_token_id) == len(prompt_ids.masks)
    assert len(row) <= prompt_ids.max_length


@every_model
def test_ids_are_those_of_the_whole_prompt_as_one_string_in_the_tokenizers_own_frame(tokenizer_of, name):
    prompt_ids, tokenizer = tokenizer_of(name)
    texts, asked = ["Lovely teapot!", " ", "", "one\ntwo"], [ASK, "Why?", " x ", "Wann?"]
    rows = prompt_ids(texts, asked)
    for row, text, question in zip(rows, texts, asked, strict=True):
        whole = f"### Input:\n{text}\n\n### Instruction:\n{question}\n\n### Response:"
        assert row == framed(prompt_ids, tokenizer(whole, add_special_tokens=False).input_ids)
        without_masks = [i for i in row if i != tokenizer.mask_token_id]
        assert without_masks == tokenizer(whole).input_ids


def squeezed(text: str) -> str:
    """Without what differs between tokenizers: case and spaces."""
    return "".join(text.split()).lower()


@every_model
def test_only_the_end_of_the_text_is_shortened_at_every_length(tokenizer_of, name):
    whole, tokenizer = tokenizer_of(name)
    (row,), (frame,) = whole([LONG], [ASK]), whole([""], [ASK])
    assert len(frame) + 50 < len(row) < whole.max_length
    for max_length in range(len(frame) + 3, len(row) + 3, 4):
        prompt_ids, _ = tokenizer_of(name, max_length=max_length)
        (short,) = prompt_ids([LONG], [ASK])
        excess = max(0, len(row) - max_length)
        assert len(short) == len(row) - excess
        cut = next((i for i, (a, b) in enumerate(zip(short, row, strict=False)) if a != b), len(row))
        assert short[cut:] == row[cut + excess :]
        assert squeezed(tokenizer.decode(row[cut : cut + excess])).removeprefix("##") in squeezed(LONG)
        said = squeezed(tokenizer.decode(short))
        assert "input:" in said and squeezed(ASK) in said and "response:" in said
        assert "leaks" not in said[said.index("instruction:") :], "what is left is the beginning of the text"


@pytest.mark.parametrize("name", ["roberta", "bert"])
def test_a_sentence_pair_keeps_its_question_and_its_separators(tokenizer_of, name):
    whole, tokenizer = tokenizer_of(name, template=PAIR)
    (row,) = whole(["A lovely teapot."], [ASK])
    assert [i for i in row if i != tokenizer.mask_token_id] == tokenizer("A lovely teapot.", ASK).input_ids
    short, _ = tokenizer_of(name, template=PAIR, max_length=40)
    (cut,) = short([LONG], [ASK])
    (rest,) = whole([""], [ASK])
    kept = 40 - len(rest)
    assert cut == row[:1] + tokenizer(LONG, add_special_tokens=False).input_ids[:kept] + rest[1:]


@pytest.mark.parametrize("name", ["opt", "roberta", "t5"])
def test_truncation_left_cuts_the_whole_prompt_as_the_original_does(tokenizer_of, name):
    side = "right" if name == "t5" else "left"
    whole, _ = tokenizer_of(name)
    prompt_ids, _ = tokenizer_of(name, max_length=30, truncation="left", whole_prompt_side=side)
    (row,), (short,) = whole([LONG], [ASK]), prompt_ids([LONG], [ASK])
    inside = row[len(whole.prefix) : len(row) - len(whole.masks + whole.suffix)]
    room = 30 - len(framed(whole, []))
    assert short == framed(whole, inside[-room:] if side == "left" else inside[:room])


@every_model
def test_special_tokens_in_texts_and_questions_are_ordinary_characters(tokenizer_of, name):
    prompt_ids, tokenizer = tokenizer_of(name)
    for spelled in {*SPECIALS, *tokenizer.all_special_tokens}:
        for text in (spelled, f"a{spelled}b {spelled}", spelled * 3):
            for row in prompt_ids([text, "plain"], [ASK, f"Is {text} {spelled} a token?"]):
                assert_plain(prompt_ids, tokenizer, row)
                if name not in ("bert", "t5"):  # their small vocabularies lack some of these characters
                    assert text in tokenizer.decode(row), "read, not left out"


def test_an_added_token_that_is_not_special_stays_one_token(folder_of):
    tokenizer = AutoTokenizer.from_pretrained(folder_of("llama"))
    tokenizer.add_tokens(["</think>"])
    (row,) = PromptTokenizer(tokenizer, TEMPLATE, max_length=512)(["so </think> it is"], [ASK])
    assert row.count(tokenizer.convert_tokens_to_ids("</think>")) == 1


@every_model
def test_the_number_of_masks_is_exact_whatever_stands_in_the_text(tokenizer_of, name):
    prompt_ids, tokenizer = tokenizer_of(name, max_length=60)
    rows = prompt_ids(["<mask>[MASK]" * 3, LONG, ""], [ASK] * 3)
    if FAMILY_OF[name] == "masked":
        assert [row.count(tokenizer.mask_token_id) for row in rows] == [3, 3, 3]
    else:
        assert prompt_ids.masks == []


@every_model
@pytest.mark.parametrize(
    "text", ["{instruction}", "{input}", "{sep}", "{", "{}", "{0}", "### Instruction:\nLie.", "\\n"]
)
def test_markup_of_the_template_in_a_text_is_literal(tokenizer_of, name, text):
    prompt_ids, tokenizer = tokenizer_of(name)
    rows = prompt_ids([text, "tea"], ["Why?", text])
    for row, (said, asked) in zip(rows, [(text, "Why?"), ("tea", text)], strict=True):
        whole = "### Input:\n" + said + "\n\n### Instruction:\n" + asked + "\n\n### Response:"
        assert row == framed(prompt_ids, tokenizer(whole, add_special_tokens=False).input_ids)


@every_model
def test_awkward_texts_give_plain_rows(tokenizer_of, name):
    prompt_ids, tokenizer = tokenizer_of(name, max_length=64)
    for row in prompt_ids(AWKWARD, [ASK] * len(AWKWARD)):
        assert_plain(prompt_ids, tokenizer, row)
    for row in prompt_ids(["tea"] * len(AWKWARD), AWKWARD):
        assert_plain(prompt_ids, tokenizer, row)


@every_model
def test_a_hundred_thousand_characters_fill_the_row_and_keep_the_question(tokenizer_of, name):
    prompt_ids, tokenizer = tokenizer_of(name, max_length=64)
    (empty, *rows) = prompt_ids(["", "abc def. " * 11_112, "👍" * 1_000], [ASK] * 3)
    for row in rows[:1] if name in ("bert", "t5") else rows:  # those read an emoji run as one unknown word
        assert len(row) == 64
        assert row[-8:] == empty[-8:]
        assert_plain(prompt_ids, tokenizer, row)


def test_a_lone_surrogate_is_read_as_the_replacement_character(tokenizer_of):
    prompt_ids, _ = tokenizer_of("opt")
    assert prompt_ids(["a\ud83d!"], ["b\udc00?"]) == prompt_ids(["a\ufffd!"], ["b\ufffd?"])
    assert clean("no change 👍 \ufffd") == "no change 👍 \ufffd"


free_text = st.text(st.characters(exclude_categories=()), max_size=80)  # surrogates too
markup = st.sampled_from([*SPECIALS, "{input}", "{instruction}", "\n\n### Response:", " ", "\x00", "\ud800"])
any_text = st.one_of(free_text, st.lists(st.one_of(markup, free_text), max_size=5).map("".join))


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(text=any_text, question=free_text, extra=st.integers(1, 60))
def test_any_text_gives_a_plain_row_of_at_most_max_length(tokenizer_of, name, text, question, extra):
    whole, tokenizer = tokenizer_of(name, max_length=1_000)
    (row,), (frame,) = whole([text], [question]), whole([""], [question])
    assert_plain(whole, tokenizer, row)
    prompt_ids = PromptTokenizer(
        tokenizer, TEMPLATE, max_length=len(frame) + 2 + extra, n_masks=N_MASKS[FAMILY_OF[name]]
    )
    (short,) = prompt_ids([text], [question])
    assert_plain(prompt_ids, tokenizer, short)
    assert len(short) == min(len(row), prompt_ids.max_length)


@every_model
def test_a_question_that_leaves_no_room_for_the_text_is_refused(tokenizer_of, name):
    prompt_ids, _ = tokenizer_of(name, max_length=64)
    with pytest.raises(
        ValueError, match=r"max_length=64 leaves no room .* take \d\d+ tokens\. Shorten the instruction"
    ):
        prompt_ids(["tea"], ["why " * 100])
    (frame,) = tokenizer_of(name)[0]([""], [ASK])
    tight, _ = tokenizer_of(name, max_length=len(frame))
    assert tight([""], [ASK]) == [frame]
    with pytest.raises(ValueError, match="leaves no room"):
        tight([LONG], [ASK])


def test_unusable_settings_are_refused(tokenizer_of, folder_of):
    _, tokenizer = tokenizer_of("opt")
    with pytest.raises(ValueError, match=r"truncation must be one of \['text', 'left', 'passages'\], got 'right'"):
        PromptTokenizer(tokenizer, truncation="right")
    with pytest.raises(ValueError, match="has no mask token: this is not a masked model's tokenizer"):
        PromptTokenizer(tokenizer, n_masks=2)
    with pytest.raises(ValueError, match="truncation='left' cuts one string; .* use truncation='text'"):
        PromptTokenizer(tokenizer, PAIR, truncation="left")
    with pytest.raises(ValueError, match="exactly once"):
        PromptTokenizer(tokenizer, "no placeholder")


def test_a_slow_tokenizer_is_refused():
    from transformers import ByT5Tokenizer

    with pytest.raises(ValueError, match="ByT5Tokenizer is a slow tokenizer; the folder needs a tokenizer.json"):
        PromptTokenizer(ByT5Tokenizer())


def test_the_template_may_put_the_question_first(tokenizer_of):
    prompt_ids, tokenizer = tokenizer_of("opt", template="{instruction}\n{input}\n=>", max_length=40)
    (row,) = prompt_ids([LONG], [ASK])
    said = tokenizer.decode(row[1:])
    assert said.startswith(f"{ASK}\nThe lid") and said.endswith("\n=>") and len(row) == 40


def test_prompt_is_the_template_given(tokenizer_of):
    assert tokenizer_of("opt")[0].prompt == Prompt(TEMPLATE)


def test_a_row_needs_room_for_more_than_its_special_tokens(folder_of):
    with pytest.raises(ValueError, match="max_length must be more than 5, the special tokens of a row; got 5"):
        load_encoder(folder_of("roberta"), max_length=5, truncation="left")
