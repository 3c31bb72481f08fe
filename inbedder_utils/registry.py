"""The checkpoints known by name, and what it takes to get an embedding out of each."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from inbedder_utils.checks import as_list, integer, one_of, short
from inbedder_utils.prompts import INBEDDER, LLAMA_CHAT, PAIR, TEXT_ONLY, Prompt

if TYPE_CHECKING:
    import pandas as pd

Family = Literal["causal", "masked", "seq2seq", "sentence"]
BUNDLED = Path(__file__).parent / "checkpoints"
SETTINGS_FILE = "inbedder.json"
ANSWERS_FILE = "answers.txt"
"""In a checkpoint's folder: answers that it was taught, one per line."""
POOLINGS = ("fst_gen", "avg_gen", "last_gen", "avg_ppt", "avg_all", "re_encode")
"""Names of the original code (the paper's encoding methods).

`fst_gen`: the state that predicts the first answer token. `avg_gen`, `last_gen`: the states that predict the answer,
their mean or the last of them. `avg_ppt`: the prompt's states. `avg_all`: prompt and answer. `re_encode`: the answer's
text, embedded by a second model. In a masked model the answer's states are those of its mask tokens.
"""
FAMILY_POOLINGS: dict[str, tuple[str, ...]] = {
    "causal": POOLINGS,
    "masked": POOLINGS,
    "seq2seq": tuple(name for name in POOLINGS if name != "avg_all"),  # encoder and decoder states don't mix
    "sentence": ("own",),
}
DEFAULT_POOLING = {"causal": "fst_gen", "masked": "avg_gen", "seq2seq": "fst_gen", "sentence": "own"}
_KINDS = {"name": str, "about": str, "revision": str | None} | dict.fromkeys(
    ("read_once", "lm_head_transform", "standardize", "emoji_as_words"), bool
)


@dataclass(frozen=True)
class Checkpoint:
    """Where weights are, and everything needed to get their embedding.

    Attributes:
        name: the name to load it by.
        family: "causal", "masked", "seq2seq"; or "sentence", an embedder that gives no answers.
        prompt: template with `{input}` and `{instruction}` (see `inbedder_utils.prompts`).
        pooling: one of `POOLINGS`; empty for the family's default.
        layer: 0 to the number of blocks; -1 is the last.
        max_length: most tokens that the model reads, prompt included.
        max_new_tokens: most tokens of a generated answer.
        n_masks: mask tokens of a masked model's answer.
        read_once: a masked model's text does not see the question (see `inbedder_utils.inference.read_once`).
        lm_head_transform: send a masked model's states through its LM head's dense layer, gelu and norm.
        emoji_as_words: read emoji as their English names, for a vocabulary that has none.
        standardize: shift and scale each vector to mean 0 and standard deviation 1.
        revision: commit on the hub; None where none was known to us.
        parameters: number of weights; 0 if not known.
        about: what it is for.
    """

    name: str
    family: Family
    prompt: str = INBEDDER
    pooling: str = ""
    layer: int = -1
    max_length: int = 512
    max_new_tokens: int = 3
    n_masks: int = 3
    read_once: bool = False
    lm_head_transform: bool = False
    standardize: bool = False
    emoji_as_words: bool = False
    revision: str | None = None
    parameters: int = 0
    about: str = ""

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            if not isinstance(getattr(self, name), kind):
                wanted = "true or false" if kind is bool else "a string"
                raise TypeError(f"{name} must be {wanted}, got {short(getattr(self, name))}")
        one_of("family", self.family, get_args(Family))
        if isinstance(self.pooling, str) and not self.pooling:
            object.__setattr__(self, "pooling", DEFAULT_POOLING[self.family])
        one_of("pooling", self.pooling, POOLINGS + ("own",) * (self.family == "sentence"))
        if self.pooling not in FAMILY_POOLINGS[self.family]:
            raise ValueError(
                f"pooling {self.pooling!r} is not defined for {self.family} models: "
                f"choose one of {', '.join(FAMILY_POOLINGS[self.family])}"
            )
        if not Prompt(self.prompt).asks and self.family != "sentence":
            raise ValueError(f"prompt must hold '{{instruction}}', where the question goes; got {self.prompt!r}")
        if Prompt(self.prompt).is_pair and self.family != "masked":
            raise ValueError(f"'{{sep}}' in a prompt is for masked models, which have a separator; got {self.prompt!r}")
        text_first = self.prompt.find("{input}") < self.prompt.find("{instruction}")
        if self.read_once and (self.family != "masked" or Prompt(self.prompt).is_pair or not text_first):
            raise ValueError("read_once is for masked models whose prompt is one string, the text first")
        for name, least in (("max_length", 1), ("max_new_tokens", 1), ("n_masks", 1), ("parameters", 0)):
            object.__setattr__(self, name, integer(name, getattr(self, name), at_least=least))

    def with_settings(self, **settings: Any) -> "Checkpoint":
        """A copy with those settings that are not None."""
        return replace(self, **{name: value for name, value in settings.items() if value is not None})

    @property
    def folder(self) -> Path | None:
        """The local folder with the weights; None if they are on the hub."""
        bundled = BUNDLED / self.name
        if self.name in REGISTRY:
            return bundled if bundled.is_dir() else None
        return Path(self.name).expanduser() if Path(self.name).expanduser().is_dir() else None


def _inbedder(name: str, family: Family, parameters: int, about: str, **settings: Any) -> Checkpoint:
    return Checkpoint(f"BrandonZYW/{name}-InBedder", family, parameters=parameters, about=about, **settings)


_CHECKPOINTS = [
    Checkpoint(
        "mini",
        "masked",
        max_length=256,
        read_once=True,
        emoji_as_words=True,
        parameters=22_744_506,
        about="ordinary English, on a laptop",
    ),
    Checkpoint(
        "tiny",
        "causal",
        max_length=256,
        max_new_tokens=4,
        parameters=3_016_448,
        about="teaching, tests: knows a small world",
    ),
    _inbedder(
        "llama-2-7b",
        "causal",
        6_738_415_616,
        "the paper's best model",
        revision="f973c09b0dafe264e9ca050ab38720135254d1e6",
    ),
    _inbedder("opt-2.7b", "causal", 2_651_596_800, "the paper, mid size", max_new_tokens=20),
    _inbedder("opt-1.3b", "causal", 1_315_758_080, "the paper, small", max_new_tokens=20),
    _inbedder(
        "opt-350m",
        "causal",
        331_196_416,
        "the paper, smallest",
        max_new_tokens=20,
        revision="de6a29072237d9852ee950f122e76520b8b2b3fc",
    ),
    _inbedder(
        "roberta-large",
        "masked",
        355_412_057,
        "the paper's masked model: strong for its size",
        revision="cc1cc2c7400dd58948001eaa3f249388066cc5e6",
    ),
    Checkpoint(
        "KomeijiForce/inbedder-roberta-large",
        "masked",
        prompt=PAIR,
        lm_head_transform=True,
        standardize=True,
        revision="51efa8290f751aaef1bc219f40f0b0bbec27cdab",
        parameters=355_412_057,
        about="the authors' quick-trial variant",
    ),
    Checkpoint(
        "facebook/opt-350m",
        "causal",
        max_new_tokens=20,
        revision="08ab08cc4b72ff5593870b5d527cf4230323703c",
        parameters=331_196_416,
        about="baseline: not tuned to answer",
    ),
    Checkpoint(
        "meta-llama/Llama-2-7b-chat-hf",
        "causal",
        prompt=LLAMA_CHAT,
        max_new_tokens=40,
        revision="f5db02db724555f92da89c216ac04704f23d4590",
        parameters=6_738_415_616,
        about="baseline: a chat model (access on request)",
    ),
    Checkpoint(
        "google/flan-t5-large",
        "seq2seq",
        max_new_tokens=20,
        revision="0613663d0d48ea86ba8cb3d7a44f0f65dc596a2a",
        parameters=783_150_080,
        about="baseline: tuned on many tasks",
    ),
    Checkpoint(
        "intfloat/e5-large-v2",
        "sentence",
        prompt=TEXT_ONLY,
        revision="b322e09026e4ea05f42beadf4d661fb4e101d311",
        parameters=335_141_888,
        about="baseline: sees no question",
    ),
]
REGISTRY = {checkpoint.name: checkpoint for checkpoint in _CHECKPOINTS}


def checked_poolings(names: Any, family: str) -> list[str]:
    """Poolings of hidden states that a family has, at least one (see `inbedder_utils.checks` for errors)."""
    names = as_list("poolings", names, "pass [pooling]")
    for name in names:
        if one_of("pooling", name, FAMILY_POOLINGS[family]) == "re_encode":
            raise ValueError("re_encode embeds words, not hidden states: load with pooling='re_encode' and use encode")
    return names


def list_checkpoints() -> "pd.DataFrame":
    """Everything that can be loaded by name; other hub ids and local folders load too.

    Returns:
        A table indexed by name: family, pooling, parameters (millions), memory of the weights (GB, in bfloat16 and
        float32), where they come from (bundled or hub), what for.
    """
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "name": c.name,
                "family": c.family,
                "pooling": c.pooling,
                "million parameters": round(c.parameters / 1e6, 1),
                "GB in bfloat16": round(c.parameters * 2 / 1e9, 2),
                "GB in float32": round(c.parameters * 4 / 1e9, 2),
                "from": "bundled" if c.folder else "hub",
                "for": c.about,
            }
            for c in REGISTRY.values()
        ]
    ).set_index("name")
