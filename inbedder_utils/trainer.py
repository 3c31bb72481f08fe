"""The Trainer of transformers, made for answers: where the loss is, how batches are counted, what is evaluated."""

import math
import os
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PrinterCallback, Trainer, TrainingArguments

from inbedder_utils.evaluation import awareness
from inbedder_utils.examples import answer_loss
from inbedder_utils.hidden_states import only_states
from inbedder_utils.imitation import imitation_loss
from inbedder_utils.loading import FAMILIES
from inbedder_utils.presets import Preset
from inbedder_utils.registry import Checkpoint

FSDP = {
    "version": 2,
    "activation_checkpointing": True,
    "state_dict_type": "FULL_STATE_DICT",
    "cpu_ram_efficient_loading": True,
}


class AnswerTrainer(Trainer):
    """The Trainer of transformers, with the loss on answers only, and the awareness of questions beside the loss.

    Args:
        tokenizer: of the model.
        checkpoint: how its embedding is read.
        triplets: what awareness is measured on (`inbedder_utils.evaluation.answer_triplets`); it may be empty.
        imitate: weight of the second loss (`inbedder_utils.imitation`).
        args, kwargs: as for the Trainer.
    """

    def __init__(
        self,
        *args: Any,
        tokenizer: PreTrainedTokenizerBase,
        checkpoint: Checkpoint,
        triplets: list[dict[str, str]],
        imitate: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, compute_loss_func=answer_loss, **kwargs)
        self.tokenizer, self.checkpoint, self.triplets, self.imitate = tokenizer, checkpoint, triplets, imitate
        self.remove_callback(PrinterCallback)

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Loss of a batch; a masked model's LM head reads the masks only."""
        where = inputs.pop("answer_at", None)
        if where is None:
            return super().compute_loss(model, inputs, *args, **kwargs)
        vectors = inputs.pop("answer_vectors", None)
        with only_states(language_model(self.accelerator.unwrap_model(model)).base_model, where) as states:
            loss = super().compute_loss(model, inputs, *args, **kwargs)
        if vectors is None or not model.training:
            return loss
        return loss + self.imitate * imitation_loss(states[0], vectors) / self.args.gradient_accumulation_steps

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate the loss, then the share of triplets that the embeddings get right."""
        output = super().evaluation_loop(*args, **kwargs)
        if self.triplets:
            lm = language_model(self.accelerator.unwrap_model(self.model))
            encoder = FAMILIES[self.checkpoint.family][0](lm, self.tokenizer, self.checkpoint)
            with torch.autocast(self.args.device.type, torch.bfloat16, enabled=self.args.bf16):
                output.metrics["eval_awareness"] = awareness(encoder.encode, self.triplets)
        return output


def language_model(model: nn.Module) -> PreTrainedModel:
    """The model itself, without the wrapper of peft."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def training_arguments(
    recipe: Preset,
    folder: Path,
    *,
    rows: int,
    examples: int,
    max_steps: int | None,
    eval_steps: int | None,
    seed: int,
    device: torch.device,
    disable_tqdm: bool,
) -> TrainingArguments:
    """The paper's schedule: cosine, short warm-up, no weight decay; bfloat16 where the device computes in it."""
    on_cpu, n_devices = device.type == "cpu", int(os.environ.get("WORLD_SIZE", 1))
    per_example = rows / examples  # a read-once example holds several rows
    batch = max(1, round(recipe.batch_size / per_example))
    micro = max(1, min(round(recipe.micro_batch / per_example), batch // n_devices))
    accumulate = max(1, round(batch / (micro * n_devices)))
    total = max_steps or max(1, round(recipe.epochs * examples / (micro * n_devices * accumulate)))
    every = eval_steps or math.ceil(total / 10)
    sharded = recipe.sharded and n_devices > 1 and not on_cpu
    return TrainingArguments(
        output_dir=str(folder),
        use_cpu=on_cpu,
        bf16=torch.ops.mkldnn._is_mkldnn_bf16_supported() if on_cpu else device.type == "cuda",
        seed=seed,
        num_train_epochs=recipe.epochs,
        max_steps=max_steps or -1,
        per_device_train_batch_size=micro,
        per_device_eval_batch_size=micro,
        gradient_accumulation_steps=accumulate,
        train_sampling_strategy="group_by_length",
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=recipe.warmup,
        weight_decay=0.0,
        logging_steps=max(1, min(50, every)),
        eval_strategy="steps",
        eval_on_start=True,
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=1,
        prediction_loss_only=True,
        remove_unused_columns=False,
        dataloader_pin_memory=not on_cpu,
        fsdp=sharded,
        fsdp_config=FSDP if sharded else None,
        disable_tqdm=disable_tqdm,
        report_to="none",
    )
