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

    Args:
        lm: any module, on any device or several; nothing but the sample is copied.

    Returns:
        16 hexadecimal digits, the same on every machine.
    """
    tensors = {name: value for name, value in lm.state_dict().items() if isinstance(value, Tensor)}
    digest = hashlib.sha256(repr([(name, tuple(tensor.shape)) for name, tensor in tensors.items()]).encode())
    samples = [_sample(tensor) for tensor in tensors.values()]
    if samples:
        device = samples[0].device
        digest.update(torch.cat([sample.to(device) for sample in samples]).cpu().numpy().astype("<f4").tobytes())
    return digest.hexdigest()[:16]


def identity(embedder: Any) -> dict[str, Any]:
    """Everything that decides about an embedder's vectors.

    Args:
        embedder: an `Encoder`, a `SentenceEmbedder`, a module, or any other object, for which its repr has to do.

    Returns:
        For JSON: the checkpoint's settings, truncation, the re-encoder's identity, weights, dtypes and architecture.
    """
    checkpoint = getattr(embedder, "checkpoint", None)
    model = embedder if isinstance(embedder, nn.Module) else getattr(embedder, "lm", getattr(embedder, "model", None))
    re_encoder = getattr(embedder, "re_encoder", None)
    settings = {
        "checkpoint": asdict(checkpoint) if is_dataclass(checkpoint) else repr(checkpoint),
        "truncation": getattr(getattr(embedder, "prompt_tokenizer", None), "truncation", None),
        "re_encoder": identity(re_encoder) if re_encoder is not None else None,
    }
    if not isinstance(model, nn.Module):
        return settings | {"repr": repr(embedder)}
    dtypes = sorted({str(weights.dtype).removeprefix("torch.") for weights in model.parameters()})
    architecture = hashlib.sha256(repr(model).encode()).hexdigest()[:16]
    return settings | {"weights": fingerprint(model), "dtypes": dtypes, "architecture": architecture}


def lasting_identity(encoder: Any) -> dict[str, Any]:
    """What an `Encoder`'s vectors can be kept under: its identity, and how its tokenizer cuts texts.

    Raises:
        ValueError: if its re-encoder can't be told from others.
    """
    known, re_encoder = identity(encoder), encoder.re_encoder
    if "repr" in (known["re_encoder"] or {}) and type(re_encoder).__repr__ is object.__repr__:
        raise ValueError(
            f"re_encoder {re_encoder!r} can't be told from others, so that its vectors can't be kept: give "
            f"{type(re_encoder).__name__} a __repr__ that names its model, or leave out cache"
        )
    return known | {"tokenizer": _tokenizer_fingerprint(encoder.tokenizer)}


def _tokenizer_fingerprint(tokenizer: Any) -> str:
    """Hash all that decides how a fast tokenizer cuts texts: 16 hexadecimal digits."""
    parts = json.loads(tokenizer.backend_tokenizer.to_str())
    decisive = {name: part for name, part in parts.items() if name not in ("truncation", "padding")}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


def name_and_revision(embedder: Any, **settings: Any) -> tuple[str, str]:
    """What scores of an embedder can be kept under, so that they are never taken for another's.

    Args:
        embedder: has a `checkpoint` or a `name`; see `identity`.
        settings: what decides about its vectors besides, such as the question.

    Returns:
        "inbedder/NAME", and 16 hexadecimal digits that stand for identity, settings and the version of this package.

    Raises:
        TypeError: if the embedder has no name.
    """
    name = getattr(getattr(embedder, "checkpoint", embedder), "name", None)
    if not isinstance(name, str):
        raise TypeError(f"{embedder!r} has no name to keep scores under: give it an attribute `name`")
    decisive = {"embedder": identity(embedder), "version": version("inbedder-utils"), **settings}
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True, default=str).encode())
    return f"inbedder/{re.sub(r'[^a-zA-Z0-9.-]+', '_', name)}", digest.hexdigest()[:16]


def _sample(tensor: Tensor) -> Tensor:
    """At most `VALUES_PER_TENSOR` values of a tensor: (n,) float32."""
    values = tensor.detach().reshape(-1)
    step = -(-len(values) // VALUES_PER_TENSOR) | 1  # odd, or the sample of a matrix would all come from a few columns
    return values[::step].float()
