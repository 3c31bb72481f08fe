"""Teach a language model to answer questions about texts in a word or two."""

from inbedder_utils.training.examples import IGNORED, encode_rows, make_collator
from inbedder_utils.training.presets import PRESETS, Part, Preset, Scratch
from inbedder_utils.training.rows import mean_length, shortened
from inbedder_utils.training.run import train

__all__ = ["IGNORED", "PRESETS", "Part", "Preset", "Scratch", "encode_rows", "make_collator", "mean_length"]
__all__ += ["shortened", "train"]
