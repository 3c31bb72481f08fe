"""Templates: the text and the question land where the template says, whatever is in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbedder_utils.prompts import INBEDDER, LLAMA_CHAT, PAIR, TEXT_ONLY, Prompt

BUILT_IN = pytest.mark.parametrize("template", [INBEDDER, LLAMA_CHAT, PAIR, TEXT_ONLY])


def test_the_papers_template_is_filled_word_by_word():
    (filled,) = Prompt(INBEDDER).fill("I like tea.", "What?").sides
    assert filled == "### Input:\nI like tea.\n\n### Instruction:\nWhat?\n\n### Response:"


@BUILT_IN
@given(text=st.text(), question=st.text())
def test_the_text_stands_where_it_is_said_to(template, text, question):
    filled = Prompt(template).fill(text, question)
    side = filled.sides[filled.side]
    assert side[filled.start : filled.stop] == text
    whole = "".join(filled.sides)
    assert len(whole) == len(template.replace("{sep}", "")) - len("{input}") + len(text) + (
        len(question) - len("{instruction}") if "{instruction}" in template else 0
    )


@pytest.mark.parametrize("text", ["{instruction}", "{input}", "{sep}", "{input}{instruction}", "{0}", "{", "}}"])
def test_placeholders_in_a_text_or_question_are_left_as_they_are(text):
    filled = Prompt("<{input}|{instruction}>").fill(text, text)
    assert filled.sides == (f"<{text}|{text}>",)


def test_other_braces_in_a_template_are_literal():
    assert Prompt('{"a": {}} {input}{x}').fill("tea", "?").sides == ('{"a": {}} tea{x}',)


def test_the_question_may_come_first():
    filled = Prompt("{instruction}: {input}.").fill("tea", "What")
    assert filled.sides == ("What: tea.",) and (filled.start, filled.stop) == (6, 9)


def test_a_pair_has_two_sides_and_the_text_may_be_on_either():
    assert Prompt(PAIR).is_pair and not Prompt(INBEDDER).is_pair
    assert Prompt("{input}{sep}{instruction}").fill("tea", "What?").sides == ("tea", "What?")
    turned = Prompt("Q: {instruction}{sep}A: {input}").fill("tea", "What?")
    assert turned.sides == ("Q: What?", "A: tea") and turned.side == 1
    assert turned.sides[1][turned.start : turned.stop] == "tea"


def test_a_template_knows_whether_it_asks():
    assert Prompt(INBEDDER).asks and not Prompt(TEXT_ONLY).asks


@pytest.mark.parametrize("template", ["", "no placeholder", "{instruction}", "{input} {input}", "{input}{sep}{sep}"])
def test_a_template_without_its_placeholder_or_with_two_is_refused(template):
    with pytest.raises(ValueError, match="prompt must hold '{input}' exactly once") as error:
        Prompt(template)
    assert repr(template) in str(error.value) and "prompts.INBEDDER" in str(error.value)


def test_two_questions_in_a_template_are_refused():
    with pytest.raises(ValueError, match="'{instruction}' and '{sep}' at most once"):
        Prompt("{input}{instruction}{instruction}")


def test_a_template_that_is_no_string_is_refused():
    with pytest.raises(TypeError, match="prompt must be a string holding '{input}', got None"):
        Prompt(None)
