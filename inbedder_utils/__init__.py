"""InBedder: ask texts a question, and embed the answers that a language model expects.

from inbedder_utils import load_encoder

encoder = load_encoder()
vectors = encoder.encode(["The parcel never came."], "How does the customer feel?")
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["Encoder", "list_checkpoints", "load_encoder"]

_HOMES = {
    "Encoder": "inbedder_utils.encoder",
    "list_checkpoints": "inbedder_utils.registry",
    "load_encoder": "inbedder_utils.loading.load",
}


def __getattr__(name: str) -> Any:
    """Import torch and transformers only when something that needs them is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'inbedder_utils' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
