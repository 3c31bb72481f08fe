"""Vectors of a model that runs elsewhere, behind OpenAI's interface for embeddings: vLLM has it, and others."""

import base64
import json
import os
import re
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import urllib3
from transformers import AutoConfig

from inbedder_utils.base_encoder import BaseEncoder
from inbedder_utils.checks import first_line, integer, layer_index, positive, string
from inbedder_utils.loading.hub import check_config, fetch, quiet
from inbedder_utils.loading.load import prompts_of
from inbedder_utils.loading.settings import depth, find, fitting_length
from inbedder_utils.registry import Checkpoint
from inbedder_utils.storage.identity import identity, tokenizer_digits
from inbedder_utils.tokens import PromptTokenizer

KEY_VARIABLE = "INBEDDER_API_KEY"
TEXTS_PER_REQUEST = 32
"""What text-embeddings-inference takes at most, unless it is told otherwise."""
MAY_PASS = (429, 500, 502, 503, 504)
"""Answers after which a request is sent again."""
LONGEST_WAIT = 120
"""Seconds between two tries, at most, whatever the server says."""


class HttpEncoder(BaseEncoder):
    """Embeds texts with a model that a server runs: `encode`, `encode_many` and `unread` are those of an `Encoder`.

    Prompts are made here, as the checkpoint's settings say; no weights are read. The server must give the state of the
    last token after the last layer, as it is (docs/serving.md). It doesn't tell its weights: vectors are kept in a
    cache under its address, the model's name, the settings and the tokenizer. A further question costs as much as the
    first, unless the server keeps what prompts begin with. `batch_size` is texts per request, None for 32.

    The key, if the server wants one, is read from the environment variable INBEDDER_API_KEY at every request.

    Args:
        url: where the interface is, such as "http://localhost:8000/v1".
        checkpoint: what is served: a causal one, by its name, folder or id on the hub, whose pooling is `fst_gen` at
            the last layer.
        model: what the server calls it; None for the checkpoint's name.
        as_text: send prompts as text, not as token ids. The server then adds special tokens, and takes those that are
            spelled out in a text for markup.
        concurrency: requests at a time.
        timeout: seconds to wait for a connection, and again for an answer.
        retries: how often a request is sent again that gets no answer, or one of 429, 500, 502, 503 and 504: at once,
            then after 1, 2, 4 ... seconds, or after as many as the server asks for, up to 120.

    Raises:
        TypeError, ValueError: for an argument that is not accepted, or a checkpoint that can't be served.
        OSError: if the tokenizer can't be read; when encoding, if the server can't be reached or refuses, or its answer
            is not one vector of the model's width per text.
    """

    def __init__(
        self,
        url: str,
        checkpoint: str | Path = "BrandonZYW/llama-2-7b-InBedder",
        *,
        model: str | None = None,
        as_text: bool = False,
        concurrency: int = 8,
        timeout: float = 60.0,
        retries: int = 5,
    ) -> None:
        self.url, self.as_text = _checked_url(url), bool(as_text)
        self.concurrency = integer("concurrency", concurrency, at_least=1)
        self.timeout, self.retries = positive("timeout", timeout), integer("retries", retries, at_least=0)
        self.checkpoint, self.prompt_tokenizer, self.width = _read_settings(checkpoint)
        self.model = self.checkpoint.name if model is None else string("model", model)

    def _lasting_identity(self) -> dict[str, Any]:
        named = None if self.model == self.checkpoint.name else self.model  # as a path, it may be spelled in many ways
        served = {"repr": [self.url, named, self.as_text]}
        return identity(self) | served | {"tokenizer": tokenizer_digits(self.prompt_tokenizer.tokenizer)}

    def _new_vectors(
        self, texts: list[str], questions: list[str], *, batch_size: int | None = None, done: Any = (), bar: Any
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Embeddings that aren't done yet, in whatever order the server gives them."""
        prompts = self._prompts(texts, questions, bar)
        left, size = [i for i in range(len(texts)) if i not in done], batch_size or TEXTS_PER_REQUEST
        batches = (left[i : i + size] for i in range(0, len(left), size))
        ended, executor = Event(), ThreadPoolExecutor(self.concurrency)
        pool, running = self._pool(ended), {}
        try:
            while True:
                for indices in islice(batches, self.concurrency - len(running)):
                    running[executor.submit(self._embedded, pool, [prompts[i] for i in indices])] = indices
                if not running:
                    return
                finished = wait(running, return_when=FIRST_COMPLETED).done
                for request in sorted(finished, key=lambda request: request.exception() is not None):
                    indices = running.pop(request)
                    yield indices, request.result()  # errors come last, so that what is there is kept
                    bar.update(len(indices))
        finally:
            ended.set()
            executor.shutdown(wait=False, cancel_futures=True)
            pool.clear()

    def _prompts(self, texts: list[str], questions: list[str], bar: Any) -> list[list[int]] | list[str]:
        """What is sent for each text, cut to the checkpoint's length."""
        read = self.prompt_tokenizer
        rows = (read.strings if self.as_text else read.tokenized)(texts, questions)
        bar.read, bar.cut = bar.read + len(rows), bar.cut + sum(cut for _, cut in rows)
        return [prompt for prompt, _ in rows]

    def _pool(self, ended: Event) -> urllib3.PoolManager:
        """Connections for one call: an encoder that holds none can be sent to other processes."""
        retries = _Retry(
            self.retries,
            allowed_methods=None,  # all of them: a POST changes nothing here
            status_forcelist=MAY_PASS,
            raise_on_status=False,
            backoff_factor=0.5,
            backoff_jitter=0.5,
            retry_after_max=LONGEST_WAIT,
        )
        retries.ended = ended
        return urllib3.PoolManager(maxsize=self.concurrency, timeout=self.timeout, retries=retries)

    def _embedded(self, pool: urllib3.PoolManager, prompts: list[Any]) -> np.ndarray:
        """Ask for the vectors of n prompts: (n, d) float32."""
        sent = {"model": self.model, "input": prompts, "encoding_format": "base64"}
        try:
            answer = pool.request("POST", f"{self.url}/embeddings", json=sent, headers=_headers(), redirect=False)
        except urllib3.exceptions.HTTPError as error:
            reason = first_line(getattr(error, "reason", None) or error).rpartition("): ")[2]
            if not isinstance(error, urllib3.exceptions.MaxRetryError):
                raise OSError(f"the answer of {self.url} can't be read: {reason}") from error
            tries = f"{self.retries + 1} {'try' if self.retries == 0 else 'tries'}"
            raise OSError(f"no answer from {self.url} after {tries} ({reason}): is the server running?") from error
        if answer.status != 200:
            raise OSError(self._refusal(pool, answer.status, _shown(answer.data)))
        return self._vectors(answer.data, len(prompts))

    def _refusal(self, pool: urllib3.PoolManager, status: int, said: str) -> str:
        refused = f"{self.url} answers {status} ({said})"
        if status in (401, 403):
            return f"{refused}: set the environment variable {KEY_VARIABLE} to a key that it takes"
        if status == 413:
            return f"{refused}: pass a smaller batch_size"
        if status not in (400, 404):
            return refused
        try:
            listed = pool.request("GET", f"{self.url}/models", headers=_headers(), redirect=False, retries=False)
            models = [entry["id"] for entry in json.loads(listed.data)["data"]]
        except (urllib3.exceptions.HTTPError, ValueError, KeyError, TypeError):
            return f"{refused}; it lists no models, does its address end in /v1?" if status == 404 else refused
        some = ", ".join(map(repr, models[:5])) + ", ..." * (len(models) > 5)
        return refused if self.model in models else f"{refused}; it serves {_shown(some.encode())}: pass model="

    def _vectors(self, body: bytes, n: int) -> np.ndarray:
        """Read an answer: (n, d) float32, in the order that its indices say."""
        try:
            vectors = {entry["index"]: _numbers(entry["embedding"]) for entry in json.loads(body)["data"]}
        except (ValueError, KeyError, TypeError) as error:
            raise OSError(f"{self.url} answers with something else than embeddings: {_shown(body)}") from error
        if vectors.keys() != set(range(n)):
            raise OSError(f"{self.url} gave {len(vectors)} vectors for {n} texts, or numbered them wrongly")
        wrong = [vector.shape for vector in vectors.values() if vector.shape != (self.width,)]
        if wrong:
            own = f"{self.checkpoint.name} has ({self.width},)"
            raise OSError(f"{self.url} gave a vector of shape {wrong[0]}, but {own}: does it serve another model?")
        return np.stack([vectors[i] for i in range(n)])  # (n, d)

    def __repr__(self) -> str:
        named = f"{self.checkpoint.name!r}, model={self.model!r}"
        return f"HttpEncoder({self.url!r}, {named}, as_text={self.as_text})"


class _Retry(urllib3.Retry):
    """Sends a request again until the call that made it has `ended`: a program would wait for it before it exits."""

    ended: Event

    def new(self, **changed: Any) -> "_Retry":
        retry = super().new(**changed)
        retry.ended = self.ended
        return retry

    def sleep(self, response: urllib3.BaseHTTPResponse | None = None) -> None:
        if self.ended.wait((response and self.get_retry_after(response)) or self.get_backoff_time()):
            raise urllib3.exceptions.HTTPError("nobody waits for this answer")


def _read_settings(name_or_path: str | Path) -> tuple[Checkpoint, PromptTokenizer, int]:
    """A checkpoint that can be served, what makes its prompts, and the width of its vectors."""
    checkpoint, source = find(name_or_path, None, False, None)
    gives = "a server gives the last token's state of the last layer"
    if (checkpoint.family, checkpoint.pooling) != ("causal", "fst_gen"):
        wanted = f"{checkpoint.name} is {checkpoint.family} with pooling {checkpoint.pooling}"
        raise ValueError(f"{gives}, which fits causal models with pooling fst_gen; {wanted}: use load_encoder")
    hub = {"revision": None if checkpoint.folder else checkpoint.revision}
    with quiet(checkpoint.folder is not None):
        config = fetch(AutoConfig.from_pretrained, source, **hub)
        check_config(config, checkpoint.family)
        n_layers = depth(config, checkpoint.pooling)
        if layer_index(checkpoint.layer, n_layers) != n_layers:
            raise ValueError(f"{gives}, not layer {checkpoint.layer} of {checkpoint.name}: use load_encoder")
        checkpoint = fitting_length(checkpoint, config, None)
        prompt_tokenizer = prompts_of(source, checkpoint, config, **hub)
    width = getattr(config, "word_embed_proj_dim", config.get_text_config().hidden_size)  # OPT-350m narrows its states
    return checkpoint, prompt_tokenizer, width


def _checked_url(url: Any) -> str:
    try:
        parts = urllib3.util.parse_url(string("url", url))
    except urllib3.exceptions.LocationParseError:
        parts = urllib3.util.Url()
    if parts.auth or parts.query or parts.fragment:  # it may be a secret: it is not shown
        raise ValueError(f"url must end with its path, and hold no key: set the environment variable {KEY_VARIABLE}")
    if parts.scheme not in ("http", "https") or not parts.host:
        raise ValueError("url must be an address such as 'http://localhost:8000/v1'")
    return url.strip().rstrip("/")


def _key() -> str:
    """The key, or an empty string; an error of the HTTP client would show it."""
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not re.fullmatch(r"[!-~]*", key):
        raise ValueError(f"the environment variable {KEY_VARIABLE} holds spaces or other characters that no key has")
    return key


def _headers() -> dict[str, str]:
    return {"Authorization": f"Bearer {_key()}"} if _key() else {}


def _shown(body: bytes) -> str:
    """What a server said, in one line of at most 300 characters, without the key."""
    said, key = " ".join(body.decode("utf-8", "replace").split()), _key()
    return (said.replace(key, "...") if key else said)[:300] or "without a word"


def _numbers(embedding: str | list[float]) -> np.ndarray:
    """A vector, which servers send as bytes in base64 if they can: (d,) float32."""
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
    return np.asarray(embedding, dtype=np.float32)
