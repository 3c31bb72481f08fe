"""Where each family of models keeps its answer."""

from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM

from inbedder_utils.families.causal import CausalReader
from inbedder_utils.families.masked import MaskedReader
from inbedder_utils.families.seq2seq import Seq2SeqReader

FAMILIES = {
    "causal": (CausalReader, AutoModelForCausalLM),
    "masked": (MaskedReader, AutoModelForMaskedLM),
    "seq2seq": (Seq2SeqReader, AutoModelForSeq2SeqLM),
}
"""By the name of the family: its reader, and what loads its models."""
