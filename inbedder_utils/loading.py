"""From a name or a folder to an encoder that is ready: settings, tokenizer, weights, device."""

import warnings
from collections.abc import Callable
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM, AutoTokenizer
from transformers.models.auto import modeling_auto
from transformers.utils import logging as transformers_logging

from inbedder_utils.causal import CausalEncoder
from inbedder_utils.checks import integer, layer_index
from inbedder_utils.devices import check_attention, chosen_device, chosen_dtype
from inbedder_utils.encoder import Encoder
from inbedder_utils.masked import MaskedEncoder
from inbedder_utils.prompts import TEXT_ONLY
from inbedder_utils.registry import REGISTRY, Checkpoint, folder_settings
from inbedder_utils.sentence import SentenceEmbedder
from inbedder_utils.seq2seq import Seq2SeqEncoder
from inbedder_utils.tokens import Truncation

PADDED_POSITIONS = ("roberta", "camembert", "longformer", "mpnet", "xmod", "esm", "data2vec-text")
FAMILIES: dict[str, tuple[type[Encoder], Any]] = {
    "causal": (CausalEncoder, AutoModelForCausalLM),
    "masked": (MaskedEncoder, AutoModelForMaskedLM),
    "seq2seq": (Seq2SeqEncoder, AutoModelForSeq2SeqLM),
}


def load_encoder(
    name_or_path: str | Path = "tiny",
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
        truncation: "text" shortens long texts only; "left" cuts the whole prompt, as the original code does.
        re_encoder: for `pooling="re_encode"`: anything whose `encode(list of answers)` gives an (n, d) array.
        revision: a commit on the hub, instead of the registered one.
        local_files_only: never reach for the network.

    Returns:
        The encoder, in evaluation mode on its device.

    Raises:
        TypeError, ValueError: for a setting that is not accepted, before weights are read.
        OSError: if there is no such checkpoint, or it is not complete, or can't be reached.
    """
    checkpoint, source = _find(name_or_path, revision, local_files_only, family)
    settings = {"prompt": prompt, "pooling": pooling, "layer": layer, "max_length": max_length}
    checkpoint = checkpoint.with_settings(**settings, max_new_tokens=max_new_tokens, n_masks=n_masks, revision=revision)
    device = chosen_device(device)
    dtype = chosen_dtype(dtype, device)
    hub = {"revision": None if checkpoint.folder else checkpoint.revision, "local_files_only": local_files_only}
    if checkpoint.family == "sentence":
        unused = {"layer": layer, "n_masks": n_masks, "max_new_tokens": max_new_tokens, "re_encoder": re_encoder}
        unused |= {
            "attn_implementation": attn_implementation,
            "truncation": None if truncation == "text" else truncation,
        }
        _refuse(unused, checkpoint)
        with _quiet(checkpoint.folder is not None):
            return SentenceEmbedder.load(checkpoint, source, device=device, dtype=dtype, **hub)
    _check_re_encoder(checkpoint, re_encoder)
    check_attention(attn_implementation, checkpoint.family, device, dtype)
    encoder_class, model_class = FAMILIES[checkpoint.family]
    with _quiet(checkpoint.folder is not None):
        config = _fetch(AutoConfig.from_pretrained, source, **hub)
        if type(config) not in model_class._model_mapping:
            raise ValueError(
                f"{config.model_type} models are not {checkpoint.family} ones: leave family out to infer it"
            )
        layer_index(checkpoint.layer, _depth(config, checkpoint.pooling))
        checkpoint = _fitting_length(checkpoint, config, max_length)
        tokenizer = _fetch(AutoTokenizer.from_pretrained, source, **hub)
        if len(tokenizer.get_vocab()) - len(tokenizer.get_added_vocab()) < 2:  # made up, for want of a file
            raise OSError(f"{source} has no tokenizer: expected a tokenizer.json beside config.json")
        encoder_class.prompt_tokenizer(tokenizer, checkpoint, truncation)
        if type(tokenizer.backend_tokenizer.model).__name__ == "BPE":  # else transformers warns that it won't do it
            tokenizer.clean_up_tokenization_spaces = False
        weights = {"dtype": dtype, "attn_implementation": attn_implementation, "output_loading_info": True}
        lm, info = _fetch(model_class.from_pretrained, source, **weights, **hub)
    if info["missing_keys"]:
        warnings.warn(
            f"{checkpoint.name} has no weights for {', '.join(sorted(info['missing_keys'])[:3])} ...: they are random. "
            f"Is it a {checkpoint.family} language model?",
            stacklevel=2,
        )
    return encoder_class(lm.to(device), tokenizer, checkpoint, truncation=truncation, re_encoder=re_encoder)


def _find(
    name_or_path: str | Path, revision: str | None, local_files_only: bool, family: str | None
) -> tuple[Checkpoint, str]:
    """The checkpoint's settings, and the folder or hub id to load it from."""
    if not isinstance(name_or_path, str | Path):
        raise TypeError(f"name_or_path must be a name, a hub id or a folder, got {name_or_path!r}")
    name = str(name_or_path)
    if not name.strip():
        raise ValueError(f"name_or_path is empty; known names: {', '.join(REGISTRY)}")
    if name in REGISTRY:
        checkpoint = REGISTRY[name].with_settings(family=family)
        return checkpoint, str(checkpoint.folder or name)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return Checkpoint(name, **_folder_checkpoint(folder, family)), str(folder)
    if folder.exists() or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise FileNotFoundError(f"{name!r} is not a folder with a checkpoint; known names: {', '.join(REGISTRY)}")
    hub = {"revision": revision, "local_files_only": local_files_only}
    config = _fetch(AutoConfig.from_pretrained, name, **hub)
    is_sentence = transformers.utils.cached_file(
        name, "modules.json", _raise_exceptions_for_missing_entries=False, **hub
    )
    return Checkpoint(name, **_inferred(config, family, bool(is_sentence))), name


def _folder_checkpoint(folder: Path, family: str | None) -> dict[str, Any]:
    is_sentence = (folder / "modules.json").is_file()
    if not (folder / "config.json").is_file() and not is_sentence:
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
        raise FileNotFoundError(
            f"{folder} holds no model: expected config.json, model.safetensors and tokenizer.json, found {found}"
        )
    settings = folder_settings(folder)
    family = family or settings.get("family")
    config = None if family or is_sentence else _fetch(AutoConfig.from_pretrained, str(folder))
    return _inferred(config, family, is_sentence) | settings | ({"family": family} if family else {})


def _inferred(config: Any, family: str | None, is_sentence: bool) -> dict[str, Any]:
    """Settings of a checkpoint that nobody registered, from its config."""
    if family == "sentence" or (is_sentence and not family):
        return {"family": "sentence", "prompt": TEXT_ONLY}
    if family:
        return {"family": family}
    architecture = (config.architectures or [""])[0]
    causal = config.model_type in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    masked = config.model_type in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    if config.is_encoder_decoder:
        return {"family": "seq2seq"}
    if masked and not architecture.endswith(("CausalLM", "LMHeadModel")):
        return {"family": "masked"}
    if causal:
        return {"family": "causal"}
    raise ValueError(
        f"no language model is known for model type {config.model_type!r}: "
        f"InBedder needs a causal, masked or seq2seq one; pass family= if it is one of them"
    )


def _fetch(loader: Callable, source: str, **kwargs: Any) -> Any:
    """Call a `from_pretrained`, and say in our words what went wrong."""
    try:
        return loader(source, **kwargs)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        if Path(source).is_dir():
            raise OSError(f"the checkpoint in {source} can't be read, is it complete? {_first_line(error)}") from error
        close = get_close_matches(source, REGISTRY, n=2, cutoff=0.5)
        hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise OSError(
            f"{source!r} is no known checkpoint or folder, and could not be loaded from the hub "
            f"({_first_line(error)}).{hint} Without a network, load a bundled checkpoint ('tiny') or a folder; "
            f"for a model with access on request, log in first with 'hf auth login'."
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _refuse(settings: dict[str, Any], checkpoint: Checkpoint) -> None:
    given = [name for name, value in settings.items() if value is not None]
    if given:
        raise ValueError(f"{checkpoint.name} is a plain sentence embedder: {', '.join(given)} has no meaning for it")


def _check_re_encoder(checkpoint: Checkpoint, re_encoder: Any) -> None:
    if (checkpoint.pooling == "re_encode") != (re_encoder is not None):
        raise ValueError("pooling='re_encode' and re_encoder= go together: pass both, or neither")
    asks = isinstance(re_encoder, str | Encoder)  # both have an encode, but not one that embeds a list of answers
    if re_encoder is not None and (asks or not callable(getattr(re_encoder, "encode", None))):
        raise TypeError(
            f"re_encoder must have a method encode(list of answers), as a SentenceTransformer has; got {re_encoder!r}"
        )


def _depth(config: Any, pooling: str) -> int:
    """How many blocks the states of a pooling come from."""
    answer_depth = getattr(config, "num_decoder_layers", None) or getattr(config, "decoder_layers", None)
    return answer_depth if answer_depth and pooling != "avg_ppt" else config.get_text_config().num_hidden_layers


def _fitting_length(checkpoint: Checkpoint, config: Any, asked: int | None) -> Checkpoint:
    """Keep prompt and answer within the model's position table, if it has one."""
    limit = None if checkpoint.family == "seq2seq" else getattr(config, "max_position_embeddings", None)
    if limit is None:
        return checkpoint
    if any(kin in config.model_type for kin in PADDED_POSITIONS):  # positions start after the padding id
        limit -= config.pad_token_id + 1
    if checkpoint.family == "causal":
        limit -= checkpoint.max_new_tokens
        if limit < 1:
            raise ValueError(
                f"max_new_tokens={checkpoint.max_new_tokens} leaves no room for a prompt: "
                f"the model has {config.max_position_embeddings} positions"
            )
    if asked is not None:
        integer("max_length", asked, at_least=1, at_most=limit, fix="that is what the model's positions allow")
    return checkpoint.with_settings(max_length=min(checkpoint.max_length, limit))


@contextmanager
def _quiet(local: bool):
    """Silence transformers' loading report; its progress bars too, unless something may be downloading."""
    level, had_bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    if local:
        transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if local and had_bars:
            transformers_logging.enable_progress_bar()
