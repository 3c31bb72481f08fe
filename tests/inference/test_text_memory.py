"""Keys and values of texts come back as they were kept, up to a limit."""

import torch
from torch import nn

from inbedder_utils.inference.text_memory import TextMemory

ONE, TWO, DEPTH = [5, 6, 7], [8, 9], 2


def states_of_a_row(modules: list[nn.Module], n_tokens: int) -> dict:
    generator = torch.Generator().manual_seed(0)
    return {module: tuple(torch.randn(1, 4, n_tokens, 8, generator=generator) for _ in range(2)) for module in modules}


def test_texts_come_back_behind_one_another_in_the_order_asked_for():
    modules = [nn.Identity(), nn.Identity()]
    row, memory = states_of_a_row(modules, 6), TextMemory(10**6)
    memory.keep([(ONE, slice(0, 3)), (TWO, slice(4, 6))], DEPTH, row)
    assert memory.has(ONE, DEPTH) and memory.has(TWO, DEPTH) and not memory.has(ONE, DEPTH + 1)
    kept = memory.states([TWO, ONE], DEPTH)
    for module in modules:
        for found, whole in zip(kept[module], row[module], strict=True):
            assert torch.equal(found, torch.cat([whole[:, :, 4:6], whole[:, :, :3]], dim=2))


def test_what_is_kept_does_not_hold_on_to_the_row_it_came_from():
    module = nn.Identity()
    row, memory = states_of_a_row([module], 1000), TextMemory(10**6)
    memory.keep([(ONE, slice(0, 3))], DEPTH, row)
    (key, _) = memory.states([ONE], DEPTH)[module]
    assert memory.n_bytes == 2 * key.nbytes == 2 * 4 * 3 * 8 * 4


def test_nothing_beyond_the_limit_is_kept_and_no_text_twice():
    module = nn.Identity()
    row = states_of_a_row([module], 5)
    bytes_of_one = 2 * 4 * 3 * 8 * 4
    memory = TextMemory(bytes_of_one)
    memory.keep([(ONE, slice(0, 3)), (ONE, slice(0, 3)), (TWO, slice(3, 5))], DEPTH, row)
    assert memory.n_bytes == bytes_of_one and memory.is_full
    assert memory.has(ONE, DEPTH) and not memory.has(TWO, DEPTH)
    assert TextMemory(1).states([], DEPTH) == {}
