"""Cache of generators exported for OpenVINO, since an export takes ten to twenty seconds.

Files lie in the user's cache folder (`XDG_CACHE_HOME` moves it), named by a digest of everything they are made from. They may
be deleted at any time.
"""

import copy
import functools
import os
from pathlib import Path
from typing import TypeGuard

import platformdirs
import torch
from torch import nn

from models.generators.table import AnyGenerator
from models.ops import convolution
from pipeline.core import files, source_code
from pipeline.core.errors import log
from pipeline.inference import onnx_export

OPSET = 20
MAX_GRAPHS = 16
"""Number of graphs kept, those used last: 2 MB each for the `genga` generators, 45 MB for CartoonGAN."""


def is_exportable(module: nn.Module) -> TypeGuard[AnyGenerator]:
    """Whether a network can be exported: one of the table of generators, with finite weights."""
    return isinstance(module, AnyGenerator) and all(
        bool(torch.isfinite(values).all()) for values in module.state_dict().values()
    )


def contains(identity: str) -> bool:
    """Return whether the cache holds the ONNX file of the network with this digest (`Stylizer.identity`)."""
    return _path(identity).is_file()


def remove(identity: str) -> None:
    """Remove the ONNX file of the network with this digest from the cache, if it is there."""
    _path(identity).unlink(missing_ok=True)


def load_or_export(module: AnyGenerator, identity: str) -> bytes:
    """Return the bytes of a network's ONNX file from the cache, or export the network and cache it (if the disk allows).

    Args:
        identity: digest of the network and its weights (`Stylizer.identity`).

    Raises:
        UserError: the packages for exporting are not installed.
    """
    path = _path(identity)
    try:
        graph = path.read_bytes()
        os.utime(path)
        return graph
    except OSError:
        pass
    log.info("preparing the generator for this processor, once: some twenty seconds (not needed with --exact)")
    plain = copy.deepcopy(module).to(memory_format=torch.contiguous_format)
    convolution.accelerate(plain, fast=False)
    graph = onnx_export.to_bytes(onnx_export.to_onnx(onnx_export.trace(plain), {}, OPSET))
    try:
        _store(path, graph)
    except OSError as error:  # a full or read-only disk
        log.info("%s cannot be written (%s): the generator will be prepared again next time", path, error.strerror)
    return graph


def _store(path: Path, graph: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as temporary:
        temporary.write_bytes(graph)
    by_age = sorted(path.parent.glob("*.onnx"), key=lambda file: file.stat().st_mtime)
    for old in by_age[:-MAX_GRAPHS]:
        old.unlink(missing_ok=True)


def _path(identity: str) -> Path:
    return platformdirs.user_cache_path("genga") / "graphs" / f"{files.digest(f'{identity} {_exporter()}'.encode())}.onnx"


@functools.cache
def _exporter() -> str:
    """Identify the code that exports: another version may give another graph."""
    sources = source_code.closure("models.generators.portable", "pipeline.inference.onnx_export")
    return f"{torch.__version__} {OPSET} {source_code.digest(sources)}"
