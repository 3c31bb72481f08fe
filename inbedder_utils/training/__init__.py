"""Teach a language model to answer questions about texts in a word or two."""

from inbedder_utils.training.examples import encode_rows
from inbedder_utils.training.presets import PRESETS, Part, Preset, Scratch
from inbedder_utils.training.rows import mean_length, shortened
from inbedder_utils.training.run import train

__all__ = ["PRESETS", "Part", "Preset", "Scratch", "encode_rows", "mean_length", "shortened", "train"]
