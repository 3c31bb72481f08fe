"""Batches of like texts."""

from random import Random

import pytest

from inbedder_utils.training.trainer import AlikeSampler

SIZE = 4


def batches_of(examples, seed=0, epoch=0):
    order = list(AlikeSampler(examples, SIZE, seed, lambda: epoch))
    return [order[i : i + SIZE] for i in range(0, len(order), SIZE)]


@pytest.fixture
def examples():
    rng = Random(0)
    return [{"type": rng.choice("abc"), "length": rng.randint(5, 80)} for _ in range(150)]


@pytest.mark.parametrize("n", [1, SIZE, 150])
def test_every_example_is_drawn_once(examples, n):
    assert sorted(i for batch in batches_of(examples[:n]) for i in batch) == list(range(n))


def test_a_batch_is_of_one_type_and_of_like_lengths(examples):
    pure = [batch for batch in batches_of(examples) if len({examples[i]["type"] for i in batch}) == 1]
    assert len(pure) >= 150 // SIZE - 3  # at most one batch lies on each border
    spread = [max(examples[i]["length"] for i in b) - min(examples[i]["length"] for i in b) for b in pure]
    assert sum(spread) / len(spread) < 10


def test_examples_without_a_type_are_batched_by_length(examples):
    bare = [{"length": example["length"]} for example in examples]
    spread = [max(bare[i]["length"] for i in b) - min(bare[i]["length"] for i in b) for b in batches_of(bare)]
    assert sum(spread) / len(spread) < 5


def test_seed_and_epoch_set_the_order(examples):
    assert batches_of(examples, 1, 2) == batches_of(examples, 1, 2)
    assert len({str(batches_of(examples, *which)) for which in [(0, 0), (0, 1), (1, 0)]}) == 3


def test_the_short_batch_comes_last(examples):
    assert [len(batch) for batch in batches_of(examples)] == [SIZE] * 37 + [2]
