"""Saves generators as safetensors files, and loads them.

A file's metadata names the row of the model table and the norm, so that the network can be rebuilt from the file alone, and
whatever else the writer recorded of the run. No pickles: loading weights from others never runs code.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from models.generators.table import GENERATORS, build_generator
from pipeline.core import files
from pipeline.core.errors import UserError
from pipeline.core.text import repro_command

GENERATOR, NORM = "generator", "norm"
INIT_FROM = "init_from"
"""The trained generator whose weights training began with, and its licence; absent if they were random."""
ROW_OWN = "row"  # stands for what the row says: safetensors metadata knows strings only


def generator_metadata(name: str, norm: str | None) -> dict[str, str]:
    """The metadata by which `load_generator` rebuilds a network: its row of the model table, and its norm (None: the row's)."""
    return {GENERATOR: name, NORM: norm or ROW_OWN}


def save_generator(path: Path, module: nn.Module, metadata: Mapping[str, str]) -> None:
    """Write a generator's weights, whole or not at all; ValueError if `metadata` lacks a key of `generator_metadata`."""
    if missing := {GENERATOR, NORM} - metadata.keys():
        raise ValueError(f"metadata lacks {', '.join(sorted(missing))}")
    save_tensors(path, module.state_dict(), metadata)


def load_generator(path: Path, device: torch.device | str = "cpu") -> tuple[nn.Module, dict[str, str]]:
    """Rebuild a generator from its file.

    Returns:
        The network on `device`, in evaluation mode and without gradients, and the file's metadata.

    Raises:
        UserError: missing, no safetensors, by another writer, of an unknown row, or with weights that do not fit the row.
    """
    tensors, metadata = load_tensors(path)
    if GENERATOR not in metadata:
        raise UserError(f"{path} does not name its generator: give a file that genga's pretrain or train stage wrote")
    name, norm = metadata[GENERATOR], metadata.get(NORM, ROW_OWN)
    remedy = "use the version of genga that wrote it"
    if name not in GENERATORS:
        raise UserError(f"{path} is a generator {name!r}, which is none of {', '.join(GENERATORS)}: {remedy}")
    try:
        module = build_generator(name, norm=None if norm == ROW_OWN else norm)
        module.load_state_dict(tensors)
    except (ValueError, RuntimeError, TypeError) as error:
        detail = " ".join(line.strip() for line in str(error).splitlines()[:2])[:200]
        raise UserError(f"{path} does not fit the generator {name!r} it names ({detail}): {remedy}") from None
    return module.to(device).eval().requires_grad_(False), metadata


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write named tensors and strings as a safetensors file, atomically and flushed to the disk.

    The same content gives the same bytes.
    """
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    data = save(plain, dict(metadata))
    # The library orders metadata differently in each process, which DVC would take for a change.
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    with files.replacing(path) as temporary, temporary.open("wb") as file:
        file.write(len(header).to_bytes(8, "little"))
        file.write(header)
        file.write(memoryview(data)[8 + length :])
        file.flush()
        os.fsync(file.fileno())


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The named tensors of a safetensors file, in host memory, and its metadata.

    Raises:
        UserError: missing, or no safetensors file (a pickle, or cut short).
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist: run {repro_command(path)}, which makes it, or name a .safetensors file")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path} is no whole safetensors file ({error}): copy it again; a .pth or .ckpt is another format, by any name"
        ) from None
