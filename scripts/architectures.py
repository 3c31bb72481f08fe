"""Is every architecture right? Each is compared with one text at a time through a plain forward pass.

    python scripts/architectures.py FOLDER [--only NAME ...]

FOLDER holds `architectures/configs.py` (name -> class of the config, tokenizer, settings; for each family of
models) and `parity/`, with a folder for each tokenizer. Of each config a small random model is built, saved and loaded;
every pooling at every layer, in batches of texts of different lengths, by `encode_many`, and by an encoder that
remembers, is compared with the states of transformers' own forward pass. Prints a table:

    right          largest relative difference of a vector, and where it is; above 1e-3 it is WRONG
    packs          prompts can stand behind one another in one row
    shares         a text is read once for all its questions
    remembers      and its keys and values are kept for further questions
"""

import argparse
import runpy
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import AutoTokenizer, GenerationConfig

from inbedder_utils import Encoder, load_encoder
from inbedder_utils.checks import first_line
from inbedder_utils.families import FAMILIES
from inbedder_utils.inference.batching import Way
from inbedder_utils.pooling import kept_answer
from inbedder_utils.registry import FAMILY_POOLINGS

ASKED = ["How does the customer feel?", "What was bought, and when did it come?", "Why?"]
TEXTS = ["The lid leaks.", "Lovely teapot, it came a day early! " * 6, "", "Ok. " * 3, "Nobody answers the phone. " * 9]
TEXTS += ["I sent it back twice because the lid would not close.", "The parcel never came."]
SMALL = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4, "num_attention_heads": 4}
LONGROPE = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 8, "long_factor": [9.0] * 8}
MORE = {
    "causal": {
        "phi3-longrope": (
            "Phi3Config",
            "llama",
            SMALL
            | {"max_position_embeddings": 512, "original_max_position_embeddings": 80, "rope_scaling": LONGROPE}
            | {"initializer_range": 0.15, "pad_token_id": 2},
        ),
        "bert-as-causal": ("BertConfig", "bert", SMALL | {"initializer_range": 0.15, "pad_token_id": 0}),
    }
}
WITHOUT_FIRST = ("mamba", "mamba2", "falcon_mamba", "rwkv")
"""These list what leaves each block, and once more the last after the norm."""
WRONG = 1e-3
Pooled = dict[tuple[str, int], np.ndarray]


def entries(folder: Path) -> Iterator[tuple[str, str, tuple[str, str, dict]]]:
    """Family, name, and what configs.py says of it."""
    configs = runpy.run_path(str(folder / "architectures" / "configs.py"))
    for family in FAMILIES:
        for name, entry in (configs[family.upper()] | MORE.get(family, {})).items():
            yield family, name, entry


def build(family: str, entry: tuple[str, str, dict], tokenizers: Path, to: Path) -> None:
    """Write a random model beside its tokenizer."""
    kind, tokenizer_name, settings = entry
    tokenizer = AutoTokenizer.from_pretrained(tokenizers / tokenizer_name)
    config = getattr(transformers, kind)(**settings | {"vocab_size": len(tokenizer)})
    for name in ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"):
        given = getattr(config, name, None)
        if isinstance(given, int) and given >= len(tokenizer):
            setattr(config, name, getattr(tokenizer, name, None))
    torch.manual_seed(0)
    lm = FAMILIES[family][1].from_config(config)
    with torch.no_grad():
        for parameter in lm.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    lm.save_pretrained(to)
    tokenizer.save_pretrained(to)


def hidden_states(lm: Any, row: list[int]) -> tuple[torch.Tensor, ...]:
    """What enters the first block, and what leaves each; the last after the final norm."""
    ids = torch.tensor([row])
    hidden = lm(ids, attention_mask=torch.ones_like(ids), output_hidden_states=True).hidden_states
    if lm.config.model_type in WITHOUT_FIRST:
        return lm.get_input_embeddings()(ids), *hidden[:-2], hidden[-1]
    return hidden


@torch.inference_mode()
def expected(lm: Any, encoder: Encoder, text: str, question: str, poolings: list[str]) -> Pooled:
    """The vectors of one text by a plain forward pass, with positions that the readers' docstrings name."""
    (row,) = encoder.prompt_tokenizer([text], [question])
    ids, family, special = torch.tensor([row]), encoder.checkpoint.family, encoder.reader.special_ids
    answer: list[int] = []
    if family != "masked" and set(poolings) - {"fst_gen", "avg_ppt"}:
        settings = {"do_sample": False, "num_beams": 1, "max_new_tokens": 3, "pad_token_id": encoder.reader.pad_id}
        generated = lm.generate(ids, attention_mask=torch.ones_like(ids), **settings)[0].tolist()
        answer = generated[1 if family == "seq2seq" else len(row) :]
    if family == "seq2seq":
        fed = torch.tensor([[lm.config.decoder_start_token_id, *answer[:-1]]])
        out = lm(ids, decoder_input_ids=fed, output_hidden_states=True)
        kept = [i for i, token in enumerate(answer) if token not in special] or [0]
        where = {"fst_gen": [0], "avg_gen": kept, "last_gen": kept[-1:], "avg_ppt": list(range(len(row)))}
        states = {name: out.encoder_hidden_states if name == "avg_ppt" else out.decoder_hidden_states for name in where}
    elif family == "causal":
        p, tail = len(row), answer[:-1] or answer
        hidden = hidden_states(lm, row + tail)
        kept = [p + j for j in kept_answer(answer, special)] if answer else []
        where = {"fst_gen": [p - 1], "avg_ppt": list(range(p - 1)), "avg_gen": [p - 1, *kept], "last_gen": kept[-1:]}
        where["avg_all"] = [*range(p), *kept]
        states = dict.fromkeys(where, hidden) | dict.fromkeys(("fst_gen", "avg_ppt"), hidden_states(lm, row))
    else:
        stop = len(row) - len(encoder.prompt_tokenizer.suffix)
        masks = list(range(stop - encoder.checkpoint.n_masks, stop))
        where = {"fst_gen": masks[:1], "last_gen": masks[-1:], "avg_gen": masks, "avg_ppt": list(range(masks[0]))}
        where["avg_all"] = list(range(len(row)))
        states = dict.fromkeys(where, hidden_states(lm, row))
    return {
        (name, layer): hidden[0, where[name]].mean(0).numpy()
        for name in poolings
        for layer, hidden in enumerate(states[name])
    }


def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest relative difference of a row; infinite if something is not a number."""
    of_rows = np.linalg.norm(ours - theirs, axis=-1) / np.maximum(np.linalg.norm(theirs, axis=-1), 1e-9)
    return float(np.nan_to_num(of_rows, nan=np.inf).max())


def tokens_read(encoder: Encoder, questions: list[str]) -> int:
    """How many tokens `encode_many` reads of the longest text."""
    sizes: list[int] = []
    stack = encoder.reader.stack_of("avg_ppt")
    count = stack.register_forward_pre_hook(lambda *args: sizes.append(args[2]["input_ids"].numel()), with_kwargs=True)
    encoder.encode_many([max(TEXTS, key=len)], questions)
    count.remove()
    return sum(sizes)


def compare(folder: Path, family: str) -> dict[str, Any]:
    """What the table says of one model."""
    encoder = load_encoder(folder, family=family, device="cpu")
    lm = FAMILIES[family][1].from_pretrained(folder, dtype=torch.float32).eval()
    names = ("bos_token_id", "eos_token_id", "decoder_start_token_id")  # as an encoder, which takes no other setting
    if family != "masked":
        lm.generation_config = GenerationConfig(**{name: getattr(lm.generation_config, name) for name in names})
    text = repr(encoder)
    poolings = [name for name in FAMILY_POOLINGS[family] if name != "re_encode"]
    alone = [[expected(lm, encoder, text, question, poolings) for text in TEXTS] for question in ASKED]
    theirs = [{key: np.stack([vectors[key] for vectors in of_texts]) for key in of_texts[0]} for of_texts in alone]
    worst: dict[str, float] = {}
    for name in poolings:
        layers = [layer for pooling, layer in theirs[0] if pooling == name]
        for batch_size in (None, 3):
            ours = encoder.pooled(TEXTS, ASKED[0], [name], layers, batch_size=batch_size)
            for layer in layers:
                where, far = f"{name} {layer}", difference(ours[name, layer], theirs[0][name, layer])
                worst[where] = max(worst.get(where, 0), far)
    own = max(key for key in theirs[0] if key[0] == encoder.checkpoint.pooling)
    remembering = encoder.remembering()
    for i, (question, many) in enumerate(zip(ASKED, encoder.encode_many(TEXTS, ASKED), strict=True)):
        worst[f"encode_many {i}"] = difference(many, theirs[i][own])
        worst[f"remembering {i}"] = difference(remembering.encode(TEXTS, question), theirs[i][own])
    encoder.answer(TEXTS, ASKED[0])
    encoder.words(encoder.pooled(TEXTS, ASKED[0], ["fst_gen"], [-1])["fst_gen", -1], 3)
    at = max(worst, key=worst.get)
    shares = tokens_read(encoder, ASKED) < 2 * tokens_read(encoder, ASKED[:1])
    says = {
        "packs": Way.PACKED in encoder.reader.trials.ways,
        "shares": shares,
        "remembers": remembering.reader.memory.n_bytes > 0,
    }
    return {"right": f"{'WRONG' if worst[at] > WRONG else 'right'} {worst[at]:.0e} {at}", **says, "repr": text}


def main() -> None:
    """Build, compare and print one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+")
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    for family, name, entry in entries(args.folder):
        if args.only and name not in args.only:
            continue
        with tempfile.TemporaryDirectory() as to:
            try:
                build(family, entry, args.folder / "parity", Path(to))
            except Exception as error:
                print(f"{family:8}{name:22}not built: {first_line(error)[:120]}", flush=True)
                continue
            try:
                found = compare(Path(to), family)
            except Exception as error:
                said = first_line(error).replace(to, "FOLDER")
                print(f"{family:8}{name:22}{type(error).__name__}: {said[:240]}", flush=True)
                continue
        flags = " ".join(word if found[word] else "-" * len(word) for word in ("packs", "shares", "remembers"))
        print(f"{family:8}{name:22}{flags}  {found['right']}", flush=True)


if __name__ == "__main__":
    main()
