"""Config, tokenizer and weights from a folder or the hub: fetched safely, with failures in our words."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from os.path import abspath
from pathlib import Path
from pickle import UnpicklingError
from threading import RLock
from typing import Any

from huggingface_hub import constants as hub_constants
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from inbedder_utils.checks import first_line, integer
from inbedder_utils.registry import REGISTRY

MOST_BLOCKS = 1_000
"""Blocks that a model may have: of a damaged config, more than fit into memory would be built."""
_ONE_AT_A_TIME = RLock()
if hasattr(os, "register_at_fork"):  # a child would wait for a thread that it does not have
    os.register_at_fork(
        before=_ONE_AT_A_TIME.acquire, after_in_parent=_ONE_AT_A_TIME.release, after_in_child=_ONE_AT_A_TIME.release
    )
_KEEP_TENSORS = (
    'python -c "import sys, torch; path = sys.argv[1]; '
    "weights = torch.load(path, map_location='cpu', weights_only=False); "
    'torch.save({k: v for k, v in weights.items() if torch.is_tensor(v)}, path)" FILE'
)


def fetch(loader: Callable, source: str, **kwargs: Any) -> Any:
    """Call a `from_pretrained`: what goes wrong is an OSError in our words; code beside the weights is never run."""
    _check_shards(Path(source))
    try:
        return loader(source, trust_remote_code=False, **kwargs)  # if it is left out, transformers asks on the terminal
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # files that somebody else wrote can make it fail in any way: Rust's panics, too
        raise OSError(_failure(source, error, kwargs.get("local_files_only", False))) from error


def _check_shards(folder: Path) -> None:
    """Refuse lists of weight files that lead out of their folder."""
    for index in folder.glob("*.index.json"):
        try:
            files = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
            outside = [file for file in files if not Path(abspath(folder / file)).is_relative_to(abspath(folder))]
        except Exception as error:
            raise OSError(f"{index} is not a list of weight files ({first_line(error)}): copy it again") from error
        if outside:
            raise OSError(f"{index} names {outside[0]!r}, which is not in its folder: that is never opened")


def read_tokenizer(source: str, **kwargs: Any) -> PreTrainedTokenizerBase:
    """Load a tokenizer, and let it read, for one out of a damaged file may fail only then; errors are OSErrors."""

    def load(source: str, **kwargs: Any) -> PreTrainedTokenizerBase:
        tokenizer = AutoTokenizer.from_pretrained(source, **kwargs)
        tokenizer.decode(tokenizer.all_special_ids + tokenizer("a \U0010ffff").input_ids)
        return tokenizer

    tokenizer = fetch(load, source, **kwargs)
    if len(tokenizer.get_vocab()) - len(tokenizer.get_added_vocab()) < 2:  # made up, for want of a file
        raise OSError(f"{source} has no tokenizer: expected a tokenizer.json beside config.json")
    return tokenizer


def _failure(source: str, error: BaseException, local_files_only: bool) -> str:
    if isinstance(error, UnpicklingError):
        return (
            f"the weights of {source} are damaged or not plain tensors, and opening them could run any code: refused. "
            f"Ask for them as safetensors; or, only if you trust whoever made them, keep just the tensors of each .bin "
            f"file with: {_KEEP_TENSORS}"
        )
    if "trust_remote_code" in str(error):
        fix = "choose a checkpoint of an architecture that transformers has"
        return f"{source} can be loaded only with code that comes with it, which is never run here: {fix}"
    if Path(source).is_dir():
        return f"the checkpoint in {source} can't be read, is it complete? {first_line(error)}"
    unknown = "" if source in REGISTRY else " is not a known checkpoint or folder, and"
    close = [] if source in REGISTRY else get_close_matches(source, REGISTRY, n=2, cutoff=0.5)
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    looked = " With local_files_only=True only what was downloaded before is found." if local_files_only else ""
    return (
        f"{source!r}{unknown} could not be loaded from the hub ({first_line(error)}).{hint}{looked} "
        f"Without a network, load a bundled checkpoint ('tiny') or a folder; "
        f"for a model with access on request, log in first with 'hf auth login'."
    )


def check_config(config: Any, family: str) -> None:
    """Refuse sizes that no model has, before anything is built of them: a TypeError or ValueError names the entry."""
    for part in (config, config.get_text_config()):
        for name in ("num_hidden_layers", "num_decoder_layers", "encoder_layers", "decoder_layers"):
            if getattr(part, name, None) is not None:
                integer(f"{name} in config.json", getattr(part, name), at_least=1, at_most=MOST_BLOCKS)
    if not hasattr(config.get_text_config(), "num_hidden_layers"):
        raise ValueError(f"config.json names no num_hidden_layers: {config.model_type} models aren't supported")
    if family == "seq2seq":
        last = config.get_text_config().vocab_size - 1
        integer(
            "decoder_start_token_id in config.json",
            getattr(config, "decoder_start_token_id", None),
            at_least=0,
            at_most=last,
        )


@contextmanager
def offline(only: bool) -> Iterator[None]:
    """Keep the hub's client off the network: `local_files_only` alone leaves it some requests.

    Threads that load wait for each other, since the switch is for all of them.
    """
    with _ONE_AT_A_TIME:
        before = hub_constants.HF_HUB_OFFLINE
        hub_constants.HF_HUB_OFFLINE = before or only
        try:
            yield
        finally:
            hub_constants.HF_HUB_OFFLINE = before


@contextmanager
def quiet(local: bool) -> Iterator[None]:
    """Silence transformers' loading report; its progress bars too, unless something may be downloading."""
    level, hides_bars = transformers_logging.get_verbosity(), local and transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    if hides_bars:
        transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if hides_bars:
            transformers_logging.enable_progress_bar()
