"""The Trainer of transformers, made for answers: where the loss is, how batches are counted, what is evaluated."""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import nn
from torch.utils.data import Sampler
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PrinterCallback, Trainer, TrainingArguments

from inbedder_utils.encoder import Encoder
from inbedder_utils.evaluation.awareness import awareness
from inbedder_utils.families import FAMILIES
from inbedder_utils.inference.hidden_states import only_states
from inbedder_utils.registry import Checkpoint
from inbedder_utils.training.examples import IGNORED
from inbedder_utils.training.folders import CHECKPOINTS
from inbedder_utils.training.losses import answer_loss, imitation_loss
from inbedder_utils.training.muon import bfloat16_is_fast
from inbedder_utils.training.presets import Preset

FSDP = {"version": 2, "activation_checkpointing": True, "state_dict_type": "FULL_STATE_DICT"}
FSDP |= {"cpu_ram_efficient_loading": True}
SAME_IN_EVERY_RUN = {"lr_scheduler_type": "cosine", "weight_decay": 0.0, "report_to": "none"}
SAME_IN_EVERY_RUN |= {"eval_strategy": "steps", "eval_on_start": True, "prediction_loss_only": True}
SAME_IN_EVERY_RUN |= {"label_names": ["labels"]}  # some models know others, too, and are not judged without them
SAME_IN_EVERY_RUN |= {"save_strategy": "steps", "save_total_limit": 1, "remove_unused_columns": False}


class AlikeSampler(Sampler[int]):
    """Batches of like examples: of one type of text as far as possible, and of like lengths.

    Like lengths need little padding; about texts of one type the same is asked, so that a batch has equal and
    different answers to compare (`inbedder_utils.training.losses`). Seed and epoch decide on the order.
    """

    def __init__(
        self, examples: Sequence[dict[str, Any]], batch_size: int, seed: int, epoch: Callable[[], int]
    ) -> None:
        self.keys = [(example.get("type", ""), example["length"]) for example in examples]
        self.batch_size, self.seed, self.epoch = batch_size, seed, epoch

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[int]:
        rng, size = Random(f"{self.seed} {self.epoch()} order"), self.batch_size
        alike = sorted(rng.sample(range(len(self)), len(self)), key=self.keys.__getitem__)
        rest = len(alike) % size  # a short batch must be the last
        start = rng.randrange(0, len(alike) - rest + 1, size)
        last, alike = alike[start : start + rest], alike[:start] + alike[start + rest :]
        batches = [alike[i : i + size] for i in range(0, len(alike), size)]
        rng.shuffle(batches)
        return chain.from_iterable([*batches, last])


class AnswerTrainer(Trainer):
    """The Trainer of transformers, with the loss on answers only, and the awareness of questions beside the loss.

    Awareness is measured on `triplets` (`inbedder_utils.evaluation.answer_triplets`), if there are any; `imitate` is
    the weight of the second loss (`inbedder_utils.training.losses`).
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
        self.reader = FAMILIES[checkpoint.family][0](self._language_model(self.model), tokenizer, checkpoint)
        self._loss_shifts_labels = False  # ours are aligned with the logits: the first counts, too
        held_out_tokens = sum(label != IGNORED for example in self.eval_dataset for label in example["labels"])
        self.tokens_per_example = held_out_tokens / len(self.eval_dataset)
        self.remove_callback(PrinterCallback)

    def _get_train_sampler(self, train_dataset: Any = None) -> AlikeSampler:
        size = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        examples = self.train_dataset if train_dataset is None else train_dataset
        return AlikeSampler(examples, size, self.args.seed, lambda: int(self.state.epoch or 0))

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Loss of a batch; the LM head of a causal or masked model reads those states only that predict the answer."""
        if not model.training:  # the Trainer's mean over examples becomes one over tokens, whatever the batches
            kwargs["num_items_in_batch"] = self.tokens_per_example * len(inputs["input_ids"])
        where = inputs.pop("answer_at", None)
        if where is None:
            return super().compute_loss(model, inputs, *args, **kwargs)
        vectors, texts = (inputs.pop(name, None) for name in ("answer_vectors", "answer_texts"))
        with only_states(self.reader.stack, where) as states:
            loss = super().compute_loss(model, inputs, *args, **kwargs)
        if vectors is None or not model.training:
            return loss
        return loss + self.imitate * imitation_loss(states[0], vectors, texts) / self.args.gradient_accumulation_steps

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate the loss, then the share of triplets that the embeddings get right."""
        output = super().evaluation_loop(*args, **kwargs)
        if self.triplets:
            encoder = Encoder(self.reader)
            with torch.autocast(self.args.device.type, torch.bfloat16, enabled=self.args.bf16):
                output.metrics["eval_awareness"] = awareness(encoder.encode, self.triplets)
        return output

    def _language_model(self, model: nn.Module) -> PreTrainedModel:
        model = self.accelerator.unwrap_model(model)
        return model.get_base_model() if hasattr(model, "get_base_model") else model  # without peft's wrapper


def training_arguments(
    recipe: Preset,
    folder: Path,
    n_rows: int,
    n_examples: int,
    *,
    device: torch.device,
    max_steps: int | None,
    eval_steps: int | None,
    **others: Any,
) -> TrainingArguments:
    """The paper's schedule: cosine, short warm-up, no weight decay; bfloat16 where the device computes in it."""
    on_cpu, n_devices = device.type == "cpu", int(os.environ.get("WORLD_SIZE", 1))
    per_example = n_rows / n_examples  # a read-once example holds several rows
    batch = max(1, round(recipe.batch_size / per_example / n_devices))  # examples of a step, on one device
    most = max(1, round(recipe.micro_batch / per_example))
    micro = max(size for size in range(1, min(most, batch) + 1) if batch % size == 0)
    total = max_steps or max(1, round(recipe.epochs * n_examples / (batch * n_devices)))
    unit = 1 if total <= 500 else 50  # round numbers of steps in a long run
    every = eval_steps or math.ceil(total / (10 * unit)) * unit
    sharded = recipe.sharded and n_devices > 1 and not on_cpu
    return TrainingArguments(
        output_dir=str(folder / CHECKPOINTS),
        use_cpu=on_cpu,
        bf16=bfloat16_is_fast(device) and not recipe.muon,  # whose weights are in bfloat16 altogether
        num_train_epochs=recipe.epochs,
        max_steps=max_steps or -1,
        per_device_train_batch_size=micro,
        per_device_eval_batch_size=micro,
        gradient_accumulation_steps=batch // micro,
        learning_rate=recipe.learning_rate,
        warmup_steps=recipe.warmup,
        logging_steps=max(n for n in range(1, 51) if every % n == 0),  # a resumed run logs the same means
        eval_steps=every,
        save_steps=every,
        dataloader_pin_memory=not on_cpu,
        fsdp=sharded,
        fsdp_config=FSDP if sharded else None,
        **SAME_IN_EVERY_RUN,
        **others,
    )
