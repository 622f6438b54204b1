"""Where networks run and how: device, layout of memory, arithmetic, first weights."""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.ops import convolution
from pipeline.core import manifest
from pipeline.media import tensors

# mallopt's numbers for the size from which memory is mapped, and for the free memory that is given back.
MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1

log = logging.getLogger("genga")


def pick_device() -> torch.device:
    """The GPU when there is one (of several, the one that this process was given), else the processor."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def prepare(device: torch.device) -> None:
    """Set torch up: on the processor the same run gives the same bits; on a GPU the fastest kernels are sought."""
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    else:
        keep_freed_memory()
        torch.use_deterministic_algorithms(True)
        # Nothing here reads memory that it has not written: filling it would only cost time.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def keep_freed_memory() -> None:
    """Let glibc keep what is freed: activations of hundreds of MB would else be fetched anew, page by page, each step."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # there is none but in glibc
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, 1 << 30)
        mallopt(TRIM_THRESHOLD, (1 << 31) - 1)


def layout(device: torch.device) -> torch.memory_format:
    """How networks lie in memory, and the pictures they are shown.

    Channels last, but for processors without AVX512: there the gradients of weights would take twice the time, and what
    `accelerate` puts in the place of torch's convolutions wants maps one after another (docs/log.md).
    """
    slow = device.type == "cpu" and "AVX512" not in torch.backends.cpu.get_cpu_capability()
    return torch.contiguous_format if slow else torch.channels_last


def shown(pixels: Tensor, device: torch.device, memory: torch.memory_format | None = None) -> Tensor:
    """uint8 NHWC (0-255), wherever it lies, to float32 NCHW in [-1, 1] on the device, in that layout or the device's."""
    return tensors.from_pixels(pixels.to(device, non_blocking=True)).contiguous(memory_format=memory or layout(device))


def accelerate(network: nn.Module, device: torch.device) -> None:
    """On processors without AVX512, use faster convolutions where that pays (models/ops/convolution.py)."""
    if device.type == "cpu" and layout(device) is torch.contiguous_format:
        convolution.accelerate(network)


def seeded(build: Callable[[], nn.Module], seed: int, name: str, device: torch.device) -> nn.Module:
    """Build a network whose first weights depend on the seed and its name alone, and take it to the device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(manifest.number(seed, name) >> 1)
        return to_device(build(), device)


def to_device(module: nn.Module, device: torch.device) -> nn.Module:
    """Move a network, and lay its weights out as its convolutions like them."""
    return module.to(device, memory_format=layout(device))  # type: ignore[no-any-return, call-overload]


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The arithmetic of the forward passes."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def compile_if_it_works(network: nn.Module, picture: Tensor, precision: str) -> None:
    """Have torch.compile make the network's passes fast, or say why it cannot and leave the network as it is."""
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    try:
        network.compile()
        with autocast(picture.device, precision):
            output = network(picture)
        output.float().mean().backward()
    except Exception as error:  # the compiler calls others' programs: whatever fails there is no reason not to train
        network._compiled_call_impl = None
        log.warning("compile: torch.compile failed (%s): going on without it", str(error).strip().split("\n")[0][:200])
    network.zero_grad(set_to_none=True)
    network.load_state_dict(before)
