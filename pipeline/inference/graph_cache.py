"""Generators as ONNX graphs for `pipeline.inference.openvino`, kept from run to run: to trace one takes ten to twenty seconds.

They lie in the user's cache folder (XDG_CACHE_HOME moves it) under a digest of all that they are made from, and may be deleted
at any time.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import logging
import os
from pathlib import Path
from typing import TypeGuard

import platformdirs
import torch
from torch import nn

from models.generators.portable import Network
from models.ops import convolution
from pipeline.core import source_code
from pipeline.inference import onnx_export

OPSET = 20
KEPT = 16
"""Graphs that are kept, of those used last: 2 MB each of ours, 45 of CartoonGAN."""

log = logging.getLogger("genga")


def able(module: nn.Module) -> TypeGuard[Network]:
    """Whether a network can become a graph: those of the table of models, with finite weights."""
    return isinstance(module, Network) and all(bool(torch.isfinite(values).all()) for values in module.state_dict().values())


def kept(identity: str) -> bool:
    """Whether the graph of a network with this digest is there already."""
    return _file_of(identity).is_file()


def forget(identity: str) -> None:
    """Remove a graph that is kept."""
    with contextlib.suppress(OSError):
        _file_of(identity).unlink()


def graph_of(module: Network, identity: str) -> bytes:
    """A network's ONNX file: the one that is kept, or made now and kept."""
    file = _file_of(identity)
    try:
        graph = file.read_bytes()
        os.utime(file)
        return graph
    except OSError:
        pass
    log.info("preparing the generator for this processor, once: some twenty seconds (--exact goes without)")
    plain = copy.deepcopy(module).to(memory_format=torch.contiguous_format)
    convolution.accelerate(plain, fast=False)
    graph = bytes(onnx_export.to_onnx(onnx_export.trace(plain), {}, OPSET).SerializeToString(deterministic=True))
    _keep(file, graph)
    return graph


def _keep(file: Path, graph: bytes) -> None:
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            aside.write_bytes(graph)
            os.replace(aside, file)
        finally:
            aside.unlink(missing_ok=True)
        there = sorted(file.parent.glob("*.onnx"), key=lambda one: one.stat().st_mtime)
        for old in there[:-KEPT]:
            old.unlink(missing_ok=True)
    except OSError as error:  # a full or foreign disk: then it is made again next time
        log.info("%s cannot be written (%s): the generator is prepared again next time", file, error.strerror)


def _file_of(identity: str) -> Path:
    digest = hashlib.blake2b(f"{identity} {_made_by()}".encode(), digest_size=16).hexdigest()
    return platformdirs.user_cache_path("genga") / "graphs" / f"{digest}.onnx"


@functools.cache
def _made_by() -> str:
    """Digest of what turns a network into a graph: another version of it may draw otherwise."""
    sources = source_code.closure("models.generators.portable", "pipeline.inference.onnx_export")
    return f"{torch.__version__} {OPSET} {source_code.digest(sources)}"
