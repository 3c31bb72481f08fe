"""Recipes: what is trained on what, and how. Those of the paper carry its settings (appendix on training)."""

from dataclasses import dataclass, replace
from typing import Any

from inbedder_utils.checks import integer, one_of, positive
from inbedder_utils.registry import REGISTRY, Checkpoint

PAPER_DATA = "KomeijiForce/Inbedder-Pretrain-Data"


@dataclass(frozen=True)
class Part:
    """A part of the training data.

    Attributes:
        source: see `inbedder_utils.training.rows.load_rows`.
        limit: most rows; the texts are drawn at random, with all of their questions. None for all rows.
        passes: how often each row is used; rows with several wordings of their question are asked anew each time.
    """

    source: str
    limit: int | None = None
    passes: int = 1


@dataclass(frozen=True)
class Scratch:
    """Size of a causal model that starts from random weights, and of its tokenizer."""

    vocabulary: int = 4096
    hidden: int = 256
    layers: int = 3
    heads: int = 8
    intermediate: int = 512


@dataclass(frozen=True)
class Preset:
    """A recipe; what is left out has the paper's settings.

    Attributes:
        name: what it is called.
        base: the model to start from, a hub id or folder; None for one made from `scratch`.
        data: what it learns from.
        held_out: rows that it is evaluated on while it trains; None sets a part of the data aside.
        scratch: size of a model without base.
        read_once: a masked model's text does not see the question; None for what the base has, as the next four.
        emoji_as_words: read emoji as their English names.
        n_masks: mask tokens at which a masked model is read.
        max_new_tokens: most tokens of a causal model's answer.
        max_length: most tokens of text and question together.
        max_answer: most tokens of an answer that is learned; the rest of it is cut off.
        shorten_answers: take the stop words out of the answers (paper, section 3).
        learning_rate: highest learning rate; it rises over `warmup` of the steps and falls as a cosine.
        warmup: share of the steps.
        batch_size: rows per step, over all devices.
        micro_batch: most rows that one device takes at once; it takes the largest number that divides its share of
            `batch_size`.
        epochs: passes over the data.
        imitate: weight of a second loss, for masked models made from a sentence embedder: the mean of the masks is to
            be like the base's own embedding of the answer (see `inbedder_utils.training.losses`).
        dropout: leave the base's dropout on; a small model that hardly fits its data needs none.
        muon: Muon for the matrices (`inbedder_utils.training.muon`) instead of AdamW: for small models.
        sharded: spread weights and optimizer over all GPUs (FSDP).
    """

    name: str
    base: str | None
    data: tuple[Part, ...] = (Part(PAPER_DATA),)
    held_out: str | None = None
    scratch: Scratch | None = None
    read_once: bool | None = None
    emoji_as_words: bool | None = None
    n_masks: int | None = None
    max_new_tokens: int | None = None
    max_length: int | None = None
    max_answer: int = 20
    shorten_answers: bool = True
    learning_rate: float = 2e-5
    warmup: float = 0.03
    batch_size: int = 64
    micro_batch: int = 16
    epochs: float = 1.0
    imitate: float = 0.0
    dropout: bool = True
    muon: bool = False
    sharded: bool = False

    def __post_init__(self) -> None:
        for name in ("batch_size", "micro_batch", "max_answer"):
            object.__setattr__(self, name, integer(name, getattr(self, name), at_least=1))
        for name in ("learning_rate", "epochs"):
            object.__setattr__(self, name, positive(name, getattr(self, name)))
        if (self.base is None) != (self.scratch is not None):
            raise ValueError("a preset has either a base model to start from, or the size of one from scratch")

    def checkpoint(self, family: str, start: Checkpoint | None = None) -> Checkpoint:
        """How the trained model is read: as the one that it starts from, but for what the recipe says."""
        start = start or Checkpoint(self.name, family)
        names = ("emoji_as_words", "n_masks", "max_new_tokens", "max_length") + ("read_once",) * (family == "masked")
        return replace(start, name=self.name, revision=None).with_settings(**{n: getattr(self, n) for n in names})

    def with_settings(self, **settings: Any) -> "Preset":
        """A copy with those settings that are not None."""
        return replace(self, **{name: value for name, value in settings.items() if value is not None})


_PRESETS = [
    Preset("roberta-large", "FacebookAI/roberta-large", max_answer=3),
    Preset("opt-1.3b", "facebook/opt-1.3b", micro_batch=8, max_new_tokens=20),
    Preset("opt-2.7b", "facebook/opt-2.7b", micro_batch=4, max_new_tokens=20),
    Preset("llama-2-7b", "meta-llama/Llama-2-7b-hf", micro_batch=8, sharded=True),
    Preset(
        "tiny",
        None,
        data=(Part("small_world"),),
        held_out="small_world",
        scratch=Scratch(),
        max_new_tokens=4,
        max_length=256,
        learning_rate=2e-3,
        warmup=0.02,
        batch_size=32,
        micro_batch=32,
        muon=True,
    ),
    Preset(
        "mini",
        "sentence-transformers/all-MiniLM-L6-v2",
        data=(
            Part("inbedder_qa", passes=2),
            *(Part(name, limit=6000) for name in ("vader", "mams", "hwu64", "qamr")),
            Part("goemotions", limit=8000),
            Part("banking77", limit=2500),
            *(Part(name, limit=1500) for name in ("small_world", "fairytale")),
            *(Part(name, limit=1000) for name in ("squad", "cosmos")),
        ),
        held_out="inbedder_qa",
        read_once=True,
        emoji_as_words=True,
        n_masks=3,
        max_length=256,
        max_answer=3,
        imitate=1.0,
        dropout=False,
        learning_rate=1e-3,
        warmup=0.05,
        batch_size=128,
        micro_batch=128,
        muon=True,
    ),
]
PRESETS = {preset.name: preset for preset in _PRESETS}


def preset_for(preset: str | Preset | None, base: str | None) -> Preset:
    """The recipe to use: a preset or the one of that name, with `base` in place of its own; else the one for `base`.

    A base that no preset is made for gets the paper's settings.

    Raises:
        ValueError: for an unknown preset, if neither is given, or for a base with a preset that starts from scratch.
    """
    if preset is None and base is None:
        raise ValueError(f"name a base model to start from, or a preset: {', '.join(PRESETS)}")
    if preset is None:
        kin = (p for p in PRESETS.values() if p.base and base in {p.name, p.base} and base not in REGISTRY)
        return next(kin, Preset("own", base))
    recipe = preset if isinstance(preset, Preset) else PRESETS[one_of("preset", preset, PRESETS)]
    if base is None or (base == recipe.name and base not in REGISTRY):
        return recipe  # a name of its own base; a checkpoint of that name is trained further
    if recipe.scratch:
        raise ValueError(f"preset {recipe.name!r} starts from random weights: leave base out, or choose another preset")
    return recipe.with_settings(base=base)
