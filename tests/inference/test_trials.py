"""In which ways a model may be read is found out by trying, and vectors never depend on the neighbours."""

import numpy as np
import pytest
import torch
import transformers
from small_models import ASK, OTHER, TEXTS, TOKENIZERS

from inbedder_utils import Encoder
from inbedder_utils.families import FAMILIES
from inbedder_utils.inference.batching import Way
from inbedder_utils.inference.trials import Trials
from inbedder_utils.registry import FAMILY_POOLINGS, Checkpoint

BERT = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}
BERT |= {"max_position_embeddings": 256, "initializer_range": 0.3, "pad_token_id": 0}
DECODER = BERT | {"num_key_value_heads": 2, "head_dim": 8}
LONGROPE = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 4, "long_factor": [9.0] * 4}
LONG = "The kettle leaks. " * 8
NEIGHBOURS_COUNT = {
    "Phi3": ("causal", "llama", DECODER | {"original_max_position_embeddings": 64, "rope_scaling": LONGROPE}),
    "Bert": ("causal", "bert", BERT),
    "Gemma3Text": ("causal", "llama", DECODER | {"use_bidirectional_attention": True}),
    "FNet": ("masked", "bert", BERT),
    "Nystromformer": ("masked", "bert", BERT | {"num_landmarks": 8, "segment_means_seq_len": 8}),
    "ConvBert": ("masked", "bert", BERT | {"embedding_size": 32}),
    "Longformer": ("masked", "bert", BERT | {"attention_window": [16] * 3}),
}
OTHERS = {
    "GPTNeoX": ("causal", "llama", BERT),
    "Bloom": ("causal", "llama", {"hidden_size": 32, "n_layer": 2, "n_head": 4}),
    "DiffLlama": ("causal", "llama", DECODER),
    "Albert": ("masked", "bert", BERT | {"embedding_size": 16, "num_hidden_layers": 4, "num_hidden_groups": 2}),
    "Electra": ("masked", "bert", BERT | {"embedding_size": 16}),
    "Funnel": ("masked", "bert", {"block_sizes": [1, 1], "d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 48}),
}


def encoder_of(kind: str) -> Encoder:
    family, name, settings = (NEIGHBOURS_COUNT | OTHERS)[kind]
    tokenizer = TOKENIZERS[name]()
    config = getattr(transformers, f"{kind}Config")(**settings, vocab_size=len(tokenizer))
    torch.manual_seed(0)
    reader, auto = FAMILIES[family]
    return Encoder(reader(auto.from_config(config), tokenizer, Checkpoint(kind, family, max_length=200)))


def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float((np.linalg.norm(ours - theirs, axis=-1) / np.linalg.norm(theirs, axis=-1)).max())


def listed(encoder: Encoder, text: str) -> list[np.ndarray]:
    """States of the prompt by transformers' own account, layer by layer: (T, H) each."""
    (row,) = encoder.prompt_tokenizer([text], [ASK])
    with torch.inference_mode():
        return [
            hidden[0].numpy() for hidden in encoder.lm(torch.tensor([row]), output_hidden_states=True).hidden_states
        ]


@pytest.mark.parametrize("kind", NEIGHBOURS_COUNT)
def test_neighbours_never_change_a_vector(kind):
    encoder, texts = encoder_of(kind), [*TEXTS, LONG]
    names = FAMILY_POOLINGS[encoder.checkpoint.family][:-1]
    for name in names:
        together = encoder.pooled(texts, ASK, [name], range(4))
        for i, text in enumerate(texts):
            alone = encoder.pooled([text], ASK, [name], range(4))
            for key, vectors in together.items():
                assert difference(vectors[i : i + 1] + 1e-3, alone[key] + 1e-3) < 1e-4, (key, i)
    many = encoder.encode_many(texts, [ASK, OTHER])
    assert difference(many[1], np.concatenate([encoder.encode([text], OTHER) for text in texts])) < 1e-4


@pytest.mark.parametrize("kind", ["Longformer", "Albert"])
def test_every_layer_is_what_transformers_lists(kind):
    encoder = encoder_of(kind)
    pooled = encoder.pooled(TEXTS, ASK, ["avg_all"], range(encoder.lm.config.num_hidden_layers + 1))
    for i, text in enumerate(TEXTS):
        for layer, states in enumerate(listed(encoder, text)):
            assert difference(pooled["avg_all", layer][i : i + 1], states.mean(0)[None]) < 1e-4


def test_a_long_prompt_makes_its_batch_one_of_equal_lengths():
    trials = encoder_of("Phi3").reader.trials
    assert trials.way(64, generates=False) is Way.PACKED
    assert trials.way(65, generates=False) is Way.EQUAL
    assert trials.way(64, generates=True) is Way.ALONE  # its answer may be beyond


def test_a_model_that_packing_would_change_is_found_out():
    """GPT-NeoX has what it takes; Bloom's positions are biases, and it takes none."""
    packing, other = (encoder_of(kind).reader.trials for kind in ("GPTNeoX", "Bloom"))
    assert packing.shares_texts and Way.PACKED in packing.ways
    assert not other.shares_texts and other.way(20, generates=False) is Way.PADDED


def test_a_module_that_attends_twice_is_remembered_twice():
    encoder = encoder_of("DiffLlama")
    remembering = encoder.remembering()
    for question in (ASK, OTHER):
        assert difference(remembering.encode(TEXTS, question), encoder.encode(TEXTS, question)) < 1e-4
    assert remembering.reader.memory.n_bytes


@pytest.mark.parametrize("kind", ["Electra", "Albert"])
def test_words_are_read_from_states_of_another_width_than_the_heads(kind):
    encoder = encoder_of(kind)
    states = encoder.pooled(TEXTS, ASK, ["fst_gen"], [-1])["fst_gen", -1]
    assert states.shape[1] == 32 and len(encoder.words(states, 3)) == len(TEXTS)
    with pytest.raises(ValueError, match=r"must be \(n, 32\), the width of the last layer"):
        encoder.words(states[:, :16])


def test_an_architecture_that_can_not_be_read_is_refused_in_our_words():
    with pytest.raises(ValueError, match="FunnelForMaskedLM can't be read: .* Choose a checkpoint of another"):
        Trials(encoder_of("Funnel").reader)


def test_a_model_that_reads_by_chance_is_refused():
    reader = encoder_of("GPTNeoX").reader
    norm = reader.stack.final_layer_norm
    norm.register_forward_hook(lambda _, __, states: states + torch.randn_like(states))
    with pytest.raises(ValueError, match="gives other states each time it reads a prompt"):
        Trials(reader)


def test_what_is_not_finite_is_no_difference():
    reader = encoder_of("GPTNeoX").reader
    reader.lm.get_input_embeddings().weight.data.fill_(float("nan"))
    assert Way.PACKED in Trials(reader).ways
