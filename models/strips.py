"""A generator's picture made in strips, in bounded memory, as if it were made whole.

Cut into tiles, a picture changes colour from tile to tile: instance, layer and group norm divide by statistics of the whole.
So the network is walked layer by layer and not tile by tile. Maps are asked for a strip of rows at a time, from the top
down; each layer asks the one before it for those rows and the few more that it reaches, and remembers them, so nothing but
the rims is worked out twice. Where a norm comes, all strips pass once to have their statistics gathered, and are kept (where,
the caller says) or, at full resolution, where keeping costs most and making least, made again.
"""

from collections.abc import Callable, Iterator
from typing import Protocol, TypeGuard, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.fill import LEVELS, fill
from models.generators import PRICES, Generator
from models.ink import REACH_PX, draw
from models.layers import STRIDE, leaky_clamp, padding_of

FILL_REACH = (1 << LEVELS) - 1  # rows: 16 + 8 + 4 + 2 + 1
BLOCK_LAG = 4  # rows by which a block's sum is behind its two convolutions

Rows = Callable[[int, int], Tensor]
"""Rows from the first up to but not the second, 1 x C x rows x W."""


class Store(Protocol):
    """A place for the maps of a whole picture."""

    def write(self, top: int, rows: Tensor) -> None:
        """Keep 1 x C x rows x W, which begin at row `top`."""

    def read(self, top: int, bottom: int) -> Tensor:
        """The rows from `top` up to but not `bottom`."""


Room = Callable[[int, int, int], Store]
"""Makes room for C maps of H x W."""


class Plane:
    """Maps of a picture, made a strip at a time and asked for from the top down."""

    def __init__(self, height: int, make: Rows, tail: int = 0) -> None:
        """`tail`: rows to remember above the lowest made, for askers that lag behind one another."""
        self.height, self._make, self._tail = height, make, tail
        self._top, self._made = 0, torch.empty(0)

    def rows(self, top: int, bottom: int) -> Tensor:
        """1 x C x (bottom - top) x W; not to be written to."""
        made_to = self._top + (self._made.shape[2] if self._made.ndim == 4 else 0)
        if self._made.ndim != 4 or not self._top <= top <= made_to:
            self._top, self._made = top, self._make(top, bottom)
        elif bottom > made_to:
            first = min(top, max(self._top, bottom - self._tail))
            new = self._make(made_to, bottom)
            old = self._made[:, :, first - self._top :]
            self._made = torch.cat([old, new], 2) if old.shape[2] else new
            self._top = first
        return self._made[:, :, top - self._top : bottom - self._top]

    def strips(self, step: int) -> Iterator[tuple[int, Tensor]]:
        """All rows, `step` at a time, each strip with its first row."""
        for top in range(0, self.height, step):
            yield top, self.rows(top, min(top + step, self.height))
        self._top, self._made = 0, torch.empty(0)


def local(work: Callable[..., Tensor], reach: int, *planes: Plane, tail: int = 0) -> Plane:
    """What `work` makes of planes of one size, where it reaches so many rows up and down."""
    height = planes[0].height

    def make(top: int, bottom: int) -> Tensor:
        first, last = max(top - reach, 0), min(bottom + reach, height)
        made = work(*(plane.rows(first, last) for plane in planes))
        return made[:, :, top - first : bottom - first]

    return Plane(height, make, tail)


def halved(conv: nn.Module, plane: Plane) -> Plane:
    """A 3x3 convolution with stride 2 of a plane of even height."""

    def make(top: int, bottom: int) -> Tensor:
        first = max(2 * top - 2, 0)
        return cast(Tensor, conv(plane.rows(first, 2 * bottom)))[:, :, top - first // 2 :]

    return Plane(plane.height // 2, make)


def doubled(up: nn.Module, plane: Plane) -> Plane:
    """An enlargement to twice the size that reaches one row up and down: nearest, bilinear, transposed convolution."""

    def make(top: int, bottom: int) -> Tensor:
        first, last = max((top - 1) // 2, 0), min(bottom // 2 + 1, plane.height)
        return cast(Tensor, up(plane.rows(first, last)))[:, :, top - 2 * first : bottom - 2 * first]

    return Plane(2 * plane.height, make)


class Moments:
    """Mean and variance of each map, gathered strip by strip (Chan, Golub, LeVeque 1979) in float64."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 0, torch.zeros(()), torch.zeros(())

    def add(self, rows: Tensor) -> None:
        """Take in 1 x C x rows x W."""
        variance, mean = (part.double().cpu() for part in torch.var_mean(rows, (0, 2, 3), correction=0))
        count = rows[:, 0].numel()
        total, step = self.count + count, mean - self.mean
        self.squares = self.squares + variance * count + step**2 * (self.count * count / total)
        self.mean = self.mean + step * (count / total)
        self.count = total

    def of_groups(self, groups: int) -> tuple[Tensor, Tensor]:
        """Mean and variance over each group of maps, one value a map."""
        mean, variance = self.mean.view(groups, -1), (self.squares / self.count).view(groups, -1)
        middle = mean.mean(1, keepdim=True)
        spread = (variance + (mean - middle) ** 2).mean(1, keepdim=True)
        return middle.expand_as(mean).flatten(), spread.expand_as(mean).flatten()


class _Walk:
    """One picture's way through a generator."""

    def __init__(self, step: int, room: Room, global_norm: bool) -> None:
        """`global_norm`: norms divide by statistics of the picture. Where none does, nothing has to be kept."""
        self.step, self.room, self.global_norm = step, room, global_norm

    def kept(self, plane: Plane, moments: Moments | None = None, over: Plane | None = None) -> Plane:
        """The same plane, made once and kept; its moments gathered on the way.

        Args:
            over: a plane whose store is written over, row by row after it was read for the last time.
        """
        store = over.store if isinstance(over, Stored) else None
        for top, rows in plane.strips(self.step):
            if moments is not None:
                moments.add(rows)
            store = store or self.room(rows.shape[1], plane.height, rows.shape[3])
            store.write(top, rows)
        assert store is not None
        return Stored(plane.height, store)

    def normed(self, plane: Plane, norm: nn.Module, activation: nn.Module, keep: bool = True) -> Plane:
        """A norm and the activation after it. `keep`: keep the plane rather than make it again."""
        moments = Moments()
        if self.global_norm and keep:
            plane = self.kept(plane, moments)
        elif self.global_norm:
            for _, rows in plane.strips(self.step):
                moments.add(rows)
        return self._affined(plane, norm, activation, moments)

    def _affined(self, plane: Plane, norm: nn.Module, activation: nn.Module | None, moments: Moments) -> Plane:
        affine = _affine(norm, moments)

        def work(rows: Tensor) -> Tensor:
            made = rows.clone() if affine is None else torch.addcmul(affine[1].to(rows), rows, affine[0].to(rows))
            return made if activation is None else cast(Tensor, activation(made))

        return local(work, 0, plane)

    def convs(self, plane: Plane, modules: list[nn.Module]) -> Plane:
        """Convolutions and enlargements in order."""
        for module in modules:
            if isinstance(module, nn.Upsample | nn.ConvTranspose2d):
                plane = doubled(module, plane)
            elif cast(nn.Conv2d, module).stride == (2, 2):
                plane = halved(module, plane)
            else:
                plane = local(module, cast(nn.Conv2d, module).kernel_size[0] // 2, plane)
        return plane

    def stage(self, plane: Plane, modules: nn.Module, keep: bool = True, tail: int = 0) -> Plane:
        """Convolutions, a norm, an activation."""
        *convs, norm, activation = cast(nn.Sequential, modules)
        made = self.normed(self.convs(plane, convs), norm, activation, keep)
        return local(lambda rows: rows, 0, made, tail=tail) if tail else made

    def block(self, plane: Plane, body: nn.Sequential) -> Plane:
        """A residual block. Of a plane that lies in a store, the sum lies there instead."""
        first, norm, activation, second, last = body
        moments = Moments()
        inner = self.convs(plane, [first])
        if self.global_norm:
            inner = self.kept(inner, moments)
        between = self._affined(inner, norm, activation, moments)
        moments = Moments()
        outer = self.convs(between, [second])
        if self.global_norm:
            outer = self.kept(outer, moments, over=inner)
        total = local(torch.add, 0, plane, self._affined(outer, last, None, moments), tail=BLOCK_LAG)
        return self.kept(total, over=plane) if self.global_norm else total


class Stored(Plane):
    """A plane that lies in a store."""

    def __init__(self, height: int, store: Store) -> None:
        super().__init__(height, store.read)
        self.store = store

    def rows(self, top: int, bottom: int) -> Tensor:
        """As `Plane.rows`, in any order."""
        return self.store.read(top, bottom)


def able(network: nn.Module) -> TypeGuard[Generator]:
    """Whether a network can work in strips: those of `models.generators` that are made of plain convolutions."""
    return isinstance(network, Generator) and network.size.units == "residual"


def _affine(norm: nn.Module, moments: Moments) -> tuple[Tensor, Tensor] | None:
    """What a norm multiplies by and adds, 1 x C x 1 x 1 in float64; None for no norm."""
    if isinstance(norm, nn.Identity):
        return None
    if isinstance(norm, nn.BatchNorm2d):
        mean, variance = (cast(Tensor, part).double().cpu() for part in (norm.running_mean, norm.running_var))
    elif isinstance(norm, nn.GroupNorm):
        mean, variance = moments.of_groups(norm.num_groups)
    else:
        mean, variance = moments.of_groups(cast(nn.InstanceNorm2d, norm).num_features)
    weight, bias = (cast(Tensor, part).double().cpu() for part in (norm.weight, norm.bias))
    scale = weight / torch.sqrt(variance + cast(float, norm.eps))
    return scale.view(1, -1, 1, 1), (bias - mean * scale).view(1, -1, 1, 1)


@torch.no_grad()
def redraw(
    generator: Generator, photo: Rows, height: int, width: int, room: Room, step: int, write: Callable[[int, Tensor], None]
) -> None:
    """What `generator`, in evaluation mode, makes of a photo, strip by strip.

    Args:
        photo: gives 1 x 3 x rows x `width` RGB in [-1, 1].
        room: where maps at half and a quarter of the resolution are kept.
        step: rows of a strip, 4 and more. Memory for strips grows with it; with few, rims are worked out often.
        write: takes strips of the result, from the top down, each with its first row.
    """
    size = generator.size
    global_norm = size.norm in ("instance", "layer", "group")
    walk = _Walk(max(step, STRIDE), room, global_norm)
    down, right = padding_of(height, width)

    def source(top: int, bottom: int) -> Tensor:
        # What is added below mirrors the last rows, so those are asked for.
        first, last = (min(top, max(height - 1 - down, 0)), height) if bottom > height else (top, bottom)
        rows = photo(first, last)
        if right:
            rows = F.pad(rows, (0, right, 0, 0), mode="reflect" if right < width else "replicate")
        if bottom > height:
            rows = F.pad(rows, (0, 0, 0, down), mode="reflect" if down < height else "replicate")
        return rows[:, :, top - first : bottom - first]

    # Without global norms all layers are made in one go, and what skips carry waits for what goes the long way.
    lag = 0 if global_norm or not size.skips else 2 * STRIDE * (size.blocks + 4)
    full = walk.stage(Plane(height + down, source), generator.stem, keep=False, tail=lag)
    half = walk.stage(full, generator.down[0], tail=lag)
    x = walk.stage(half, generator.down[1])
    skips = [full, half] if size.skips else []
    del full, half  # a store that nobody asks any more gives its room back
    for block in generator.blocks:
        x = walk.block(x, cast(nn.Sequential, block.body))
    for index in range(2):
        x = walk.convs(x, list(cast(nn.Sequential, generator.up[index])))
        if skips:
            x = local(torch.add, 0, x, skips.pop())
        norm, activation = cast(nn.Sequential, generator.finish[index])
        x = walk.normed(x, norm, activation, keep=index == 0)
    reach = FILL_REACH * size.fills + REACH_PX * size.ink
    head = walk.convs(x, [generator.head])
    # Cut to the photo's size. Fills lag behind one another: what they go by is asked for several times.
    painted = Plane(height, lambda top, bottom: head.rows(top, bottom)[..., :width], tail=2 * reach)
    for top, rows in _finished(generator, Plane(height, photo), painted).strips(walk.step):
        write(top, rows)


def _finished(generator: Generator, photo: Plane, painted: Plane) -> Plane:
    """As the end of `Generator.forward`."""
    size = generator.size
    maps = PRICES * size.fills
    if not size.residual:
        head = torch.tanh if size.head == "tanh" else leaky_clamp
        return local(lambda rows: head(rows[:, :3]), 0, painted)
    for index in range(size.fills):
        first = 3 + PRICES * index
        photo = local(lambda picture, rows, at=first: fill(picture, rows[:, at : at + PRICES]), FILL_REACH, photo, painted)
    if size.ink:
        photo = local(lambda picture, rows: draw(picture, rows[:, 3 + maps :]), REACH_PX, photo, painted)
    return local(lambda picture, rows: leaky_clamp(picture + 2.0 * torch.tanh(0.5 * rows[:, :3])), 0, photo, painted)
