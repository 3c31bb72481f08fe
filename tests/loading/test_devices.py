"""Where and in which precision a model runs when nobody says so; what is refused is in `test_load.py`."""

import pytest
import torch

from inbedder_utils.inference.devices import chosen_device
from inbedder_utils.loading.devices import check_attention, chosen_dtype, training_device


def test_the_best_device_there_is_is_chosen():
    best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert chosen_device(None) == torch.device(best)
    assert chosen_device("cpu") == chosen_device(torch.device("cpu")) == training_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("device", "dtype"), [("cuda", torch.bfloat16), ("cpu", torch.float32), ("mps", torch.float32)]
)
def test_the_type_depends_on_the_device_unless_it_is_named(device, dtype):
    assert chosen_dtype(None, torch.device(device)) == dtype
    for given in ("float16", "torch.float16", torch.float16):
        assert chosen_dtype(given, torch.device(device)) == torch.float16


@pytest.mark.parametrize("name", [None, "eager", "sdpa"])
def test_attention_that_torch_has_runs_everywhere(name):
    for family in ("causal", "masked", "seq2seq"):
        check_attention(name, family, torch.device("cpu"), torch.float32)
