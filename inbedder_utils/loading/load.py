"""From a name or a folder to an encoder that is ready: settings, tokenizer, weights, device."""

import warnings
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

from inbedder_utils.checks import layer_index
from inbedder_utils.encoder import Encoder
from inbedder_utils.families import FAMILIES
from inbedder_utils.families.sentence import SentenceEmbedder
from inbedder_utils.inference.devices import chosen_device
from inbedder_utils.inference.reader import Reader
from inbedder_utils.loading.devices import check_attention, chosen_dtype
from inbedder_utils.loading.hub import check_config, fetch, offline, quiet, read_tokenizer
from inbedder_utils.loading.settings import depth, find, fitting_length
from inbedder_utils.registry import Checkpoint
from inbedder_utils.tokens import PromptTokenizer, Truncation


def load_encoder(
    name_or_path: str | Path = "mini",
    *,
    family: str | None = None,
    prompt: str | None = None,
    pooling: str | None = None,
    layer: int | None = None,
    max_length: int | None = None,
    max_new_tokens: int | None = None,
    n_masks: int | None = None,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    attn_implementation: str | None = None,
    truncation: Truncation = "text",
    re_encoder: Any = None,
    revision: str | None = None,
    local_files_only: bool = False,
) -> Encoder | SentenceEmbedder:
    """Load a model that embeds texts as the answers it expects.

    Settings that are left out are those of the registered checkpoint, of the folder's `inbedder.json`, or inferred
    from the model's config. Code that comes with a checkpoint is never run.

    Args:
        name_or_path: a name from `list_checkpoints()`, a folder, or any id on the Hugging Face hub.
        family: "causal", "masked", "seq2seq", or "sentence" (a plain sentence embedder).
        prompt: template that holds `{input}` and `{instruction}`.
        pooling: one of `inbedder_utils.registry.POOLINGS`.
        layer: 0 (token embeddings) to the number of blocks; -1 is the last.
        max_length: most tokens that the model reads.
        max_new_tokens: most tokens of a generated answer.
        n_masks: mask tokens of a masked model's answer.
        dtype: "float32", "bfloat16" or "float16"; None means bfloat16 on CUDA, else float32.
        device: such as "cpu", "cuda", "cuda:1", "mps"; None picks CUDA, then MPS, then the CPU.
        attn_implementation: "eager", "sdpa" or "flash_attention_2"; None picks the best that needs no extra package.
        truncation: "text" cuts the end of a long text off; "passages" reads all of it, and averages the vectors of its
            passages (answers are about its beginning); "left" cuts the whole prompt, as the original code does.
        re_encoder: for `pooling="re_encode"`: anything whose `encode(list of answers)` gives an (n, d) array.
        revision: a commit on the hub, instead of the registered one.
        local_files_only: never reach for the network.

    Returns:
        The encoder, in evaluation mode on its device.

    Raises:
        TypeError, ValueError: for a setting that is not accepted, before weights are read.
        OSError: if there is no such checkpoint, or it is not complete, or can't be reached.
    """
    checkpoint, source = find(name_or_path, revision, local_files_only, family)
    if revision is not None and checkpoint.folder:
        where = f"for a checkpoint on the hub, but {source} is a folder"
        raise ValueError(f"revision={revision!r} is {where}: leave it out")
    settings = {"prompt": prompt, "pooling": pooling, "layer": layer, "max_length": max_length}
    checkpoint = checkpoint.with_settings(**settings, max_new_tokens=max_new_tokens, n_masks=n_masks, revision=revision)
    device = chosen_device(device)
    dtype = chosen_dtype(dtype, device)
    hub = {"revision": None if checkpoint.folder else checkpoint.revision, "local_files_only": local_files_only}
    with offline(local_files_only), quiet(checkpoint.folder is not None):
        if checkpoint.family == "sentence":
            unused = {"layer": layer, "n_masks": n_masks, "max_new_tokens": max_new_tokens, "re_encoder": re_encoder}
            unused["attn_implementation"] = attn_implementation
            unused["truncation"] = None if isinstance(truncation, str) and truncation == "text" else truncation
            return _load_sentence_embedder(checkpoint, source, unused, device=device, dtype=dtype, **hub)
        _check_re_encoder(checkpoint, re_encoder)
        check_attention(attn_implementation, checkpoint.family, device, dtype)
        reader_class, model_class = FAMILIES[checkpoint.family]
        config = fetch(AutoConfig.from_pretrained, source, **hub)
        if type(config) not in model_class._model_mapping:
            kind = f"{config.model_type} models are not {checkpoint.family} ones"
            raise ValueError(f"{kind}: leave family out to infer it")
        check_config(config, checkpoint.family)
        layer_index(checkpoint.layer, depth(config, checkpoint.pooling))
        checkpoint = fitting_length(checkpoint, config, max_length)
        tokenizer = prompts_of(source, checkpoint, config, truncation, **hub).tokenizer
        if type(tokenizer.backend_tokenizer.model).__name__ == "BPE":  # else transformers warns that it won't do it
            tokenizer.clean_up_tokenization_spaces = False
        # With its config given, the attention is what is asked for here, not what its config.json asks for.
        weights = {"config": config, "dtype": dtype, "attn_implementation": attn_implementation}
        lm, info = fetch(model_class.from_pretrained, source, **weights, **hub, output_loading_info=True)
    reader = reader_class(lm.to(device), tokenizer, checkpoint, truncation=truncation)
    _check_weights(reader, sorted(info["missing_keys"]))
    reader.trials  # noqa: B018  (a model that can't be read is refused here, and not at the first text)
    return Encoder(reader, re_encoder)


def _check_weights(reader: Reader, missing: list[str]) -> None:
    """Refuse random weights where vectors depend on them; warn where only answers and words do."""
    if not missing:
        return
    checkpoint, stacks = reader.checkpoint, (reader.stack, reader.stack_of("avg_ppt"))
    of_body = {id(parameter) for stack in stacks for parameter in stack.parameters()}
    named = dict(reader.lm.named_parameters(remove_duplicate=False))
    body = [name for name in missing if id(named.get(name)) in of_body]
    without = f"{checkpoint.name} has no weights for {', '.join((body or missing)[:3])} ..."
    doubt = f"Is it a {checkpoint.family} language model?"
    answers = checkpoint.pooling == "re_encode" or reader.needs_generation({checkpoint.pooling})
    if body or answers or checkpoint.lm_head_transform:
        raise OSError(f"{without}, and its vectors would be random. {doubt} Is the folder complete?")
    warnings.warn(f"{without}: they are random, and so are answers and words. {doubt}", stacklevel=3)


def _load_sentence_embedder(
    checkpoint: Checkpoint, source: str, unused: dict[str, Any], *, device: torch.device, dtype: torch.dtype, **hub: Any
) -> SentenceEmbedder:
    plain = f"{checkpoint.name} is a plain sentence embedder"
    given = [name for name, value in unused.items() if value is not None]
    if given:
        raise ValueError(f"{plain}: {', '.join(given)} has no meaning for it")
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ImportError(f"{plain}: pip install sentence-transformers") from error
    model = fetch(SentenceTransformer, source, device=str(device), model_kwargs={"dtype": dtype}, **hub)
    model.max_seq_length = min(checkpoint.max_length, model.max_seq_length or checkpoint.max_length)
    return SentenceEmbedder(model, checkpoint)


def prompts_of(
    source: str, checkpoint: Checkpoint, config: Any, truncation: Truncation = "text", **hub: Any
) -> PromptTokenizer:
    """What makes a checkpoint's prompts; a ValueError if it gives ids for which the model has no embedding."""
    tokenizer, n = read_tokenizer(source, **hub), config.get_text_config().vocab_size
    prompt_tokenizer = FAMILIES[checkpoint.family][0].make_prompt_tokenizer(tokenizer, checkpoint, truncation)
    never = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special} | set(tokenizer.all_special_ids)
    readable = set(tokenizer.get_vocab().values()) - never
    frame = prompt_tokenizer.prefix + prompt_tokenizer.between + prompt_tokenizer.masks + prompt_tokenizer.suffix
    most = max(readable.union(frame))
    if most >= n:
        given = f"it gives ids up to {most}, but the model has embeddings for {n} tokens"
        doubt = "is the tokenizer.json of another checkpoint beside it?"
        raise ValueError(f"the tokenizer is not this model's: {given}; {doubt}")
    return prompt_tokenizer


def _check_re_encoder(checkpoint: Checkpoint, re_encoder: Any) -> None:
    if (checkpoint.pooling == "re_encode") != (re_encoder is not None):
        raise ValueError("pooling='re_encode' and re_encoder= go together: pass both, or neither")
    asks = isinstance(re_encoder, str | Encoder)  # both have an encode, but not one that embeds a list of answers
    if re_encoder is not None and (asks or not callable(getattr(re_encoder, "encode", None))):
        wanted = "a method encode(list of answers), as a SentenceTransformer has"
        raise TypeError(f"re_encoder must have {wanted}; got {re_encoder!r}")
