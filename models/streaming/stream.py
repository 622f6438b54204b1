"""A network run over rows of a picture, in bounded memory, with the result that it has on the whole picture.

Cut into tiles, a picture would change color from tile to tile: instance, layer and group norm divide by statistics of the
whole. So the network is run operation by operation and not tile by tile. Each operation asks the ones before it for the rows
that it needs, from the top down, and these remember the last ones, so only borders between groups of rows are computed twice.
In front of a norm all rows pass once so that their statistics are known; they are kept in a store or, where that would take
much memory and little time is saved, computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, fx

from models.streaming.graph import FLOAT_BYTES, LOCAL, OVERHEAD, Node, nodes_at
from models.streaming.rows import MakeStore, Moments, RowCache, Rows, Store

CONVS_RECOMPUTED = 2
"""At full resolution, where stores are largest, so many convolutions are computed again rather than their result kept."""


@dataclass(frozen=True)
class _Pass:
    """All rows of `target` made once, from the photo and from what earlier passes kept."""

    target: Node
    cone: list[Node]
    """What is computed or read on the way to the target, in order, and the target itself."""
    demand: dict[Node, tuple[int, int]]
    """Rows of each node that some rows of the target need, counted from where the target's lie."""
    step: int
    """Rows of the target that are made at a time."""

    def users(self, node: Node) -> list[Node]:
        """List the operations of this pass that read a node."""
        return [user for user in node.users if user in self.demand]

    def caches(self, node: Node) -> bool:
        """Whether rows of a node are asked for more than once: by several users, or by one that needs neighbors."""
        users = self.users(node)
        return len(users) > 1 or any(user.geometry != LOCAL for user in users)


class RowStream:
    """A network prepared to run on pictures of one size."""

    def __init__(self, traced: fx.GraphModule, height: int, width: int, step: int) -> None:
        """Plan the passes.

        Args:
            traced: the network (see `models.streaming.graph.trace`), in evaluation mode.
            step: rows to compute at a time. Memory grows with it; with few rows borders are computed often.

        Raises:
            UnsupportedOperation: the network cannot be run in rows.
        """
        self._nodes, self._step = nodes_at(traced, height, width), step
        self._kept = _choose_kept(self._nodes)
        *inner, last = self._nodes
        targets = [node for node in inner if node in self._kept or any(user.norm for user in node.users)]
        self._passes = [self._plan(target) for target in (*targets, last)]

    @property
    def working_bytes(self) -> float:
        """Estimate the peak memory of a run, besides the photo, the result and the stores."""
        return OVERHEAD * max(map(self._bytes_of, self._passes))

    @torch.no_grad()
    def run(self, photo: Rows, make_store: MakeStore, write: Callable[[int, Tensor], None]) -> None:
        """Run the network.

        Args:
            photo: gives rows of the photo, 1 x 3 x rows x W RGB in [-1, 1].
            make_store: makes stores for what has to be kept meanwhile.
            write: takes rows of the result, from the top down, each time with the number of the first.
        """
        stores: dict[Node, Store] = {}
        for index, one in enumerate(self._passes):
            target, moments = one.target, Moments()
            norms = [user for user in target.users if user.norm]
            read = self._readers(one, photo, stores)[target]
            if target in self._kept:
                stores[target] = make_store(*target.shape)
            for top in range(0, target.shape.height, one.step):
                rows = read(top, min(top + one.step, target.shape.height))
                if norms:
                    moments.add(rows)
                if target in self._kept:
                    stores[target].write(top, rows)
                if target is self._nodes[-1]:
                    write(top, rows)
            for node in norms:
                node.compute = partial(_scale_and_shift, *_affine(node, moments))
            needed = {node for later in self._passes[index + 1 :] for node in later.cone}
            stores = {node: store for node, store in stores.items() if node in needed}

    def _plan(self, target: Node) -> _Pass:
        needed = {target}
        for node in reversed(self._nodes):
            if node in needed and (node is target or node not in self._kept):
                needed.update(node.inputs)
        cone = [node for node in self._nodes if node in needed]
        step = max(self._at_once(node) for node in cone)
        demand = {target: (0, step)}
        for node in reversed(cone):
            if node is target or node not in self._kept:
                top, bottom = node.geometry.input_rows(*demand[node])
                for source in node.inputs:
                    before = demand.get(source, (top, bottom))
                    demand[source] = min(top, before[0]), max(bottom, before[1])
        return _Pass(target, cone, demand, step)

    def _at_once(self, node: Node) -> int:
        """Rows of a node to make at a time: at least as many as have to be made in addition on either side of them."""
        geometry = node.geometry
        return max(self._step, 2 * geometry.before if geometry.before == geometry.after else 0)

    def _readers(self, one: _Pass, photo: Rows, stores: dict[Node, Store]) -> dict[Node, Rows]:
        readers: dict[Node, Rows] = {}
        for node in one.cone:
            if node in stores:
                readers[node] = stores[node].read
                continue
            make: Rows = partial(node.rows, [readers[source] for source in node.inputs]) if node.inputs else photo
            if one.caches(node):
                top, bottom = one.demand[node]
                make = RowCache(make, bottom - top if len(one.users(node)) > 1 else 0, self._at_once(node))
            readers[node] = make
        return readers

    def _bytes_of(self, one: _Pass) -> float:
        cached = largest = 0
        for node in one.cone:
            top, bottom = one.demand[node]
            if node is one.target or node not in self._kept:
                sources = sum(source.shape.channels * source.shape.width for source in node.inputs)
                largest = max(
                    largest,
                    (2 * node.shape.channels * node.shape.width + sources) * (self._at_once(node) + node.geometry.before),
                )
                if one.caches(node):
                    cached += node.shape.channels * node.shape.width * (bottom - top) * (2 if len(one.users(node)) > 1 else 1)
        return FLOAT_BYTES * (cached + largest)


def _choose_kept(nodes: list[Node]) -> set[Node]:
    """Choose the nodes whose rows are kept: of those that several passes need, the ones that are costly to compute again.

    Where no norm needs statistics there is a single pass, and nothing has to be kept.
    """
    kept: set[Node] = set()
    convs: dict[Node, int] = {nodes[0]: 0}  # to compute a node again
    reads: dict[Node, set[Node]] = {nodes[0]: set()}  # kept nodes that this reads
    last_norm = max((index for index, node in enumerate(nodes) if node.norm), default=0)
    for node in nodes[1:last_norm]:
        convs[node] = node.convolves + max(0 if source in kept else convs[source] for source in node.inputs)
        reads[node] = _union({source} if source in kept else reads[source] for source in node.inputs)
        shared = len(node.users) > 1 or any(user.norm for user in node.users)
        allowed = CONVS_RECOMPUTED if node.shape.height >= nodes[0].shape.height else 0
        if shared and (convs[node] > allowed or len(reads[node]) > 1):
            kept.add(node)
    return kept


def _union(sets: Iterable[set[Node]]) -> set[Node]:
    return set().union(*sets)


def _affine(node: Node, moments: Moments) -> tuple[Tensor, Tensor]:
    """What a norm multiplies by and adds, 1 x C x 1 x 1 in float64."""
    norm = node.norm
    assert norm is not None
    groups = norm.num_groups if isinstance(norm, torch.nn.GroupNorm) else norm.num_features
    mean, variance = moments.of_groups(groups)
    weight, bias = (cast(Tensor, part).double().cpu() for part in (norm.weight, norm.bias))
    scale = weight / torch.sqrt(variance + norm.eps)
    return scale.view(1, -1, 1, 1), (bias - mean * scale).view(1, -1, 1, 1)


def _scale_and_shift(scale: Tensor, shift: Tensor, rows: Tensor) -> Tensor:
    return torch.addcmul(shift.to(rows), rows, scale.to(rows))
