"""Streamed rows equal the result of the whole picture, whatever the network, the size and the number of rows."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from models.generators.animegan import AnimeGan, AnimeGanSize
from models.generators.residual import Generator, GeneratorSize
from models.generators.table import CARTOONGAN, TINY, AnyGenerator, build_generator
from models.generators.vgg_decoder import DecoderSize, VggDecoder
from models.streaming.graph import trace
from models.streaming.stream import RowStream
from pipeline.core.errors import UserError
from pipeline.inference.offload import Offloader
from pipeline.inference.torch_stylizer import TorchStylizer
from tests.conftest import scene

ONE_STEP = replace(TINY, diffusion_steps=1)
PAINTS_ANEW = {"residual": False, "kuwahara": False, "diffusion_steps": 0, "lines": False}
PUBLISHED = replace(CARTOONGAN, width=4, blocks=1)


class Memory:
    """A store in which values that were never written are not numbers."""

    def __init__(self, maps: int, height: int, width: int) -> None:
        self.all = torch.full((1, maps, height, width), float("nan"))

    def write(self, top: int, rows: Tensor) -> None:
        place = self.all[:, :, top : top + rows.shape[2]]
        assert place.shape == rows.shape
        place.copy_(rows)

    def read(self, top: int, bottom: int) -> Tensor:
        assert 0 <= top < bottom <= self.all.shape[2]
        return self.all[:, :, top:bottom]


def stirred(size: GeneratorSize | AnimeGanSize | DecoderSize, seed: int = 0) -> AnyGenerator:
    """Every part at work, with statistics of a batch norm that are not those of this picture."""
    torch.manual_seed(seed)
    kinds = {GeneratorSize: Generator, AnimeGanSize: AnimeGan, DecoderSize: VggDecoder}
    network: AnyGenerator = kinds[type(size)](size).eval()
    with torch.no_grad():
        for name, buffer in network.named_buffers():
            if name.startswith("encoder."):
                buffer.normal_(0, (2 / buffer[0].numel()) ** 0.5 if buffer.ndim > 1 else 0.1)
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return network


def in_rows(network: AnyGenerator, photo: Tensor, step: int) -> Tensor:
    height, width = photo.shape[2:]
    made: list[Tensor] = []

    def write(top: int, rows: Tensor) -> None:
        assert top == sum(part.shape[2] for part in made)
        made.append(rows.clone())

    RowStream(trace(network), height, width, step).run(lambda top, bottom: photo[:, :, top:bottom], Memory, write)
    return torch.cat(made, 2)


def gap(network: AnyGenerator, height: int, width: int, step: int, seed: int = 0) -> float:
    photo = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    with torch.no_grad():
        whole = network(photo)
    streamed = in_rows(network, photo, step)
    assert streamed.shape == whole.shape
    return float((streamed - whole).abs().max())


@pytest.mark.parametrize("norm", ["batch", "instance", "layer", "group", "none"])
@pytest.mark.parametrize("size", [ONE_STEP, PUBLISHED], ids=["residual", "published"])
def test_rows_equal_the_whole_with_every_norm(norm: Any, size: GeneratorSize) -> None:
    assert gap(stirred(replace(size, norm=norm)), 101, 44, 16) < 1e-4


@pytest.mark.parametrize(
    "change",
    [
        {"upsample": "nearest"}, {"upsample": "transposed"}, {"kernel": 9}, {"scale_convs": 2}, {"padding": "zeros"},
        {"skips": False}, {"diffusion_steps": 0}, {"lines": False}, {"kuwahara": False},
        {"kuwahara": False, "diffusion_steps": 0, "lines": False},
        {"diffusion_steps": 0, "lines": False}, {"kuwahara": False, "lines": False}, {"activation": "relu"}, PAINTS_ANEW,
        {**PAINTS_ANEW, "head": "tanh"}, {"blocks": 3},
        {"diffusion_steps": 3},
    ],
    ids=str,
)  # fmt: skip
def test_rows_equal_the_whole_with_every_part(change: dict[str, Any]) -> None:
    assert gap(stirred(replace(ONE_STEP, **change)), 121, 37, 12) < 1e-4


@given(st.integers(1, 60), st.integers(1, 20), st.integers(8, 40), st.integers(0, 99))
@settings(max_examples=15)
def test_any_number_of_rows_of_pictures_of_any_size(height: int, width: int, step: int, seed: int) -> None:
    assert gap(stirred(ONE_STEP), height, width, step, seed) < 1e-3


def test_a_norm_of_each_tile_by_itself_would_be_seen() -> None:
    """The tests above are not empty: cut in two with a generous overlap, the picture changes."""
    network = stirred(ONE_STEP)
    photo = (
        torch.rand(1, 3, 400, 40, generator=torch.Generator().manual_seed(1)) * torch.linspace(0, 2, 400).view(1, 1, -1, 1) - 1
    )
    with torch.no_grad():
        apart = (network(photo)[:, :, :50] - network(photo[:, :, :250])[:, :, :50]).abs().max()
    assert apart > 0.02


SHUFFLED = replace(CARTOONGAN, width=8, blocks=2, kernel=5, upsample="bilinear", padding="reflect", units="shuffle")


@pytest.mark.parametrize("norm", ["batch", "instance", "layer", "none"])
@pytest.mark.parametrize("size", [AnimeGanSize(4, 2, 2, "layer"), SHUFFLED], ids=["animegan", "shuffle"])
def test_networks_of_other_parts_work_in_rows(norm: Any, size: AnimeGanSize | GeneratorSize) -> None:
    for height, width, step in ((101, 44, 16), (59, 9, 8), (6, 30, 40)):
        assert gap(stirred(replace(size, norm=norm)), height, width, step) < 1e-4


def test_a_decoder_of_features_works_in_rows_and_keeps_nothing() -> None:
    network = stirred(DecoderSize("vgg16", (512, 16, 8, 8, 3)))
    for height, width, step in ((101, 44, 16), (5, 9, 8)):
        assert gap(network, height, width, step) < 1e-4
    photo, room = torch.zeros(1, 3, 40, 24), Offloader(0)
    RowStream(trace(network), 40, 24, 8).run(lambda top, bottom: photo[:, :, top:bottom], room, lambda top, rows: None)
    assert room.file_bytes == 0


@pytest.mark.parametrize("name", ["mnicnc404-light", "animegan-v2", "genga-xs"])
def test_a_picture_beyond_the_limit_of_memory_is_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a level, with stores in files; and where even the rows do not fit, an error says so before any work."""
    network, picture = build_generator(name), scene(1, 40, 400)
    whole = TorchStylizer(network)(picture).astype(int)
    monkeypatch.setattr(TorchStylizer, "_whole", None)  # no way out
    assert np.abs(TorchStylizer(network, memory_mb=4)(picture) - whole).max() <= 1
    with pytest.raises(
        UserError, match=r"MB are too little for a picture \d+ pixels wide, .*raise the memory limit, or shrink"
    ):
        TorchStylizer(network, memory_mb=1)(picture)
