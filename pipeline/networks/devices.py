"""Where networks run, and how: device, memory format, precision, initial weights."""

import ctypes
import functools
import os
from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.ops import convolution
from pipeline.core import manifest
from pipeline.core.errors import UserError, log
from pipeline.media import tensors

# Parameters of glibc's mallopt: the size from which memory is mapped, and the free memory above which it is returned.
MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1


def pick_device(wish: torch.device | str | None = None) -> torch.device:
    """Choose a device: `wish`, else the environment's GENGA_DEVICE, else the CUDA GPU if there is one, else the CPU.

    Of several GPUs it is this process's current one. Apple's GPU (mps) has to be wished for: nobody has tried it yet.

    Raises:
        UserError: the device is not here, or is of a kind that is not supported.
    """
    wish = wish or os.environ.get("GENGA_DEVICE")
    if not wish:
        return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    try:
        device = torch.device(wish)
    except RuntimeError:
        device = None
    if device is None or device.type not in available:
        raise UserError(f"device {str(wish)!r} is not supported: use cpu, cuda, cuda:1 or mps")
    if not available[device.type]:
        raise UserError(f"device {wish} is not here (torch sees no such GPU): use cpu")
    return device


def prepare(device: torch.device) -> None:
    """Configure torch: deterministic algorithms on the CPU, the fastest kernels on a GPU."""
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    elif device.type == "cpu":
        keep_freed_memory()
        torch.use_deterministic_algorithms(True)
        # All memory is written before it is read; filling it first would only take time.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def keep_freed_memory() -> None:
    """Make glibc, if in use, keep freed memory; otherwise each step maps hundreds of MB of activations again, page by page."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc only
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, 1 << 30)
        mallopt(TRIM_THRESHOLD, (1 << 31) - 1)


def layout(device: torch.device) -> torch.memory_format:
    """Choose the memory format of networks and their inputs.

    Channels last, except on Apple's GPUs and on CPUs without AVX512: there gradients of weights would take twice the time, and
    the convolutions of `accelerate` need contiguous channels (docs/log.md).
    """
    slow = device.type == "mps" or (device.type == "cpu" and not _has_avx512())
    return torch.contiguous_format if slow else torch.channels_last


def to_model_input(pixels: Tensor, device: torch.device, memory: torch.memory_format | None = None) -> Tensor:
    """Convert uint8 NHWC pictures (0-255) on any device to float32 NCHW in [-1, 1] on `device`, by default in its `layout`."""
    return tensors.from_pixels(pixels.to(device, non_blocking=True)).contiguous(memory_format=memory or layout(device))


def accelerate(network: nn.Module, device: torch.device) -> None:
    """Replace convolutions in place by faster ones (models/ops/convolution.py) on CPUs without AVX512; elsewhere do nothing."""
    if device.type == "cpu" and layout(device) is torch.contiguous_format:
        convolution.accelerate(network)


def build_seeded(build: Callable[[], nn.Module], seed: int, name: str, device: torch.device) -> nn.Module:
    """Build a network on the device, with initial weights that depend only on the seed and its name."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(manifest.number(seed, name) >> 1)
        return to_device(build(), device)


def to_device(module: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to a device, in the device's memory format."""
    return module.to(device, memory_format=layout(device))  # type: ignore[no-any-return, call-overload]


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Create the context of forward passes in float32 or bfloat16; on a CPU where bfloat16 is slow (no AVX512) in float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=usable_precision(device, precision) == "bfloat16")


def usable_precision(device: torch.device, precision: str) -> str:
    """Return `precision`, but float32 for bfloat16 on CPUs without AVX512, where torch multiplies it number by number."""
    if precision == "float32" or device.type != "cpu" or _has_avx512():
        return precision
    _say_once(f"precision: {precision} is slow on this processor, so float32 is used")
    return "float32"


@functools.cache
def _say_once(text: str) -> None:
    log.info(text)


def _has_avx512() -> bool:
    return "AVX512" in torch.backends.cpu.get_cpu_capability()


def compile_if_it_works(network: nn.Module, picture: Tensor, precision: str) -> None:
    """Compile a network in place, by torch.compile, and try it on `picture`; if that fails, log why and leave it uncompiled."""
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    try:
        network.compile()
        with autocast(picture.device, precision):
            output = network(picture)
        output.float().mean().backward()
    except Exception as error:  # the compiler runs external programs, which fail in many ways
        network._compiled_call_impl = None
        log.warning("compile: torch.compile failed (%s): continuing without it", str(error).strip().split("\n")[0][:200])
    network.zero_grad(set_to_none=True)
    network.load_state_dict(before)
