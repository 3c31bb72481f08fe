"""What a checkpoint's settings are: registered, written beside the weights, or inferred from its config."""

import json
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from transformers import AutoConfig
from transformers.models.auto import modeling_auto
from transformers.utils import cached_file

from inbedder_utils.checks import as_path, integer, one_of, short, string
from inbedder_utils.inference.read_once import first_position
from inbedder_utils.loading.hub import fetch, offline
from inbedder_utils.prompts import TEXT_ONLY
from inbedder_utils.registry import REGISTRY, SETTINGS_FILE, Checkpoint

LEAST_ALIKE = 0.8
"""Likeness to a known name from which another without a slash is taken for a slip, and not looked up on the hub."""


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
    short_names = [known for known in REGISTRY if "/" not in known]
    if "/" not in name and (close := get_close_matches(name.lower(), short_names, n=1, cutoff=LEAST_ALIKE)):
        raise OSError(f"{name!r} is not a known checkpoint or folder. Did you mean {close[0]!r}?")
    hub = {"revision": revision, "local_files_only": local_files_only}
    with offline(local_files_only):
        config = fetch(AutoConfig.from_pretrained, name, **hub)
        modules = cached_file(name, "modules.json", _raise_exceptions_for_missing_entries=False, **hub)
    return Checkpoint(name, **_inferred(config, family, modules is not None)), name


def _folder_checkpoint(folder: Path, family: str | None) -> dict[str, Any]:
    is_sentence = (folder / "modules.json").is_file()
    if not (folder / "config.json").is_file() and not is_sentence:
        files = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
        expected = "config.json, model.safetensors and tokenizer.json"
        raise FileNotFoundError(f"{folder} holds no model: expected {expected}, found {files}")
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
    fix = "InBedder needs a causal, masked or seq2seq one; pass family= if it is one of them"
    raise ValueError(f"no language model is known for model type {config.model_type!r}: {fix}")


def folder_settings(folder: Path) -> dict[str, Any]:
    """The settings that training left beside the weights; empty if there are none.

    A ValueError says that they are not a readable JSON object or name an unknown setting.
    """
    path = as_path("folder", folder) / SETTINGS_FILE
    if not path.is_file():
        return {}
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON ({error}): restore it, or remove it to infer settings") from error
    if not isinstance(settings, dict):
        raise ValueError(f'{path} must hold an object such as {{"family": "causal"}}, got {short(settings)}')
    accepted = sorted(set(Checkpoint.__dataclass_fields__) - {"name", "revision"})
    return {one_of(f"setting in {path}", name, accepted): value for name, value in settings.items()}


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
            room = f"the model has {config.max_position_embeddings} positions"
            raise ValueError(f"max_new_tokens={checkpoint.max_new_tokens} leaves no room for a prompt: {room}")
    if asked is not None:
        integer("max_length", asked, at_least=1, at_most=limit, fix="that is what the model's positions allow")
    return checkpoint.with_settings(max_length=min(checkpoint.max_length, limit))
