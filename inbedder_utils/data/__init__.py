"""Texts that ship with the package, and public sets."""

from inbedder_utils.data.natural_qa import natural_rows
from inbedder_utils.data.own_sets import QUESTIONS, corpus, small_set
from inbedder_utils.data.public_sets import load_set, local_sets
from inbedder_utils.data.small_world_sets import generate, notes, qa_rows, questions

__all__ = ["QUESTIONS", "corpus", "generate", "load_set", "local_sets", "natural_rows", "notes", "qa_rows"]
__all__ += ["questions", "small_set"]
