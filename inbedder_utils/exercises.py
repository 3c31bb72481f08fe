"""Exercises: a gap to fill in one cell of a notebook, and a check of it in the next, which never stops the notebook."""

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["check"]


@contextmanager
def check(*answers: object) -> Iterator[None]:
    """Run the assertions of the block, and print whether the reader's answers are right or what is off.

    An answer that is still `...` has not been filled in, whatever the block says. Nothing is raised, so that a notebook
    with open exercises runs to its end:

        with check(score):
            assert score <= 1, "a cosine is at most 1"
    """
    try:
        yield
        verdict = "Right."
    except AssertionError as error:
        verdict = f"Not yet: {str(error) or 'the check did not pass.'}"
    except Exception as error:  # an answer of another type than the check reckons with
        verdict = f"Not yet: the check ended in {type(error).__name__}: {error}"
    if any(answer is ... for answer in answers):
        verdict = "Not filled in yet: replace the ... above, run that cell, then this one."
    print(verdict)  # noqa: T201
