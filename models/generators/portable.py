"""A generator as a graph that other runtimes can run at any size: bytes in, bytes out, no branch that asks for a size.

What `models.generators.table` and `models.ops.domain_transform` decide in Python by looking at a picture's size is said here by arithmetic on
sizes and by padding, which a traced graph keeps. The weights are the generator's own, and so are the pictures (a test holds
the two together).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.generators.animegan import AnimeGan
from models.generators.table import PRICES, Generator
from models.generators.vgg_decoder import VggDecoder
from models.layers import MIN_SIDE, STRIDE
from models.ops.domain_transform import LEVELS, fill
from models.ops.kuwahara import brush
from models.ops.xdog import draw

Network = Generator | AnimeGan | VggDecoder

MARGIN_PX = 1 << (LEVELS - 1)
FAR = 1e9


class Portable(nn.Module):
    """uint8 RGB N x H x W x 3, any N, H, W >= 1, to the same: what people have and what they want.

    Bytes, since a caller who is to scale pixels himself sooner or later does it otherwise than in training, and since they
    are a quarter of what floats are to carry.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, photo: Tensor) -> Tensor:
        """What `tensors.from_pixels`, the generator and `tensors.to_pixels` do one after another."""
        picture = photo.permute(0, 3, 1, 2).float() / 127.5 - 1.0
        its = self.network
        if isinstance(its, Generator):
            drawn = _redraw(its, picture)
        else:
            drawn = _cut(its.paint(_pad_to_stride(picture, its.stride)), picture)
        return ((drawn.clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)


def _redraw(its: Generator, photo: Tensor) -> Tensor:
    """As `Generator.forward` does."""
    full = its.stem(_pad_to_stride(photo, STRIDE))
    half = its.down[0](full)
    x = its.blocks(its.down[1](half))
    for up, finish, skip in zip(its.up, its.finish, (half, full), strict=True):
        x = up(x)
        x = finish(x + skip if its.size.skips else x)
    x = _cut(its.head(x), photo)
    if its.size.residual:
        change, cover, prices, pressure = its.parts(x)
        drawn = brush(photo, cover) if its.size.brush else photo
        if its.size.fills:
            drawn = _fill(drawn, prices)
        drawn = its.grade(drawn)
        if its.size.ink:
            drawn = draw(drawn, photo, pressure)
        return drawn + 2.0 * torch.tanh(0.5 * change)
    x = x[:, :3]
    return torch.tanh(x) if its.size.head == "tanh" else x


def _cut(x: Tensor, photo: Tensor) -> Tensor:
    """Down to the photo's size; padded first, so that what is cut off is never nothing: tracing would take that for a rule."""
    return F.pad(x, (0, 1, 0, 1)).narrow(2, 0, photo.shape[2]).narrow(3, 0, photo.shape[3])


def _pad_to_stride(x: Tensor, stride: int) -> Tensor:
    """As `models.layers.pad_to_stride`, by fetching each row and column from where its reflection lies."""
    for axis in (3, 2):
        side = x.shape[axis]
        whole = torch.sym_max((side + stride - 1) // stride * stride, MIN_SIDE)
        place = torch.arange(whole, device=x.device)
        beyond = (place - (side - 1)).clamp(min=0)
        # A side under 5 is too short to be reflected: there the factor is 0, and the last row is repeated.
        x = x.index_select(axis, place - beyond - beyond * torch.sym_min(side // (MIN_SIDE // 2 + 1), 1))
    return x


def _fill(photo: Tensor, prices: Tensor) -> Tensor:
    """The fills, with a margin at the right and below that is as wide as they reach, so that no size is too small for one.

    Its colour is so far from all others that none runs over the border: e to the power of minus such a step is 0.
    """
    height, width = photo.shape[-2:]
    photo = F.pad(photo, (0, MARGIN_PX, 0, MARGIN_PX), value=FAR)
    prices = F.pad(prices, (0, MARGIN_PX, 0, MARGIN_PX))
    for one in torch.split(prices, PRICES, dim=1):
        photo = fill(photo, one)
    return photo.narrow(2, 0, height).narrow(3, 0, width)
