"""The model that training starts from: a base, one from scratch, an LM head if the base has none, LoRA if asked for."""

import copy
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import nn
from tqdm.auto import tqdm
from transformers import (
    AutoConfig,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from inbedder_utils.data.qa_sources import Row
from inbedder_utils.families import FAMILIES
from inbedder_utils.inference.hidden_states import only_states
from inbedder_utils.loading.hub import fetch, quiet
from inbedder_utils.loading.settings import find, fitting_length
from inbedder_utils.prompts import INBEDDER
from inbedder_utils.registry import Checkpoint
from inbedder_utils.training.presets import Preset, Scratch

BOS, EOS, PAD = "<s>", "</s>", "<pad>"
HEAD_STEPS, HEAD_BATCH, HEAD_LEARNING_RATE = 150, 12, 3e-3  # of a new LM head
READ_BACK_SHARE = 0.3  # of the tokens, those that it learns to name
HIDDEN_SHARE = 0.15  # of the tokens, those that the encoder doesn't see meanwhile
RANDOM = ("drop", "jitter")  # what the names of chances and noise in training have in them


def find_start(recipe: Preset) -> tuple[Checkpoint, str, int]:
    """How the trained model will be read, where its weights come from, and how many they are; "" and 0 from scratch.

    Raises:
        ValueError: for a base that is not a language model.
        OSError: if it can't be read.
    """
    if recipe.base is None:
        return recipe.checkpoint("causal"), "", 0
    with quiet(Path(recipe.base).is_dir()):
        start, source = find(recipe.base, None, False, None)
        config = fetch(AutoConfig.from_pretrained, source)
    if start.family == "sentence":  # its language model is what we train
        start, source = find(recipe.base, None, False, "causal" if config.is_encoder_decoder else "masked")
    language_model = FAMILIES[start.family][1]
    if type(config) not in language_model._model_mapping:
        raise ValueError(f"{recipe.base} is a {config.model_type} model, which is not a {start.family} language model")
    with torch.device("meta"):  # counts the weights without making them
        parameters = language_model.from_config(config).num_parameters()
    return fitting_length(recipe.checkpoint(start.family, start), config, None), source, parameters


def load_start(
    recipe: Preset, checkpoint: Checkpoint, source: str, rows: Sequence[Row], seed: int, show_progress_bar: bool
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load what `find_start` found, or make a model; `rows` teach a new tokenizer, or an LM head that the base lacks.

    Raises:
        ValueError: for a causal or seq2seq base without LM head.
        OSError: if the weights can't be read.
    """
    if recipe.scratch:
        texts = chain.from_iterable((row["input"], row["instruction"], row["output"]) for row in rows)
        tokenizer = build_tokenizer(texts, recipe.scratch.vocabulary)
        return build_model(recipe.scratch, tokenizer), tokenizer
    with quiet(Path(source).is_dir()):
        tokenizer = fetch(AutoTokenizer.from_pretrained, source)
        load = FAMILIES[checkpoint.family][1].from_pretrained
        lm, info = fetch(load, source, dtype=torch.float32, output_loading_info=True)
    if not recipe.dropout:
        without_dropout(lm)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    missing = sorted(info["missing_keys"])
    if missing and checkpoint.family != "masked":
        raise ValueError(f"{recipe.base} has no weights for {missing[0]}: it is not a language model")
    if missing:
        fit_lm_head(lm, tokenizer, (row["input"] for row in rows), seed, show_progress_bar)
    return lm, tokenizer


def without_dropout(lm: PreTrainedModel) -> None:
    """Turn off all that is drawn at random in training; the config keeps its values, for those who train it on.

    Some dropout is a module; some a number that a module keeps, or looks up in its config when it runs.
    """
    kept = copy.deepcopy(lm.config)
    for module in lm.modules():
        for holder in filter(None, (module, vars(module).get("config"))):
            for name, value in vars(holder).items():
                is_chance = any(word in name for word in RANDOM) or (name == "p" and isinstance(module, nn.Dropout))
                if is_chance and isinstance(value, float):
                    setattr(holder, name, 0.0)
    lm.config = kept


def build_tokenizer(texts: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """Learn a byte-level BPE vocabulary: it can spell any Unicode text, and needs no unknown token."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[BOS, EOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(chain([INBEDDER] * 100, (f" {text}" for text in texts)), trainer)
    bpe.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, 0)])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token=BOS, eos_token=EOS, pad_token=PAD)


def build_model(size: Scratch, tokenizer: PreTrainedTokenizerBase) -> LlamaForCausalLM:
    """Make a causal model with random weights."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.hidden,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=size.intermediate,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=size.hidden**-0.5,  # small models learn to look at the question far sooner than with 0.02
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def fit_lm_head(
    lm: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Iterable[str], seed: int, show_progress_bar: bool
) -> None:
    """Teach a new LM head to name the token that a last-layer state stands for; nothing else is changed.

    A sentence embedder comes with an encoder only. From a random head, training on answers spends most of its steps on
    finding out which state means which word. Any texts will do.
    """
    pool, rng = sorted(set(texts)), Random(seed)
    generator = torch.Generator().manual_seed(seed)
    body = {id(parameter) for parameter in lm.base_model.parameters()}
    head = [parameter for parameter in lm.parameters() if id(parameter) not in body]
    optimizer = torch.optim.AdamW(head, lr=HEAD_LEARNING_RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, HEAD_STEPS)
    hidden = {} if show_progress_bar else {"disable": True}  # shown unless TQDM_DISABLE is set
    for _ in tqdm(range(HEAD_STEPS), desc="fitting the LM head", **hidden):
        drawn = [rng.choice(pool) for _ in range(HEAD_BATCH)]
        batch = tokenizer(drawn, padding=True, truncation=True, max_length=96, return_tensors="pt")
        ids, mask = batch["input_ids"], batch["attention_mask"]  # (B, T) each
        chance = torch.rand(ids.shape, generator=generator)  # (B, T)
        words = mask.bool() & ~torch.isin(ids, torch.tensor(tokenizer.all_special_ids))  # (B, T)
        seen = ids.masked_fill(words & (chance < HIDDEN_SHARE), tokenizer.mask_token_id)  # (B, T)
        read_back = words & (chance < READ_BACK_SHARE)  # (B, T)
        with only_states(lm.base_model, read_back):
            logits = lm(input_ids=seen, attention_mask=mask).logits[0]  # (tokens read back, V)
        loss = nn.functional.cross_entropy(logits.float(), ids[read_back])
        optimizer.zero_grad()
        loss.backward(inputs=head)
        optimizer.step()
        schedule.step()
    lm.zero_grad()


def add_lora(lm: PreTrainedModel, family: str) -> nn.Module:
    """Wrap a model so that low-rank updates of its matrices are trained only; needs the package `peft`."""
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise ImportError("lora needs the package peft: pip install 'inbedder-utils[train]'") from error
    task = {"causal": "CAUSAL_LM", "seq2seq": "SEQ_2_SEQ_LM", "masked": None}[family]
    return get_peft_model(lm, LoraConfig(task_type=task, r=16, lora_alpha=32, target_modules="all-linear"))
