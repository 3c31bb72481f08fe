"""What the check of an exercise says; that the notebook goes on in any case."""

from inbedder_utils.exercises import check


def test_right_answer(capsys):
    with check(3):
        assert 1 + 2 == 3, "three was expected"
    assert capsys.readouterr().out == "Right.\n"


def test_wrong_answer_says_what_is_off(capsys):
    # Raised rather than asserted: pytest adds to the messages of assertions in its tests.
    with check(4):
        raise AssertionError("three was expected, yours is 4")
    with check(4):
        raise AssertionError
    told = "Not yet: three was expected, yours is 4\nNot yet: the check did not pass.\n"
    assert capsys.readouterr().out == told


def test_answer_of_another_type(capsys):
    with check("text"):
        assert "text" + 1 == 3, "three was expected"
    assert capsys.readouterr().out.startswith("Not yet: the check ended in TypeError: ")


def test_open_gap_is_never_right_and_never_called_wrong(capsys):
    with check(..., 3):
        assert True
    with check(...):
        assert len(...) == 3, "three was expected"
    assert capsys.readouterr().out == "Not filled in yet: replace the ... above, run that cell, then this one.\n" * 2
