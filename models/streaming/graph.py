"""A network's forward pass as a graph of operations on rows, traced by torch.fx from the pass itself.

One table says for each operation which rows of its inputs some rows of its output need. A network is supported if all of its
operations are in the table.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from models.generators.shuffle_unit import shuffle_channels
from models.layers import crop_like, leaky_clamp, pad_to_stride, padded_length
from models.ops import domain_transform, kuwahara, xdog
from models.ops.color_transform import ColorTransform
from models.ops.domain_transform import diffuse
from models.ops.kuwahara import blend_kuwahara
from models.ops.xdog import draw_lines
from models.perceptual import Normalize

FLOAT_BYTES = 4
OVERHEAD = 1.5
"""Measured peak memory by the bytes of the feature maps that are held."""


class UnsupportedOperation(ValueError):
    """A network does something that the table of operations does not know."""


class Geometry(NamedTuple):
    """Which input rows an operation needs: output row i lies at input row i * down / up."""

    before: int = 0
    """Input rows that it needs above that."""
    after: int = 0
    """And below."""
    up: int = 1
    down: int = 1
    align: int = 1
    """The first input row must be a multiple of this."""

    def input_rows(self, top: int, bottom: int) -> tuple[int, int]:
        """Return the input rows that output rows `top` to `bottom` need, which may lie beyond the borders."""
        first = top * self.down // self.up - self.before
        return first - first % self.align, -(-bottom * self.down // self.up) + self.after


LOCAL = Geometry()
"""Of operations that look at each pixel by itself."""


class Shape(NamedTuple):
    """Of one picture's feature map."""

    channels: int
    height: int
    width: int


@dataclass(eq=False)
class Node:
    """One operation of a forward pass, at a given size of picture."""

    shape: Shape
    inputs: tuple[Node, ...] = ()
    compute: Callable[..., Tensor] = lambda *rows: rows[0]
    """Makes output rows from rows of the inputs, as if these were all there are."""
    geometry: Geometry = LOCAL
    norm: nn.GroupNorm | nn.InstanceNorm2d | None = None
    """The norm that this node is, if it divides by statistics of the whole picture; then `compute` is to be set."""
    convolves: bool = False
    users: list[Node] = field(default_factory=list)

    def rows(self, inputs: list[Callable[[int, int], Tensor]], top: int, bottom: int) -> Tensor:
        """Make output rows from functions that give rows of the inputs."""
        first, last = self.geometry.input_rows(top, bottom)
        first, last = max(first, 0), min(last, self.inputs[0].shape.height)
        made = self.compute(*(rows(first, last) for rows in inputs))
        offset = first * self.geometry.up // self.geometry.down
        return made[:, :, top - offset : bottom - offset]


Rule = Callable[[Any, Shape], tuple[Shape, Geometry]]
"""From a module (None for a function) and the shape of its first input to the shape of its output, and its geometry."""


def _same(halo: int = 0) -> Rule:
    return lambda module, shape: (shape, Geometry(halo, halo))


def _convolution(conv: nn.Conv2d, shape: Shape) -> tuple[Shape, Geometry]:
    (side, _), (stride, _), padding = conv.kernel_size, conv.stride, cast(int, conv.padding[0])
    height, width = ((length + 2 * padding - side) // stride + 1 for length in shape[1:])
    before = -(-padding // stride) * stride
    return Shape(conv.out_channels, height, width), Geometry(before, side - stride - padding, down=stride, align=stride)


def _doubling(module: nn.Module, shape: Shape) -> tuple[Shape, Geometry]:
    channels = module.out_channels if isinstance(module, nn.ConvTranspose2d) else shape.channels
    return Shape(channels, 2 * shape.height, 2 * shape.width), Geometry(1, 1, up=2)


def _reflection(module: nn.ReflectionPad2d, shape: Shape) -> tuple[Shape, Geometry]:
    left, right, top, bottom = module.padding
    if left or top:
        raise UnsupportedOperation("padding at the top or on the left")
    return Shape(shape.channels, shape.height + bottom, shape.width + right), Geometry(2 * bottom)


MODULES: dict[type[nn.Module], Rule] = {
    nn.Conv2d: _convolution,
    nn.ConvTranspose2d: _doubling,  # of kernel 3 and stride 2, as all are here
    nn.Upsample: _doubling,
    nn.ReflectionPad2d: _reflection,
    **dict.fromkeys((nn.BatchNorm2d, nn.GroupNorm, nn.InstanceNorm2d, nn.Identity, nn.ReLU, nn.LeakyReLU), _same()),
    **dict.fromkeys((Normalize, ColorTransform), _same()),
}
"""Operations that are modules; their subclasses count as well."""

FUNCTIONS: dict[Callable[..., Any], Rule] = {
    **dict.fromkeys((operator.add, operator.mul, operator.truediv, torch.tanh, F.relu), _same()),
    **dict.fromkeys((leaky_clamp, shuffle_channels), _same()),
    diffuse: _same(domain_transform.HALO_PX),
    blend_kuwahara: _same(kuwahara.HALO_PX),
    draw_lines: _same(xdog.HALO_PX),
    F.max_pool2d: lambda _, shape: (Shape(shape.channels, shape.height // 2, shape.width // 2), Geometry(down=2, align=2)),
}
"""Operations that are functions; the few that need their other arguments are in `_function`."""

_OWN_FUNCTIONS = (pad_to_stride, crop_like, leaky_clamp, shuffle_channels, diffuse, blend_kuwahara, draw_lines)


class _Tracer(fx.Tracer):
    def __init__(self) -> None:
        super().__init__(autowrap_functions=_OWN_FUNCTIONS)

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, tuple(MODULES))


def trace(network: nn.Module) -> fx.GraphModule:
    """Record the forward pass of a network in evaluation mode, without gradients.

    Raises:
        UnsupportedOperation: the pass branches on values or sizes.
    """
    try:
        with torch.no_grad():
            return fx.GraphModule(network, _Tracer().trace(network))
    except (fx.proxy.TraceError, TypeError, RuntimeError) as error:  # RuntimeError: of len() and the like
        raise UnsupportedOperation(f"the forward pass cannot be traced: {error}") from None


def nodes_at(traced: fx.GraphModule, height: int, width: int) -> list[Node]:
    """List the operations on a picture of this size in the order of computation; the first is the picture, the last the result.

    Raises:
        UnsupportedOperation: an operation is in no table.
    """
    made: dict[fx.Node, Node] = {}
    constants: dict[fx.Node, Tensor] = {}
    for node in traced.graph.nodes:
        if node.op == "placeholder":
            made[node] = Node(Shape(3, height, width))
        elif node.op == "get_attr":
            constants[node] = traced.get_buffer(node.target)
        elif node.op == "output":
            break
        elif node.op == "call_module":
            made[node] = _module(traced.get_submodule(node.target), made[node.args[0]])
        else:
            made[node] = _function(node, made, constants)
        for one in made[node].inputs if node in made else ():
            one.users.append(made[node])
    return list(made.values())


def _module(module: nn.Module, source: Node) -> Node:
    kind = next(kind for kind in MODULES if isinstance(module, kind))
    shape, geometry = MODULES[kind](module, source.shape)
    compute: Callable[..., Tensor] = module
    # What is cached must not be changed in place.
    if isinstance(module, nn.ReLU):
        compute = F.relu
    elif isinstance(module, nn.LeakyReLU):
        slope = module.negative_slope
        compute = lambda rows: F.leaky_relu(rows, slope)  # noqa: E731
    norm = module if isinstance(module, nn.GroupNorm | nn.InstanceNorm2d) else None
    return Node(shape, (source,), compute, geometry, norm, isinstance(module, nn.Conv2d | nn.ConvTranspose2d))


def _function(node: fx.Node, made: dict[fx.Node, Node], constants: dict[fx.Node, Tensor]) -> Node:
    function = cast(Callable[..., Any], node.target)
    names = [one for one in node.all_input_nodes if one in made]
    inputs = tuple(made[one] for one in names)

    def compute(*rows: Tensor) -> Tensor:
        values = constants | dict(zip(names, rows, strict=True))
        return cast(Tensor, function(*fx.map_arg(node.args, values.__getitem__), **node.kwargs))

    first = inputs[0].shape
    if function is pad_to_stride:
        stride = cast(int, node.args[1])
        shape = Shape(first.channels, padded_length(first.height, stride), padded_length(first.width, stride))
        return Node(shape, inputs, compute, Geometry(2 * stride, align=stride))
    if function is crop_like:
        shape = first._replace(height=inputs[1].shape.height, width=inputs[1].shape.width)
        return Node(shape, inputs[:1], lambda rows: rows[..., : shape.width])
    if function is torch.cat:
        return Node(first._replace(channels=sum(one.shape.channels for one in inputs)), inputs, compute)
    if function is operator.getitem:
        every, channels = cast("tuple[slice, slice]", node.args[1])
        if every != slice(None):
            raise UnsupportedOperation("indexing of anything but channels")
        return Node(first._replace(channels=len(range(first.channels)[channels])), inputs, compute)
    if function not in FUNCTIONS:
        raise UnsupportedOperation(f"no row-wise {getattr(function, '__name__', function)}")
    shape, geometry = FUNCTIONS[function](None, first)
    return Node(shape, inputs, compute, geometry)


def bytes_per_pixel(traced: fx.GraphModule) -> float:
    """Estimate the peak memory of a forward pass in float32 on a whole picture, by the pixel, besides weights.

    Raises:
        UnsupportedOperation: as `nodes_at`.
    """
    side = 64
    nodes = nodes_at(traced, side, side)
    last_use = {source: index for index, node in enumerate(nodes) for source in node.inputs}
    peak = 0
    for index, node in enumerate(nodes):
        live = sum(math.prod(one.shape) for one in nodes[: index + 1] if last_use.get(one, index) >= index)
        # An operation that reads neighbors holds copies of its inputs: padded, and laid out for its kernels.
        copies = 2 * sum(math.prod(source.shape) for source in node.inputs) if node.geometry != LOCAL else 0
        peak = max(peak, live + copies)
    return FLOAT_BYTES * OVERHEAD * peak / side**2
