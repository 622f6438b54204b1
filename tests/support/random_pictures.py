"""Random pictures as networks take them."""

import torch


def random_pictures(*shape: int, seed: int = 0) -> torch.Tensor:
    """Uniform noise of this shape in [-1, 1], the same for the same seed."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
