"""An encoder as other tools want it: a SentenceTransformer, or LangChain's embeddings."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from inbedder_utils.checks import checked_questions
from inbedder_utils.encoder import Encoder
from inbedder_utils.storage.identity import name_and_revision

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from sentence_transformers import SentenceTransformer


def as_sentence_transformer(
    encoder: Encoder, instruction: str, prompts: Mapping[str, str] | None = None
) -> "SentenceTransformer":
    """Make a SentenceTransformer that asks; for BERTopic, mteb, and whatever else takes one.

    A prompt is a question here, asked instead of `instruction`, and never put in front of a text:
    `encode(texts, prompt="What is needed?")`. An empty one stands for `instruction`, and so do the names "query" and
    "document" (`encode_query`, `encode_document`) unless `prompts` has others. mteb takes the question for a task from
    `prompts` too, by the name or type of task; to ask each task's own, use
    `inbedder_utils.evaluation.mteb_bridge.MtebEncoder`.

    Vectors are those of `encoder.encode`: (n, d) float32, not normalized unless `normalize_embeddings=True`. The
    encoder is not copied: `to(device)` moves it. `batch_size` is the number of texts that it is given at once; in them
    it forms its own batches, by tokens. A text that is not a string is noticed when its turn comes. The model can't be
    trained or saved; a copy of it can be sent to other processes (`device=["cuda:0", "cuda:1"]`).

    Args:
        encoder: from `load_encoder`, of a model with an LM head.
        instruction: the question.
        prompts: {name: question}, for `encode(texts, prompt_name=name)`.

    Returns:
        The model, on the encoder's device.

    Raises:
        TypeError: if `encoder` is something else, or a question is not a string.
        ValueError: if a question is empty.
        ImportError: if sentence-transformers is not installed.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ImportError(f"{error}: install sentence-transformers, pip install -e '.[embedders]'") from error
    _check(encoder)
    prompts = dict(prompts or {})
    checked_questions([instruction, *prompts.values()])
    asking = Asking(encoder, instruction)
    # No class of ours: BERTopic and others go by the name of the class.
    model = SentenceTransformer(modules=[asking], prompts=prompts, device=str(encoder.lm.device))
    model.save = asking.save  # refuses at once, and not when half a folder is written
    name, revision = name_and_revision(encoder, question=instruction, prompts=prompts)
    # mteb keeps scores by these two, and without them would give one question's to another.
    model.model_card_data.model_name, model.model_card_data.base_model_revision = name, revision
    return model


class Asking(nn.Module):
    """The one module of such a SentenceTransformer; its methods are called by that.

    Attributes:
        encoder: the encoder.
        question: asked where no prompt is given.
        lm: the encoder's model, so that it is moved with this module.
    """

    def __init__(self, encoder: Encoder, question: str) -> None:
        super().__init__()
        self.encoder, self.question, self.lm = encoder, question, encoder.lm

    def preprocess(self, inputs: Sequence[str], prompt: str | None = None, **_: Any) -> dict[str, Any]:
        """Put texts and question together; `forward` checks them, for a TypeError here is taken for an old module's."""
        return {"texts": inputs, "question": prompt or self.question}

    def forward(self, features: dict[str, Any]) -> dict[str, Tensor]:
        """Embed a batch: (B, d) float32 on the model's device."""
        (question,) = checked_questions([features["question"]])  # one for all: texts have been sorted by length
        vectors = self.encoder.encode(features["texts"], question)
        return {"sentence_embedding": torch.from_numpy(vectors).to(self.lm.device)}

    def get_embedding_dimension(self) -> int:
        """The width of the vectors."""
        return self.encoder.encode([], self.question).shape[1]

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The encoder's tokenizer."""
        return self.encoder.tokenizer

    @property
    def max_seq_length(self) -> int:
        """Most tokens that the model reads, prompt and question included."""
        return self.encoder.checkpoint.max_length

    @max_seq_length.setter
    def max_seq_length(self, value: int) -> None:
        raise ValueError(f"the length is set when the encoder is loaded: load_encoder(..., max_length={value})")

    def save(self, *_: Any, **__: Any) -> None:
        """Refuse.

        Raises:
            NotImplementedError: always.
        """
        name = self.encoder.checkpoint.name
        raise NotImplementedError(
            f"a SentenceTransformer that asks can't be saved, for sentence-transformers could not load it: keep the "
            f"encoder's name or folder and the question, and make it again with "
            f"as_sentence_transformer(load_encoder({name!r}), {self.question!r})"
        )


def as_langchain(encoder: Encoder, instruction: str) -> "Embeddings":
    """Make LangChain's embeddings: documents and queries, all asked the same question.

    Vectors have unit length, so that stores that compare by cosine, by inner product or by distance all give the same
    order. The asynchronous methods run in a thread.

    Args:
        encoder: from `load_encoder`, of a model with an LM head.
        instruction: the question.

    Returns:
        Something with `embed_documents(list of n texts)`, n lists of d floats, and `embed_query(text)`, a list of d
        floats; both raise as `Encoder.encode`.

    Raises:
        TypeError: if `encoder` is something else, or the question is not a string.
        ValueError: if the question is empty.
        ImportError: if langchain-core is not installed.
    """
    try:
        from langchain_core.embeddings import Embeddings
    except ImportError as error:
        raise ImportError(f"{error}: install langchain-core, pip install -e '.[ecosystem]'") from error
    _check(encoder)
    (question,) = checked_questions([instruction])

    class Answers(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return encoder.encode(texts, question, normalize_embeddings=True).tolist()

        def embed_query(self, text: str) -> list[float]:
            return self.embed_documents([text])[0]

    return Answers()


def _check(encoder: Any) -> None:
    if not isinstance(encoder, Encoder):
        raise TypeError(
            f"encoder must be what load_encoder makes of a language model, got {encoder!r} "
            f"(of a plain sentence embedder, take its `model`)"
        )
