"""Whatever the architecture: a batch's loss is that of plain forwards of its rows; dropout can be turned off."""

import runpy

import pytest
import torch
import transformers
from conftest import ROOT
from small_models import POSITIONS, QA_ROWS, SHIPPED, TEXTS, TOKENIZERS
from transformers import AutoTokenizer, TrainingArguments

from inbedder_utils.families import FAMILIES
from inbedder_utils.registry import Checkpoint
from inbedder_utils.training.examples import IGNORED, encode_rows, make_collator
from inbedder_utils.training.start import without_dropout
from inbedder_utils.training.trainer import SAME_IN_EVERY_RUN, AnswerTrainer

SIZE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
SIZE |= {"max_position_embeddings": POSITIONS, "initializer_range": 0.15}
GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": POSITIONS, "initializer_range": 0.15}
RELATIVE = {"relative_attention": True, "position_biased_input": False, "pos_att_type": ["c2p", "p2c"]}
ROBERTA = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
START = {"decoder_start_token_id": 0}
BART = {"d_model": 32, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "encoder_layers": 2, "decoder_layers": 2}
BART |= {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "max_position_embeddings": POSITIONS}
FEW = {
    ("causal", "gpt2"): ("GPT2Config", "gpt2", GPT),
    ("causal", "gpt_bigcode"): ("GPTBigCodeConfig", "gpt2", GPT),
    ("causal", "openai-gpt"): ("OpenAIGPTConfig", "gpt2", GPT),
    ("causal", "xglm"): ("XGLMConfig", "opt", {"d_model": 32, "ffn_dim": 48, "num_layers": 2, "attention_heads": 4}),
    ("causal", "biogpt"): ("BioGptConfig", "opt", SIZE),
    ("causal", "opt"): ("OPTConfig", "opt", {**SIZE, "ffn_dim": 48, "word_embed_proj_dim": 16}),
    ("causal", "llama"): ("LlamaConfig", "llama", SIZE),
    ("causal", "mamba"): ("MambaConfig", "gpt2", {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8}),
    ("masked", "bert"): ("BertConfig", "bert", SIZE),
    ("masked", "roberta"): ("RobertaConfig", "roberta", SIZE | {"max_position_embeddings": POSITIONS + 2} | ROBERTA),
    ("masked", "modernbert"): ("ModernBertConfig", "roberta", SIZE | {"local_attention": 16} | ROBERTA),
    ("masked", "deberta-v2"): ("DebertaV2Config", "roberta", SIZE | RELATIVE | {"pad_token_id": 1}),
    ("masked", "esm"): ("EsmConfig", "roberta", SIZE | {"pad_token_id": 1, "mask_token_id": 4, "token_dropout": True}),
    ("seq2seq", "t5"): (
        "T5Config",
        "t5",
        {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4} | START,
    ),
    ("seq2seq", "bart"): ("BartConfig", "roberta", BART | ROBERTA | {"decoder_start_token_id": 2}),
}
MOST_PARAMETERS = 10_000_000
CONFIGS = ROOT.parent / "shared" / "architectures" / "configs.py"
NOT_READ = {"ibert", "perceiver"}  # nor encoded
NOT_READ |= {"zamba2", "reformer"}  # a config that is no longer valid; a model that trains on some lengths only
SEES_PADDING = {"mobilebert", "funnel", "nystromformer", "yoso", "fnet", "convbert"}  # whatever the mask says
MANY = {}
if CONFIGS.is_file():
    listed = runpy.run_path(str(CONFIGS))
    MANY = {
        (family, name): of
        for family in FAMILIES
        if family.upper() in listed
        for name, of in listed[family.upper()].items()
        if name not in NOT_READ and (family, name) not in FEW
    }
ROWS = [QA_ROWS[0], QA_ROWS[4] | {"input": TEXTS[5]}, QA_ROWS[11] | {"input": "Ok."}]


def parts_of(family, name):
    """Model with all parameters off their starting values, and tokenizer."""
    kind, tokenizer, settings = (FEW | MANY)[family, name]
    known = TOKENIZERS.get(tokenizer)
    tokenizer = known() if known else AutoTokenizer.from_pretrained(SHIPPED / tokenizer)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    torch.manual_seed(0)
    config = getattr(transformers, kind)(
        **{"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id} | settings
    )
    language_model = FAMILIES[family][1]
    with torch.device("meta"):
        if language_model.from_config(config).num_parameters() > MOST_PARAMETERS:
            pytest.skip("the listed config is not small")
    lm = language_model.from_config(config)
    with torch.no_grad():
        for parameter in lm.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return lm, tokenizer


def trainer_of(lm, tokenizer, checkpoint, folder, micro=3, rows=ROWS):
    examples = encode_rows(rows, tokenizer, checkpoint)
    settings = SAME_IN_EVERY_RUN | {"eval_strategy": "no", "eval_on_start": False, "disable_tqdm": True}
    arguments = TrainingArguments(str(folder), use_cpu=True, per_device_eval_batch_size=micro, **settings)
    return AnswerTrainer(
        model=lm,
        args=arguments,
        train_dataset=examples,
        eval_dataset=examples,
        tokenizer=tokenizer,
        data_collator=make_collator(checkpoint, tokenizer, lm),
        checkpoint=checkpoint,
        triplets=[],
        imitate=0.0,
    )


@torch.inference_mode()
def plain_loss(lm, example, family) -> list[float]:
    """Cross-entropy of each answer token, from a forward of one row alone."""
    ids, labels = torch.tensor([example["input_ids"]]), torch.tensor(example["labels"])
    if family == "seq2seq":
        fed = torch.tensor([[lm.config.decoder_start_token_id, *example["labels"][:-1]]])
        logits = lm(input_ids=ids, decoder_input_ids=fed).logits[0]
    else:
        logits = lm(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
    if family == "causal":
        logits, labels = logits[:-1], labels[1:]
    kept = labels != IGNORED
    return torch.nn.functional.cross_entropy(logits[kept].float(), labels[kept], reduction="none").tolist()


def check_loss(family, name, folder):
    lm, tokenizer = parts_of(family, name)
    trainer = trainer_of(lm, tokenizer, Checkpoint(name, family, max_length=100), folder)
    found = trainer.evaluate()["eval_loss"]
    losses = [loss for example in trainer.eval_dataset for loss in plain_loss(lm.eval(), example, family)]
    assert found == pytest.approx(sum(losses) / len(losses), rel=1e-4)


def check_dropout(family, name, folder):
    lm, tokenizer = parts_of(family, name)
    config = lm.config.to_dict()
    without_dropout(lm)
    assert lm.config.to_dict() == config
    trainer = trainer_of(lm, tokenizer, Checkpoint(name, family, max_length=100), folder)
    lm.train()
    once, again = (trainer.compute_loss(lm, trainer.data_collator(trainer.train_dataset)) for _ in range(2))
    once.backward()
    assert once.isfinite() and once.item() == again.item()


def those(architectures):
    return pytest.mark.parametrize(("family", "name"), architectures, ids=map("-".join, architectures))


@those(FEW)
def test_the_loss_of_a_batch_is_that_of_its_rows_alone(family, name, tmp_path):
    check_loss(family, name, tmp_path)


@those(FEW)
def test_without_dropout_nothing_is_drawn(family, name, tmp_path):
    check_dropout(family, name, tmp_path)


@those([("causal", "gpt2"), ("masked", "bert"), ("seq2seq", "t5")])
def test_the_loss_on_held_out_rows_does_not_depend_on_how_many_are_judged_at_once(family, name, tmp_path):
    lm, tokenizer = parts_of(family, name)
    rows = [row | {"output": "angry kettle late " * (i % 3) + "lid"} for i, row in enumerate(QA_ROWS[:7])]
    checkpoint = Checkpoint(name, family, max_length=100)
    losses = [trainer_of(lm, tokenizer, checkpoint, tmp_path, n, rows).evaluate()["eval_loss"] for n in (1, 2, 3, 7)]
    assert losses == pytest.approx([losses[0]] * 4, rel=1e-5)


@pytest.mark.slow
@those([which for which in MANY if which[1] not in SEES_PADDING])
def test_the_loss_of_a_batch_of_any_model_is_that_of_its_rows_alone(family, name, tmp_path):
    check_loss(family, name, tmp_path)


@pytest.mark.slow
@those(MANY)
def test_without_dropout_nothing_is_drawn_in_any_model(family, name, tmp_path):
    check_dropout(family, name, tmp_path)
