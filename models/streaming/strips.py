"""A generator's picture made in strips, in bounded memory, as if it were made whole.

Cut into tiles, a picture changes colour from tile to tile: instance, layer and group norm divide by statistics of the whole.
So the network is walked layer by layer and not tile by tile. Maps are asked for a strip of rows at a time, from the top
down; each layer asks the one before it for those rows and the few more that it reaches, and remembers them, so nothing but
the rims is worked out twice. Where a norm comes, all strips pass once to have their statistics gathered, and are kept (where,
the caller says) or, at full resolution, where keeping costs most and making least, made again.
"""

from collections.abc import Callable, Iterable
from typing import TypeGuard, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.generators.animegan import AnimeGan, Inverted
from models.generators.shuffle_unit import HalvingShuffleUnit, ShuffleUnit, deal
from models.generators.table import PRICES, AnyGenerator, Generator
from models.generators.vgg_decoder import VggDecoder
from models.layers import STRIDE, leaky_clamp, padding_of
from models.ops.domain_transform import LEVELS, fill
from models.ops.kuwahara import REACH_PX as BRUSH_REACH
from models.ops.kuwahara import brush
from models.ops.xdog import REACH_PX as INK_REACH
from models.ops.xdog import draw
from models.streaming.planes import Moments, Plane, Room, Rows, Stored, doubled, halved, halved_below, local, pooled

FILL_REACH = (1 << LEVELS) - 1  # rows: 16 + 8 + 4 + 2 + 1
FILL_STEP = 64  # rows filled at once, at least: each strip is filled with 31 rows more on both sides
BLOCK_LAG = 4  # rows by which a block's sum is behind its two convolutions
_NORMS = nn.BatchNorm2d | nn.InstanceNorm2d | nn.GroupNorm


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

    def normed(self, plane: Plane, norm: nn.Module, activation: nn.Module | None = None, keep: bool = True) -> Plane:
        """A norm and the activation after it, if any. `keep`: keep the plane rather than make it again."""
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
                plane = (halved if cast(nn.Conv2d, module).padding == (1, 1) else halved_below)(module, plane)
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

    # Of networks that are no plain convolutions, whatever comes in front of a norm or is asked for twice is kept, at full
    # resolution too: that takes most of the room, and spares counting who lags how far behind whom.

    def layers(self, plane: Plane, modules: Iterable[nn.Module]) -> Plane:
        """Layers in order, each by what it is."""
        for module in modules:
            if isinstance(module, nn.Sequential):
                plane = self.layers(plane, module)
            elif isinstance(module, _NORMS):
                plane = self.normed(plane, module)
            elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Upsample):
                plane = self.convs(plane, [module])
            elif isinstance(module, Inverted):
                plane = self.settled(plane)
                made = self.layers(plane, module.body)
                plane = local(torch.add, 0, plane, made) if module.shortcut else made
            elif isinstance(module, ShuffleUnit):
                plane = self.settled(plane)
                made = self.layers(local(lambda rows: rows.chunk(2, 1)[1], 0, plane), module.body)
                plane = local(lambda rows, goes: deal(torch.cat([rows.chunk(2, 1)[0], goes], 1)), 0, plane, made)
            elif isinstance(module, HalvingShuffleUnit):
                plane = self.settled(plane)
                ways = self.layers(plane, module.one), self.layers(plane, module.other)
                both = local(lambda one, other: torch.cat([one, other], 1), 0, *ways)
                plane = local(deal, 0, self.layers(both, module.finish))
            elif not isinstance(module, nn.ReflectionPad2d):  # which `halved_below` adds
                plane = local(lambda rows, work=module: work(rows.clone()), 0, plane)  # activations work in place
        return plane

    def settled(self, plane: Plane) -> Plane:
        """The same plane, kept unless it is."""
        return plane if isinstance(plane, Stored) else self.kept(plane)


def able(network: nn.Module) -> TypeGuard[AnyGenerator]:
    """Whether a network can work in strips: those of `models.generators.table`, but for skips around shuffle units."""
    if isinstance(network, Generator):
        return network.size.units == "residual" or not network.size.skips
    return isinstance(network, AnimeGan | VggDecoder)


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
    generator: AnyGenerator, photo: Rows, height: int, width: int, room: Room, step: int, write: Callable[[int, Tensor], None]
) -> None:
    """What `generator`, in evaluation mode, makes of a photo, strip by strip.

    Args:
        photo: gives 1 x 3 x rows x `width` RGB in [-1, 1].
        room: where maps at half and a quarter of the resolution are kept.
        step: rows of a strip, 4 and more. Memory for strips grows with it; with few, rims are worked out often.
        write: takes strips of the result, from the top down, each with its first row.
    """
    global_norm = not isinstance(generator, VggDecoder) and generator.size.norm in ("instance", "layer", "group")
    stride = STRIDE if isinstance(generator, Generator) else generator.stride
    walk = _Walk(max(step, stride), room, global_norm)
    down, right = padding_of(height, width, stride)

    def source(top: int, bottom: int) -> Tensor:
        # What is added below mirrors the last rows, so those are asked for.
        first, last = (min(top, max(height - 1 - down, 0)), height) if bottom > height else (top, bottom)
        rows = photo(first, last)
        if right:
            rows = F.pad(rows, (0, right, 0, 0), mode="reflect" if right < width else "replicate")
        if bottom > height:
            rows = F.pad(rows, (0, 0, 0, down), mode="reflect" if down < height else "replicate")
        return rows[:, :, top - first : bottom - first]

    made = _made(generator, Plane(height + down, source), walk)
    # Cut to the photo's size. Brush, fills and pens lag behind one another: what they go by is asked for several times.
    reach = 0
    if isinstance(generator, Generator):
        size = generator.size
        reach = BRUSH_REACH * size.brush + FILL_REACH * size.fills + INK_REACH * size.ink
    painted = Plane(height, lambda top, bottom: made.rows(top, bottom)[..., :width], tail=2 * reach, most=walk.step)
    finish = max(walk.step, FILL_STEP) if reach else walk.step
    if isinstance(generator, Generator):
        painted = _finished(generator, Plane(height, photo, tail=2 * reach), painted, finish)
    for top, rows in painted.strips(finish):
        write(top, rows)


def _made(generator: AnyGenerator, source: Plane, walk: _Walk) -> Plane:
    """All of a network, of the padded photo; of a `Generator` all but its end."""
    if isinstance(generator, AnimeGan):
        return walk.layers(source, [generator.down, generator.blocks, generator.up, generator.head, nn.Tanh()])
    if isinstance(generator, VggDecoder):
        return _decoded(generator, source, walk)
    if generator.size.units == "shuffle":
        up = [part for pair in zip(generator.up, generator.finish, strict=True) for part in pair]
        return walk.layers(source, [generator.stem, *generator.down, generator.blocks, *up, generator.head])
    return _convolved(generator, source, walk)


def _decoded(generator: VggDecoder, source: Plane, walk: _Walk) -> Plane:
    """As `VggDecoder.paint`. No norm stands in the way: nothing is kept."""
    x = local(generator.normalise, 0, source)
    for conv, layer in generator.encoder.items():
        if conv.endswith("_1") and conv != "conv1_1":
            x = pooled(x)
        x = local(lambda rows, work=layer: F.relu(work(rows)), 1, x)
    x = walk.layers(local(lambda rows: rows / cast(Tensor, generator.divisor), 0, x), [generator.decoder])
    return local(lambda rows: torch.tanh(0.5 * rows), 0, x)


def _convolved(generator: Generator, source: Plane, walk: _Walk) -> Plane:
    """As `Generator.forward` up to its head, of plain convolutions."""
    size = generator.size
    # Without global norms all layers are made in one go, and what skips carry waits for what goes the long way.
    lag = 0 if walk.global_norm or not size.skips else 2 * STRIDE * (size.blocks + 4)
    full = walk.stage(source, generator.stem, keep=False, tail=lag)
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
    return walk.convs(x, [generator.head])


def _finished(generator: Generator, photo: Plane, painted: Plane, step: int) -> Plane:
    """As the end of `Generator.forward`."""
    size = generator.size
    if not size.residual:
        head = torch.tanh if size.head == "tanh" else leaky_clamp
        return local(lambda rows: head(rows[:, :3]), 0, painted)
    parts, drawn = generator.parts, photo
    if size.brush:
        drawn = local(lambda picture, rows: brush(picture, parts(rows)[1]), BRUSH_REACH, drawn, painted)
    for index in range(size.fills):
        one = slice(PRICES * index, PRICES * (index + 1))
        drawn = local(
            lambda picture, rows, one=one: fill(picture, parts(rows)[2][:, one]), FILL_REACH, drawn, painted, most=step
        )
    drawn = local(generator.grade, 0, drawn)
    if size.ink:
        drawn = local(lambda picture, bare, rows: draw(picture, bare, parts(rows)[3]), INK_REACH, drawn, photo, painted)
    return local(lambda picture, rows: leaky_clamp(picture + 2.0 * torch.tanh(0.5 * parts(rows)[0])), 0, drawn, painted)
