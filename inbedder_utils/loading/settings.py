"""Where a checkpoint comes from: a registered name, a folder or the hub, and what its config tells about it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from os.path import abspath
from pathlib import Path
from pickle import UnpicklingError
from threading import Lock
from typing import Any

import transformers
from huggingface_hub import constants as hub_constants
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase
from transformers.models.auto import modeling_auto
from transformers.utils import logging as transformers_logging

from inbedder_utils.checks import as_path, first_line, integer, short, string
from inbedder_utils.inference.read_once import first_position
from inbedder_utils.prompts import TEXT_ONLY
from inbedder_utils.registry import REGISTRY, Checkpoint, folder_settings

MOST_BLOCKS = 1_000
"""Blocks that a model may have: of a damaged config, more than fit into memory would be built."""
_ONE_AT_A_TIME = Lock()
_KEEP_TENSORS = (
    'python -c "import sys, torch; path = sys.argv[1]; '
    "weights = torch.load(path, map_location='cpu', weights_only=False); "
    'torch.save({k: v for k, v in weights.items() if torch.is_tensor(v)}, path)" FILE'
)


def find(
    name_or_path: str | Path, revision: str | None, local_files_only: bool, family: str | None
) -> tuple[Checkpoint, str]:
    """The checkpoint's settings, and the folder or hub id to load it from."""
    if not isinstance(name_or_path, str | Path):
        raise TypeError(f"name_or_path must be a name, a hub id or a folder, got {short(name_or_path)}")
    if revision is not None:
        string("revision", revision)
    name = str(name_or_path)
    if not name.strip():
        raise ValueError(f"name_or_path is empty; known names: {', '.join(REGISTRY)}")
    if name in REGISTRY:
        checkpoint = REGISTRY[name].with_settings(family=family)
        return checkpoint, str(checkpoint.folder or name)
    folder = as_path("name_or_path", name)
    if folder.is_dir():
        return Checkpoint(name, **_folder_checkpoint(folder, family)), str(folder)
    if folder.exists() or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise FileNotFoundError(f"{name!r} is not a folder with a checkpoint; known names: {', '.join(REGISTRY)}")
    hub = {"revision": revision, "local_files_only": local_files_only}
    with offline(local_files_only):
        config = fetch(AutoConfig.from_pretrained, name, **hub)
        is_sentence = transformers.utils.cached_file(
            name, "modules.json", _raise_exceptions_for_missing_entries=False, **hub
        )
    return Checkpoint(name, **_inferred(config, family, bool(is_sentence))), name


def _folder_checkpoint(folder: Path, family: str | None) -> dict[str, Any]:
    is_sentence = (folder / "modules.json").is_file()
    if not (folder / "config.json").is_file() and not is_sentence:
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
        raise FileNotFoundError(
            f"{folder} holds no model: expected config.json, model.safetensors and tokenizer.json, found {found}"
        )
    settings = folder_settings(folder)
    family = family or settings.get("family")
    config = None if family or is_sentence else fetch(AutoConfig.from_pretrained, str(folder))
    return _inferred(config, family, is_sentence) | settings | ({"family": family} if family else {})


def _inferred(config: Any, family: str | None, is_sentence: bool) -> dict[str, Any]:
    """Settings of a checkpoint that nobody registered, from its config."""
    if family == "sentence" or (is_sentence and not family):
        return {"family": "sentence", "prompt": TEXT_ONLY}
    if family:
        return {"family": family}
    architecture = (config.architectures or [""])[0]
    causal = config.model_type in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    masked = config.model_type in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    if config.is_encoder_decoder:
        return {"family": "seq2seq"}
    if masked and not architecture.endswith(("CausalLM", "LMHeadModel")):
        return {"family": "masked"}
    if causal:
        return {"family": "causal"}
    raise ValueError(
        f"no language model is known for model type {config.model_type!r}: "
        f"InBedder needs a causal, masked or seq2seq one; pass family= if it is one of them"
    )


def fetch(loader: Callable, source: str, **kwargs: Any) -> Any:
    """Call a `from_pretrained`, and say in our words what went wrong; code that comes with a checkpoint is never run.

    Raises:
        OSError: whatever it was.
    """
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
            raise OSError(f"{index} is no list of weight files ({first_line(error)}): copy it again") from error
        if outside:
            raise OSError(f"{index} names {outside[0]!r}, which is not in its folder: that is never opened")


def read_tokenizer(source: str, **kwargs: Any) -> PreTrainedTokenizerBase:
    """Load a tokenizer that can read; one out of a damaged file may fail only then.

    Raises:
        OSError: if it can't be loaded, can't read, or is not there.
    """

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
        return (
            f"{source} can be loaded only with code that comes with it, which is never run here: "
            f"choose a checkpoint of an architecture that transformers has"
        )
    if Path(source).is_dir():
        return f"the checkpoint in {source} can't be read, is it complete? {first_line(error)}"
    unknown = "" if source in REGISTRY else " is no known checkpoint or folder, and"
    close = [] if source in REGISTRY else get_close_matches(source, REGISTRY, n=2, cutoff=0.5)
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    looked = " With local_files_only=True only what was downloaded before is found." if local_files_only else ""
    return (
        f"{source!r}{unknown} could not be loaded from the hub ({first_line(error)}).{hint}{looked} "
        f"Without a network, load a bundled checkpoint ('tiny') or a folder; "
        f"for a model with access on request, log in first with 'hf auth login'."
    )


def depth(config: Any, pooling: str) -> int:
    """How many blocks the states of a pooling come from."""
    answer_depth = getattr(config, "num_decoder_layers", None) or getattr(config, "decoder_layers", None)
    return answer_depth if answer_depth and pooling != "avg_ppt" else config.get_text_config().num_hidden_layers


def fitting_length(checkpoint: Checkpoint, config: Any, asked: int | None) -> Checkpoint:
    """Keep prompt and answer within the model's position table, if it has one."""
    limit = None if checkpoint.family == "seq2seq" else getattr(config, "max_position_embeddings", None)
    if limit is None:
        return checkpoint
    limit -= first_position(config)
    if checkpoint.family == "causal":
        limit -= checkpoint.max_new_tokens
        if limit < 1:
            raise ValueError(
                f"max_new_tokens={checkpoint.max_new_tokens} leaves no room for a prompt: "
                f"the model has {config.max_position_embeddings} positions"
            )
    if asked is not None:
        integer("max_length", asked, at_least=1, at_most=limit, fix="that is what the model's positions allow")
    return checkpoint.with_settings(max_length=min(checkpoint.max_length, limit))


def check_config(config: Any, family: str) -> None:
    """Refuse sizes that no model has, before anything is built of them.

    Raises:
        TypeError, ValueError: naming the entry.
    """
    for part in (config, config.get_text_config()):
        for name in ("num_hidden_layers", "num_decoder_layers", "encoder_layers", "decoder_layers"):
            if getattr(part, name, None) is not None:
                integer(f"{name} in config.json", getattr(part, name), at_least=1, at_most=MOST_BLOCKS)
    if family == "seq2seq":
        last = config.get_text_config().vocab_size - 1
        integer("decoder_start_token_id in config.json", config.decoder_start_token_id, at_least=0, at_most=last)


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
    level, had_bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    if local:
        transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if local and had_bars:
            transformers_logging.enable_progress_bar()
