"""Read-once attention: the text reads itself, each question reads the text and itself.

The text's states then don't depend on the question, so one reading of a text serves any number of questions: they
stand behind it in one row and don't see each other. Training and encoding both build their masks here. A text of
three tokens, two questions, and padding; each line is a token, and x is what it sees:

    segments   0 0 0 1 1 2 2 2 -

    0          x x x . . . . . .
    0          x x x . . . . . .
    0          x x x . . . . . .
    1          x x x x x . . . .
    1          x x x x x . . . .
    2          x x x . . x x x .
    2          x x x . . x x x .
    2          x x x . . x x x .
    -          x x x . . . . . x
"""

import torch
from torch import Tensor

TEXT = 0  # segment of the text; questions are 1, 2, ...
PADDING = -1
PADDED_POSITIONS = ("roberta", "camembert", "longformer", "mpnet", "xmod", "esm", "data2vec-text")


def read_once_mask(segments: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Say who sees whom.

    Args:
        segments: (B, T) int, `TEXT` for tokens of the text, 1, 2, ... for those of each question, `PADDING`. A row
            without questions is ordinary attention, in which everything sees everything.
        dtype: of the model.

    Returns:
        (B, 1, T, T), to be added to the attention scores: 0 where the row's token sees the column's token, else the
        lowest number. Padding sees itself, so that no row of it is empty; nothing sees padding.
    """
    visible = (segments[:, None, :] == TEXT) | (segments[:, None, :] == segments[:, :, None])  # (B, T, T)
    mask = torch.zeros_like(visible, dtype=dtype).masked_fill_(~visible, torch.finfo(dtype).min)  # (B, T, T)
    return mask[:, None]  # (B, 1, T, T)


def first_position(config: object) -> int:
    """The position id of a row's first token: 0, or for the RoBERTa kin one after the padding id."""
    model_type = getattr(config, "model_type", "")
    return config.pad_token_id + 1 if any(kin in model_type for kin in PADDED_POSITIONS) else 0
