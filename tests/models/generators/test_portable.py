"""What is exported draws what the generator draws, at every size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.generators.portable import Portable
from models.generators.residual import Generator, GeneratorSize
from models.generators.table import GENERATORS, build_generator
from pipeline.inference.torch_stylizer import TorchStylizer


def stirred(row: str) -> Any:
    torch.manual_seed(0)
    size = GENERATORS[row]
    network = Generator(replace(size, width=8, blocks=1)) if isinstance(size, GeneratorSize) else build_generator(row)
    network = network.eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    return network


@pytest.mark.parametrize("row", GENERATORS)
def test_every_row_draws_as_its_generator(row: str) -> None:
    network = stirred(row)
    portable, stylizer = Portable(network), TorchStylizer(network, "cpu")

    @given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
    @settings(max_examples=6)
    def at_any_size(height: int, width: int, seed: int) -> None:
        photo = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        with torch.inference_mode():
            drawn = portable(torch.from_numpy(photo[None]))[0].numpy()
        assert drawn.shape == photo.shape and drawn.dtype == np.uint8
        # Of a single pixel instance norm makes large what is nothing but rounding.
        assert photo.size == 3 or np.abs(stylizer(photo).astype(int) - drawn).max() <= 1

    at_any_size()
