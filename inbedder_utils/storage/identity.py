"""Tell models apart by their weights, and embedders by all that decides about their vectors."""

import hashlib
import json
import re
from dataclasses import asdict, is_dataclass
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn

VALUES_PER_TENSOR = 1024
"""Most numbers that are read of each parameter or buffer."""


def fingerprint(lm: nn.Module) -> str:
    """Hash the weights of a model: for each parameter and buffer its name, its shape, and evenly spaced values.

    The dtype is no part of it: float32 weights and a bfloat16 copy differ only by what rounding does to the sample.
    Not noticed are a change to none of the values that are read (an edit of a few rows, say; a training step changes
    nearly all), parts of a state that are not tensors, and what isn't weights: settings, tokenizer, code.

    The module may be on any device or several; nothing but the sample is copied. The result is 16 hexadecimal digits,
    the same on every machine.
    """
    tensors = {name: value for name, value in lm.state_dict().items() if isinstance(value, Tensor)}
    names_and_shapes = repr([(name, tuple(tensor.shape)) for name, tensor in tensors.items()]).encode()
    samples = [_sample(tensor) for tensor in tensors.values()]
    sample = torch.cat([sample.to(samples[0].device) for sample in samples]) if samples else torch.empty(0)
    return _digits(names_and_shapes + sample.cpu().numpy().astype("<f4").tobytes())


def identity(embedder: Any) -> dict[str, Any]:
    """Everything that decides about an embedder's vectors, for JSON.

    These are an `Encoder`'s or `SentenceEmbedder`'s settings, truncation, re-encoder with the answers that were taught,
    tokenizer, weights, dtypes and architecture, with all of its config; of a module the last three; and of any other
    object its repr, which has to do. A folder counts by its name, however its path is spelled and wherever it is.
    """
    checkpoint, re_encoder = (getattr(embedder, name, None) for name in ("checkpoint", "re_encoder"))
    model = embedder if isinstance(embedder, nn.Module) else getattr(embedder, "lm", getattr(embedder, "model", None))
    is_ours = is_dataclass(checkpoint)
    settings = {
        "checkpoint": asdict(checkpoint) | {"name": _name(checkpoint)} if is_ours else repr(checkpoint),
        "truncation": getattr(getattr(embedder, "prompt_tokenizer", None), "truncation", None),
        "re_encoder": identity(re_encoder) if re_encoder is not None else None,
    }
    if not isinstance(model, nn.Module):
        return settings | {"repr": repr(embedder)}
    if re_encoder is not None and (phrases := getattr(getattr(embedder, "reader", None), "phrases", None)):
        settings["answers"] = _digits(repr(phrases.known.tolist()).encode())
    dtypes = sorted({str(weights.dtype).removeprefix("torch.") for weights in model.parameters()})
    settings |= {"weights": fingerprint(model), "dtypes": dtypes, "architecture": _architecture(model)}
    tokenizer = getattr(embedder, "tokenizer", getattr(model, "tokenizer", None))
    return settings | {"tokenizer": tokenizer_digits(tokenizer) if tokenizer is not None else None}


def lasting_identity(encoder: Any) -> dict[str, Any]:
    """What an `Encoder`'s vectors can be kept under; a ValueError if its re-encoder can't be told from others."""
    known, re_encoder = identity(encoder), encoder.re_encoder
    if "repr" in (known["re_encoder"] or {}) and type(re_encoder).__repr__ is object.__repr__:
        what = f"re_encoder {re_encoder!r} can't be told from others, so that its vectors can't be kept"
        fix = f"give {type(re_encoder).__name__} a __repr__ that names its model, or leave out cache"
        raise ValueError(f"{what}: {fix}")
    return known


def told_by(embedder: Any) -> str:
    """16 hexadecimal digits for an embedder's identity; its repr if it has no weights."""
    known = identity(embedder)
    return _digits(json.dumps(known, sort_keys=True, default=str).encode()) if "weights" in known else repr(embedder)


def name_and_revision(embedder: Any, **settings: Any) -> tuple[str, str]:
    """What scores of an embedder can be kept under, so that they are never taken for another's.

    That is "inbedder/NAME", and 16 hexadecimal digits that stand for its identity, settings that decide about its
    vectors besides, such as the question, and the version of this package. A TypeError says that it has no name.
    """
    name = _name(getattr(embedder, "checkpoint", embedder))
    if not isinstance(name, str):
        raise TypeError(f"{embedder!r} has no name to keep scores under: give it an attribute `name`")
    decisive = {"embedder": identity(embedder), "version": version("inbedder-utils"), **settings}
    digits = _digits(json.dumps(decisive, sort_keys=True, default=str).encode())
    return f"inbedder/{re.sub(r'[^a-zA-Z0-9.-]+', '_', name)}", digits


def _name(checkpoint: Any) -> Any:
    folder = getattr(checkpoint, "folder", None) if is_dataclass(checkpoint) else None
    return folder.resolve().name if folder else getattr(checkpoint, "name", None)


def _architecture(model: nn.Module) -> str:
    """What a model computes with its weights: its modules, and all that configs say, of its parts too."""
    configs = {id(module.config): module.config for module in model.modules() if hasattr(module, "config")}.values()
    said = [config.to_dict() for config in configs if hasattr(config, "to_dict")]
    if getattr(model, "generation_config", None):
        said.append(model.generation_config.to_diff_dict())
    incidental = dict.fromkeys(("_name_or_path", "transformers_version", "architectures"))  # saving a model sets these
    said = [{**entries, **incidental} for entries in said]
    return _digits(json.dumps([repr(model), said], sort_keys=True, default=str).encode())


def tokenizer_digits(tokenizer: Any) -> str:
    """16 hexadecimal digits for all that decides how a tokenizer cuts texts, and which of its tokens are special."""
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    cuts = json.loads(backend.to_str()) if hasattr(backend, "to_str") else {"tokenizer": repr(tokenizer)}
    cuts = {name: part for name, part in cuts.items() if name not in ("truncation", "padding")}
    special = getattr(tokenizer, "special_tokens_map", None)
    return _digits(json.dumps([cuts, special], sort_keys=True, default=str).encode())


def _sample(tensor: Tensor) -> Tensor:
    """At most `VALUES_PER_TENSOR` values of a tensor: (n,) float32."""
    values = tensor.detach().reshape(-1)
    step = -(-len(values) // VALUES_PER_TENSOR) | 1  # odd, or the sample of a matrix would all come from a few columns
    return values[::step].float()


def _digits(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
