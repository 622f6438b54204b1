"""Opens a model's file with the fastest stylizer that runs it on this machine."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import UserError, log
from pipeline.inference import onnx_stylizer, openvino_engine
from pipeline.inference.onnx_stylizer import OnnxStylizer
from pipeline.inference.openvino_stylizer import OpenVinoStylizer
from pipeline.inference.scaled_stylizer import ScaledStylizer, WorkingPx
from pipeline.inference.stylizer import DEFAULT_MAX_MEGAPIXELS, Stylizer

if TYPE_CHECKING:
    from pipeline.inference.torch_stylizer import TorchStylizer

WORTH_PREPARING_MEGAPIXELS = 12.0
"""Smaller workloads take less time in PyTorch than exporting the network for OpenVINO."""


def open_model(
    path: Path,
    device: str | None = None,
    max_megapixels: float = DEFAULT_MAX_MEGAPIXELS,
    *,
    exact: bool = False,
    workload_megapixels: float = math.inf,
    working_px: WorkingPx | None = "auto",
) -> Stylizer:
    """Open a generator's safetensors file, or an ONNX file (without importing torch).

    On a processor OpenVINO is used, if it is installed and pays off.

    Args:
        device: cpu, cuda or cuda:1; None for GENGA_DEVICE (safetensors files only), else the GPU if there is one, else cpu.
        max_megapixels: larger pictures are refused.
        exact: never use OpenVINO: redraw in float32, as in training.
        workload_megapixels: how much will go through the network in all; for little, OpenVINO does not pay off.
        working_px: long side to which larger pictures are shrunk for the network; "auto" for the one that the model's file
            states, None for the picture's own size.

    Raises:
        UserError: the file is missing or is no model, or the device is not there.
    """
    stylizer = _open_at_own_size(path, device, max_megapixels, exact, workload_megapixels)
    return stylizer if working_px is None else ScaledStylizer(stylizer, working_px, max_megapixels)


def _open_at_own_size(
    path: Path, device: str | None, max_megapixels: float, exact: bool, workload_megapixels: float
) -> Stylizer:
    if path.suffix.lower() == onnx_stylizer.SUFFIX:
        onnx = OnnxStylizer(path, device, max_megapixels)
        if exact or not onnx.on_cpu or not openvino_engine.is_available():
            return onnx
        try:
            return OpenVinoStylizer(onnx.graph, onnx)
        except UserError as error:
            log.info("%s: redrawing with ONNX Runtime", error)
            return onnx
    from pipeline.inference.torch_stylizer import TorchStylizer

    network = TorchStylizer.from_file(path, device, max_megapixels)
    return network if exact else accelerate(network, workload_megapixels)


def accelerate(stylizer: TorchStylizer, workload_megapixels: float = math.inf) -> Stylizer:
    """Return a stylizer that runs the same network with OpenVINO if that is possible and pays off, else `stylizer` itself.

    It is not possible on a GPU, without OpenVINO, or if the network cannot be exported. An export takes some twenty seconds,
    once. It is done only for workloads from `WORTH_PREPARING_MEGAPIXELS`; a network that was exported before is used anyway.
    """
    import torch

    from pipeline.inference import graph_cache

    key = stylizer.identity
    if (
        stylizer.device.type != "cpu"
        or not graph_cache.is_exportable(stylizer.module)
        or (workload_megapixels < WORTH_PREPARING_MEGAPIXELS and not graph_cache.contains(key))
    ):
        return stylizer
    if not openvino_engine.is_available():
        log.info("OpenVINO is not installed; it takes a third of the time: in Genga's folder pip install -e '.[export]'")
        return stylizer
    for attempt in (1, 2):
        try:
            graph = graph_cache.load_or_export(stylizer.module, key)
            return OpenVinoStylizer(graph, stylizer, torch.get_num_threads())
        except (UserError, RuntimeError) as error:  # RuntimeError: of torch.export
            graph_cache.remove(key)  # it may be damaged: export it once more
            if attempt == 2:
                log.info("%s: redrawing with PyTorch", error)
    return stylizer
