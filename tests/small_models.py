"""Small random checkpoints of every architecture: weights from a config, tokenizers from a few lines.

Only byte-level BPE is trained: training the others gives another vocabulary on every run.
"""

import re
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

SHIPPED = Path(__file__).parent / "parity"  # opt and roberta, with real tokenizers
CAUSAL = ("opt", "opt_projected", "llama", "gpt2", "qwen2")
MASKED = ("roberta", "bert")
SEQ2SEQ = ("t5",)
EVERY = CAUSAL + MASKED + SEQ2SEQ
FAMILY_OF = {name: "causal" for name in CAUSAL} | {name: "masked" for name in MASKED} | {"t5": "seq2seq"}

ASK = "How does the customer feel?"
OTHER = "What was bought?"
TEXTS = [
    "The parcel never came and nobody answers the phone.",
    "Lovely teapot, it arrived a day early!",
    "",
    "Ok.",
    "The kettle leaks. " * 6,
    "I sent it back twice because the lid would not close, and the second one was worse than the first.",
]
POSITIONS = 256
QA_ROWS = [
    {"input": f"The {thing} came {when}. {sentence}", "instruction": question, "output": answer}
    for thing in ("kettle", "lid", "box", "teapot")
    for when in ("early", "late")
    for feeling, sentence in (("angry", "It leaks."), ("very happy", "Lovely!"))
    for question, answer in ((ASK, feeling), (OTHER, thing), ("When did it arrive?", when))
]
CORPUS = [*TEXTS, ASK, OTHER, "### Input:", "### Instruction:", "### Response:", "angry happy tea kettle lid box late"]


def build(name: str, folder: Path) -> Path:
    """Write the checkpoint into `folder`, unless it ships with the tests; return where it is."""
    if (SHIPPED / name).is_dir():
        return SHIPPED / name
    torch.manual_seed(0)
    tokenizer = TOKENIZERS[name]()
    lm = MODELS[name](len(tokenizer))
    lm.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _byte_bpe(special: list[str], prefix: str = "", suffix: str = "", **roles: str) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=420, special_tokens=special, initial_alphabet=alphabet)
    )
    return _wrapped(tokenizer, prefix, suffix, **roles)


def _word_pieces() -> PreTrainedTokenizerFast:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = {word for line in CORPUS for word in re.findall(r"\w+|[^\w\s]", line.lower())}
    letters = sorted({letter for word in words for letter in word})
    pieces = [*special, *letters, *(f"##{letter}" for letter in letters), *sorted(words - set(letters))]
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    roles = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return _wrapped(tokenizer, "[CLS]", "[SEP]", mask_token="[MASK]", **roles)


def _unigram() -> PreTrainedTokenizerFast:
    special = ["<pad>", "</s>", "<unk>", *(f"<extra_id_{i}>" for i in range(10))]
    words = {f"▁{word}" for line in CORPUS for word in line.split()}
    letters = sorted({letter for word in words for letter in word})
    scores = [(piece, 0.0) for piece in special] + [(x, -9.0) for x in letters] + [(x, -5.0) for x in sorted(words)]
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    roles = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return _wrapped(tokenizer, "", "</s>", additional_special_tokens=special[3:], **roles)


def _wrapped(tokenizer: Tokenizer, prefix: str, suffix: str, **roles) -> PreTrainedTokenizerFast:
    """Put the frame's tokens around every text, as the tokenizer of a real checkpoint does."""
    frame = [token for token in (prefix, suffix) if token]
    if frame:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{prefix} $A {suffix}".split(),
            pair=f"{prefix} $A {suffix} $B:1 {suffix}".split(),
            special_tokens=[(token, tokenizer.token_to_id(token)) for token in frame],
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **roles)


TOKENIZERS: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "llama": lambda: _byte_bpe(["<s>", "</s>"], "<s>", bos_token="<s>", eos_token="</s>"),
    "gpt2": lambda: _byte_bpe(["<|endoftext|>"], eos_token="<|endoftext|>", bos_token="<|endoftext|>"),
    "qwen2": lambda: _byte_bpe(
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], pad_token="<|endoftext|>", eos_token="<|im_end|>"
    ),
    "opt_projected": lambda: _byte_bpe(
        ["<s>", "<pad>", "</s>"], "</s>", bos_token="</s>", eos_token="</s>", pad_token="<pad>"
    ),
    "bert": _word_pieces,
    "t5": _unigram,
}


def _decoder(kind: str, n_tokens: int, **settings):
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=n_tokens,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=POSITIONS,
        initializer_range=0.3,
        **settings,
    )
    return getattr(transformers, f"{kind}ForCausalLM")(config)


def _gpt2(n: int):
    shape = {"n_positions": POSITIONS, "n_embd": 32, "n_layer": 3, "n_head": 4, "initializer_range": 0.3}
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=n, **shape, **ends))


def _opt_projected(n: int):
    """Like OPT-350m: token embeddings, and what the LM head reads, are narrower than the blocks."""
    shape = {"hidden_size": 32, "word_embed_proj_dim": 16, "ffn_dim": 48, "num_hidden_layers": 3}
    config = transformers.OPTConfig(
        vocab_size=n,
        **shape,
        num_attention_heads=4,
        max_position_embeddings=POSITIONS,
        do_layer_norm_before=False,
        init_std=0.3,
        pad_token_id=1,
        bos_token_id=2,
        eos_token_id=2,
    )
    return transformers.OPTForCausalLM(config)


def _bert(n: int):
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
    config = transformers.BertConfig(
        vocab_size=n, **shape, max_position_embeddings=POSITIONS, initializer_range=0.3, pad_token_id=0
    )
    return transformers.BertForMaskedLM(config)


def _t5(n: int):
    """Encoder and decoder of unequal depth."""
    shape = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 3, "num_decoder_layers": 2, "num_heads": 4}
    ids = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    return transformers.T5ForConditionalGeneration(
        transformers.T5Config(vocab_size=n, **shape, **ids, initializer_factor=1.5, tie_word_embeddings=False)
    )


MODELS: dict[str, Callable] = {
    "llama": lambda n: _decoder("Llama", n, bos_token_id=0, eos_token_id=1),
    "gpt2": _gpt2,
    "qwen2": lambda n: _decoder("Qwen2", n, bos_token_id=None, eos_token_id=2, pad_token_id=0),
    "opt_projected": _opt_projected,
    "bert": _bert,
    "t5": _t5,
}
