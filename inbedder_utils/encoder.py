"""The encoder: ask every text a question, return the states of the expected answers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from operator import attrgetter
from typing import Any

import numpy as np
import torch

from inbedder_utils.base_encoder import BaseEncoder, Instruction, Texts
from inbedder_utils.checks import as_list, checked_batch_size, checked_instructions, checked_texts, integer
from inbedder_utils.inference.long_texts import Passages
from inbedder_utils.inference.processes import spread
from inbedder_utils.inference.progress import counting
from inbedder_utils.inference.reader import Key, Reader
from inbedder_utils.inference.text_memory import TextMemory
from inbedder_utils.pooling import scaled
from inbedder_utils.registry import checked_poolings
from inbedder_utils.storage.identity import lasting_identity


class Encoder(BaseEncoder):
    """Embeds each text as the answer that a language model expects; made by `inbedder_utils.load_encoder`.

    Args:
        reader: runs the model; one of `inbedder_utils.families`.
        re_encoder: for the pooling `re_encode`: its `encode(list of answers)` gives the vectors.
    """

    lm = property(attrgetter("reader.lm"), doc="The model, with its LM head.")
    tokenizer = property(attrgetter("reader.tokenizer"), doc="The model's tokenizer.")
    checkpoint = property(attrgetter("reader.checkpoint"), doc="Family, prompt, pooling, layer, lengths.")
    prompt_tokenizer = property(attrgetter("reader.prompt_tokenizer"), doc="Makes ids of texts and questions.")
    layer_index = property(attrgetter("reader.layer_index"), doc="(pooling, layer) -> layer counted from 0.")

    def __init__(self, reader: Reader, re_encoder: Any = None) -> None:
        self.reader, self.re_encoder = reader, re_encoder

    def pooled(
        self,
        texts: Texts,
        instruction: Instruction,
        poolings: Sequence[str] | None = None,
        layers: Sequence[int] | None = None,
        *,
        batch_size: int | None = None,
        show_progress_bar: bool = False,
    ) -> dict[Key, np.ndarray]:
        """Embeddings by several poolings at several layers, in one pass over the texts.

        Arguments and errors are those of `encode`, and besides, with None for the encoder's own: `poolings`, any of
        `inbedder_utils.registry.POOLINGS` but `re_encode`; and `layers`, 0 (token embeddings) to the number of blocks,
        negative ones from the end. A ValueError names an unknown pooling or a layer out of range.

        Returns:
            {(pooling, layer): (n, d) float32}, neither standardized nor normalized; layers are named as given.
        """
        checked_batch_size(batch_size)
        names = checked_poolings([self.checkpoint.pooling] if poolings is None else poolings, self.checkpoint.family)
        layers = [self.checkpoint.layer] if layers is None else as_list("layers", layers, "pass [layer]")
        if not names or not layers:
            raise ValueError(f"poolings and layers must name at least one each, got {names} and {layers}")
        wanted = {(name, layer): (name, self.layer_index(name, layer)) for name in names for layer in layers}
        texts = checked_texts(texts)
        questions = checked_instructions(instruction, len(texts))
        with counting(len(texts), show_progress_bar, self.checkpoint.max_length) as bar:
            passages, keys = Passages(self.prompt_tokenizer, texts, questions), set(wanted.values())
            pooled = self.reader.pooled(passages.texts, passages.questions, keys, batch_size=batch_size, bar=bar)
        return {given: passages.averaged(pooled[key]) for given, key in wanted.items()}

    def answer(
        self, texts: Texts, instruction: Instruction, *, batch_size: int | None = None, show_progress_bar: bool = False
    ) -> list[str]:
        """Answer the question for each text, in words (greedy search); arguments and errors are those of `encode`.

        Returns:
            n answers of at most the checkpoint's `max_new_tokens` (masked models: `n_masks`) tokens; may be empty.
        """
        checked_batch_size(batch_size)
        texts = checked_texts(texts)
        questions = checked_instructions(instruction, len(texts))
        with counting(len(texts), show_progress_bar, self.checkpoint.max_length) as bar:
            batches = self.reader.answer_batches(texts, questions, batch_size=batch_size, bar=bar)
            answers = {i: answer for indices, batch in batches for i, answer in zip(indices, batch, strict=True)}
        return [answers[i] for i in range(len(texts))]

    def encode_with_answers(
        self, texts: Texts, instruction: Instruction, *, show_progress_bar: bool = False
    ) -> tuple[np.ndarray, list[str]]:
        """What `encode` and `answer` give, arguments and errors too; a masked model reads each text once for both.

        Returns:
            (n, d) float32, and n answers.
        """
        texts, answer_key = checked_texts(texts), self.reader.answer_key
        apart = self.checkpoint.pooling == "re_encode" or self.prompt_tokenizer.truncation == "passages"
        if apart or answer_key is None:
            run = {"show_progress_bar": show_progress_bar}
            return self.encode(texts, instruction, **run), self.answer(texts, instruction, **run)
        questions = checked_instructions(instruction, len(texts))
        with counting(len(texts), show_progress_bar, self.checkpoint.max_length) as bar:
            pooled = self.reader.pooled(texts, questions, {self._own_key, answer_key}, bar=bar)
        return scaled(pooled[self._own_key], self.checkpoint.standardize), self.reader.decode(pooled[answer_key])

    def remembering(self, max_bytes: int = 2**30) -> "Encoder":
        """A copy that keeps what it reads of texts, so that further questions about them cost the questions only.

        That is for causal models and for masked ones with read-once attention (`mini`, which takes 18 kB per token);
        others are copied as they are. The weights are shared, and must not change.

        Args:
            max_bytes: most to keep, on the model's device, at least 1; texts beyond are read for every question.
        """
        reader = copy(self.reader)
        reader.memory = TextMemory(integer("max_bytes", max_bytes, at_least=1))
        return Encoder(reader, self.re_encoder)

    @contextmanager
    def on(self, devices: Sequence[str | torch.device]) -> Iterator["Encoder"]:
        """A copy that runs on several devices at once, in a `with`: a process on each, with its own copy of the model.

        Starting takes some seconds, once for all calls. Each process imports the script that it is started from, which
        needs `if __name__ == "__main__":` before what it runs. Vectors and answers are this encoder's, but for a
        vector's last bits; nothing is remembered. `words` runs in this process, and so does all after the `with`.
        The model goes there by a file as large as it is, in the folder for temporary files (TMPDIR names another).

        Args:
            devices: such as ["cuda:0", "cuda:1"]. "cpu" may come several times: processes share torch's threads. This
                encoder's model stays where it is, best on the CPU: `load_encoder(..., device="cpu", dtype="bfloat16")`.

        Raises:
            TypeError, ValueError: if that is no list of devices, or one is not there, before a process is started.
            RuntimeError: if a process is killed; what was in `cache` by then is kept.
        """
        with spread(self.reader, devices) as reader:
            yield Encoder(reader, self.re_encoder)

    def words(self, embeddings: np.ndarray, k: int = 10) -> list[list[str]]:
        """Read embeddings back as words: the vocabulary entries to which the LM head gives the highest scores.

        Exact for last-layer states that the head was made for; a lower layer or an average gives hints.

        Args:
            embeddings: (n, d) from `encode`, not normalized; or an average of them.
            k: words per embedding.

        Returns:
            n lists of k words (fewer if the vocabulary has fewer), best first. Special tokens, pieces without a
            letter or digit, and repetitions that differ only in case or leading space are left out.

        Raises:
            TypeError: if `embeddings` holds something else than numbers, or `k` is not an integer.
            ValueError: if `embeddings` is not (n, d) with the width of the last layer, or not finite.
        """
        return [list(words) for words in self.word_probabilities(embeddings, k)]

    def word_probabilities(self, embeddings: np.ndarray, k: int = 10) -> list[dict[str, float]]:
        """What `words` gives, arguments and errors too, with probabilities (0 to 1): a softmax of the head's scores."""
        return self.reader.words(embeddings, integer("k", k, at_least=1))

    @property
    def _own_key(self) -> Key:
        return self.checkpoint.pooling, self.layer_index(self.checkpoint.pooling, self.checkpoint.layer)

    def _lasting_identity(self) -> dict[str, Any]:
        return lasting_identity(self)

    def _new_vectors(
        self, texts: list[str], questions: list[str], **run: Any
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Embeddings that aren't done yet, batch by batch: indices of the texts, and (b, d) float32."""
        if self.checkpoint.pooling == "re_encode":
            for indices, answers in self.reader.answer_batches(texts, questions, **run):
                yield indices, np.asarray(self.re_encoder.encode(answers), dtype=np.float32)
            return
        for indices, pooled in self.reader.pooled_batches(texts, questions, {self._own_key}, **run):
            yield indices, pooled[self._own_key]

    def __repr__(self) -> str:
        c, config = self.checkpoint, self.lm.config.get_text_config()
        read = "once for all its questions" if self.reader.trials.shares_texts else "for each question"
        return (
            f"Encoder({c.name!r}: {c.family}, {config.num_hidden_layers} layers of width {config.hidden_size}, "
            f"pooling {c.pooling} at layer {c.layer}, {str(self.lm.dtype).removeprefix('torch.')} on {self.lm.device}, "
            f"attention {config._attn_implementation}, at most {c.max_length} tokens, a text read {read})"
        )
