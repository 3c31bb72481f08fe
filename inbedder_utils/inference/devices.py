"""Where a model runs."""

import torch

from inbedder_utils.checks import one_of, short


def chosen_device(device: str | torch.device | None) -> torch.device:
    """The device asked for (a ValueError if it is not there), or the best there is: CUDA, then MPS, then the CPU."""
    if device is None:
        backends = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
        return torch.device(next(name for name, there in backends.items() if there))
    try:
        chosen = torch.device(None if isinstance(device, bool) else device)  # torch takes True for a number
    except (RuntimeError, TypeError, ValueError) as error:
        fix = "use 'cpu', 'cuda', 'cuda:1' or 'mps'"
        raise ValueError(f"device {short(device)} is not one torch knows: {fix}") from error
    one_of("device", chosen.type, ("cpu", "cuda", "mps"))
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[chosen.type]
    if (chosen.index or 0) >= there:
        given = f"this machine has {there} {chosen.type} devices for torch"
        raise ValueError(f"device {str(chosen)!r} is not there: {given}")
    return chosen
