"""Training: a language model learns to answer questions about texts shortly (paper, section 3).

Each row is the prompt, the answer without its stop words, and the end token; the loss is on the answer alone. The
state that predicts the first answer token then knows what the answer is: it becomes the embedding.
"""

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
    set_seed,
)

from inbedder_utils.checks import integer, one_of
from inbedder_utils.devices import chosen_device
from inbedder_utils.optimizers import MuonWithAdam
from inbedder_utils.prompts import INBEDDER
from inbedder_utils.qa_data import DOMAINS, generate, notes, qa_rows, shorten_answer
from inbedder_utils.registry import Checkpoint
from inbedder_utils.saving import move_into_place, replaceable, save, write_card
from inbedder_utils.tokens import PromptTokenizer

IGNORED = -100  # a label that carries no loss
BOS, EOS, PAD = "<s>", "</s>", "<pad>"


@dataclass(frozen=True)
class Preset:
    """A recipe.

    Attributes:
        name: what it is called.
        texts, notes: generated texts and notes per domain; each is asked about all of its attributes.
        vocabulary: size of the tokenizer.
        hidden, layers, heads, intermediate: size of the model.
        max_length: most tokens of a row.
        max_new_tokens: most tokens of a generated answer.
        learning_rate: highest learning rate; it rises over `warmup` of the steps and falls as a cosine.
        warmup: share of the steps.
        batch_size: rows per step.
        epochs: passes over the rows.
    """

    name: str
    texts: int
    notes: int
    vocabulary: int = 4096
    hidden: int = 256
    layers: int = 3
    heads: int = 8
    intermediate: int = 512
    max_length: int = 256
    max_new_tokens: int = 4
    learning_rate: float = 2e-3
    warmup: float = 0.02
    batch_size: int = 32
    epochs: float = 1.0

    @property
    def checkpoint(self) -> Checkpoint:
        """How to get an embedding out of the trained model."""
        return Checkpoint(self.name, "causal", max_length=self.max_length, max_new_tokens=self.max_new_tokens)


PRESETS = {preset.name: preset for preset in [Preset("tiny", texts=4500, notes=6000)]}


def train(
    preset: str | Preset = "tiny",
    output: str | Path | None = None,
    *,
    seed: int = 0,
    device: str | torch.device | None = None,
    max_steps: int | None = None,
) -> Path:
    """Train a model, and write a folder that `load_encoder` reads.

    Args:
        preset: name of a recipe in `PRESETS`, or one of your own.
        output: folder for the result, replaced as a whole at the end; None for `checkpoints/<name>`.
        seed: of data, weights and order; on one machine the same seed gives the same weights.
        device: None for the best there is.
        max_steps: stop early, for a quick look.

    Returns:
        The folder.

    Raises:
        ValueError: for an unknown preset or device, or if `output` holds something other than a checkpoint.
    """
    recipe = preset if isinstance(preset, Preset) else PRESETS[one_of("preset", preset, PRESETS)]
    folder = replaceable(Path(output) if output is not None else Path("checkpoints") / recipe.name)
    steps = -1 if max_steps is None else integer("max_steps", max_steps, at_least=1)
    where = chosen_device(device)
    set_seed(seed)
    rows = training_rows(recipe, seed)
    tokenizer = build_tokenizer(chain.from_iterable(row.values() for row in rows), recipe.vocabulary)
    examples = encode_rows(rows, tokenizer, recipe.max_length)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        model = build_model(recipe, tokenizer)
        trainer = Trainer(
            model=model,
            args=training_arguments(recipe, scratch, seed, where, steps),
            train_dataset=examples,
            data_collator=AnswerCollator(tokenizer.pad_token_id),
            optimizers=(MuonWithAdam(model, recipe.learning_rate), None),
        )
        trainer.train()
        log = trainer.state.log_history
        card = write_card(recipe, model, log, seed=seed, rows=len(rows))
        save(Path(scratch) / "finished", model, tokenizer, recipe.checkpoint, log, card)
        move_into_place(Path(scratch) / "finished", folder)
    return folder


def training_rows(recipe: Preset, seed: int) -> list[dict[str, str]]:
    """Generate texts and notes of each domain, ask about each of their attributes, and shorten the answers."""
    labelled = [
        *chain.from_iterable(generate(domain, recipe.texts, seed=seed) for domain in DOMAINS),
        *chain.from_iterable(notes(domain, recipe.notes, seed=seed) for domain in DOMAINS),
    ]
    return [row | {"output": shorten_answer(row["output"])} for row in qa_rows(labelled, seed=seed)]


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


def build_model(recipe: Preset, tokenizer: PreTrainedTokenizerBase) -> LlamaForCausalLM:
    """Make a model with random weights."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        intermediate_size=recipe.intermediate,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=recipe.hidden**-0.5,  # small models learn to look at the question far sooner than with 0.02
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def encode_rows(
    rows: Sequence[dict[str, str]], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> list[dict[str, Any]]:
    """Tokenize rows for training.

    Args:
        rows: with input, instruction and output.
        tokenizer: of the model.
        max_length: most tokens of a prompt.

    Returns:
        Per row: `input_ids`, `labels` (the answer and the end token; `IGNORED` on the prompt) and `length`.
    """
    encode = PromptTokenizer(tokenizer, INBEDDER, max_length=max_length)
    prompts = encode([row["input"] for row in rows], [row["instruction"] for row in rows])
    answers = tokenizer([f" {row['output']}" for row in rows], add_special_tokens=False)["input_ids"]
    return [
        {
            "input_ids": prompt + answer + [tokenizer.eos_token_id],
            "labels": [IGNORED] * len(prompt) + answer + [tokenizer.eos_token_id],
            "length": len(prompt) + len(answer) + 1,
        }
        for prompt, answer in zip(prompts, answers, strict=True)
    ]


@dataclass(frozen=True)
class AnswerCollator:
    """Makes a batch, padded on the left, so that all answers stand at its end and only their logits are computed."""

    pad_id: int

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Pad ids and labels to one length; keep the labels from one position before the longest answer on."""
        rows = [example["input_ids"] for example in examples]
        keep = 1 + max(sum(label != IGNORED for label in example["labels"]) for example in examples)
        mask = [[1] * len(row) for row in rows]
        return {
            "input_ids": _left_padded(rows, self.pad_id),
            "attention_mask": _left_padded(mask, 0),
            "labels": _left_padded([example["labels"] for example in examples], IGNORED)[:, -keep:],
            "logits_to_keep": keep,
        }


def _left_padded(rows: list[list[int]], value: int) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor([[value] * (width - len(row)) + row for row in rows])


def training_arguments(
    recipe: Preset, scratch: str, seed: int, device: torch.device, max_steps: int
) -> TrainingArguments:
    """The paper's schedule (cosine, short warm-up, no weight decay); bfloat16 where the device computes in it."""
    on_cpu = device.type == "cpu"
    return TrainingArguments(
        output_dir=scratch,
        use_cpu=on_cpu,
        bf16=torch.ops.mkldnn._is_mkldnn_bf16_supported() if on_cpu else device.type == "cuda",
        seed=seed,
        num_train_epochs=recipe.epochs,
        max_steps=max_steps,
        per_device_train_batch_size=recipe.batch_size,
        train_sampling_strategy="group_by_length",
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=recipe.warmup,
        weight_decay=0.0,
        logging_steps=50,
        save_strategy="no",
        remove_unused_columns=False,
        dataloader_pin_memory=not on_cpu,
        report_to="none",
    )
