"""Where each family keeps its answer, and what of a prompt it can share."""

import pytest
from small_models import ASK, FAMILY_OF, OTHER, TEXTS

from inbedder_utils.families import FAMILIES
from inbedder_utils.families.causal import CausalReader
from inbedder_utils.families.masked import MaskedReader
from inbedder_utils.families.seq2seq import Seq2SeqReader
from inbedder_utils.registry import FAMILY_POOLINGS

READERS = {"llama": CausalReader, "bert": MaskedReader, "t5": Seq2SeqReader}
one_of_each_family = pytest.mark.parametrize("name", READERS)


@one_of_each_family
def test_every_family_has_its_reader(encoder_of, name):
    assert type(encoder_of(name).reader) is READERS[name] is FAMILIES[FAMILY_OF[name]][0]


@one_of_each_family
def test_only_poolings_of_a_generated_answer_need_generation(encoder_of, name):
    poolings = FAMILY_POOLINGS[FAMILY_OF[name]][:-1]
    needed = {pooling for pooling in poolings if encoder_of(name).reader.needs_generation({pooling})}
    expected = {"llama": {"avg_gen", "last_gen", "avg_all"}, "bert": set(), "t5": {"avg_gen", "last_gen"}}
    assert needed == expected[name]


def test_a_masked_model_answers_in_the_pass_that_gives_the_vectors(encoder_of):
    assert encoder_of("llama").reader.answer_key is encoder_of("t5").reader.answer_key is None
    reader = encoder_of("bert").reader
    assert reader.answer_key == ("answer", reader.layer_index("avg_gen", -1))


def test_an_encoder_decoder_reads_prompts_with_its_encoder_and_answers_with_its_decoder(encoder_of):
    reader = encoder_of("t5").reader
    assert reader.stack_of("avg_ppt") is reader.lm.get_encoder()
    assert reader.stack_of("fst_gen") is reader.stack is reader.lm.get_decoder()
    assert (reader.layer_index("avg_ppt", -1), reader.layer_index("fst_gen", -1)) == (3, 2)


@one_of_each_family
def test_prompts_of_one_text_share_what_does_not_see_the_question(encoder_of, name):
    reader, texts, questions = encoder_of(name).reader, [TEXTS[0], TEXTS[0], TEXTS[1]], [ASK, OTHER, ASK]
    prompts = reader.prompt_tokenizer(texts, questions)
    one, other, alone = reader.shared_lengths(prompts, texts, questions)
    assert alone == 0 and one == other
    assert prompts[0][:one] == prompts[1][:other]
    assert (one > 0) == (name == "llama"), "the text of BERT and T5 sees the question"
