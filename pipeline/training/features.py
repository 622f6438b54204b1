"""VGG features in which the generator's loss compares content and style."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models import losses
from models.perceptual import VggFeatures
from pipeline.dataset.loader import Batch
from pipeline.media.images import Picture
from pipeline.networks import devices
from pipeline.networks.vgg import VggWeights
from pipeline.params.training import LossParams
from pipeline.training.model_setup import blame_key

Features = Mapping[str, Tensor]
"""VGG layer -> features, N x C x H x W, or their Gram matrices, N x C x C."""


class OutputFeatures(NamedTuple):
    """Features of the generator's output."""

    content: Features
    """At loss.content_layer, and in between at what style and the discriminator share with it."""
    style: Features
    """At loss.style_layers."""
    discriminator: Features | None
    """At the layers of a discriminator on frozen features; None: it extracts its own."""


@dataclass(frozen=True)
class FeatureExtractors:
    """VGG19 down to the layers that the loss compares; None for what no loss weight needs."""

    content: VggFeatures | None
    style: VggFeatures | None
    content_and_style: VggFeatures | None
    """All layers in one pass, for outputs; None where one is compared in grayscale and the other in color."""
    style_grams: Features | None = None
    """Gram matrices of the pictures that loss.style_images names; None: the style is that of the batch's anime."""
    for_discriminator: VggFeatures | None = None
    """The one of the above that has the layers of a discriminator on frozen features, where it sees the same pictures."""

    def of_output(self, output: Tensor, batch: Batch, loss: LossParams) -> OutputFeatures:
        """Extract the features of the generator's output that the loss terms compare; {} where none are needed."""
        seen = seen_output(output, batch, loss)
        if self.content_and_style is not None:
            content = style = self.content_and_style(content_input(seen, loss))
        else:
            content = {} if self.content is None else self.content(content_input(seen, loss))
            style = {} if self.style is None else self.style(style_input(seen, loss))
        return OutputFeatures(content, style, content if self.for_discriminator is not None else None)

    def reference_grams(self, anime: Tensor | None, style_index: Tensor | None, loss: LossParams) -> Features:
        """Gram matrices that the output's are compared with: those of style pictures where there are any, else of `anime`.

        Args:
            style_index: for each output the index of its style picture, int64 N; not None where there are style pictures.
        """
        if self.style_grams is not None:
            assert style_index is not None
            return {layer: grams[style_index] for layer, grams in self.style_grams.items()}
        assert self.style is not None and anime is not None
        return gram_matrices(self.style, anime, loss)


def build_feature_extractors(
    vgg: VggWeights,
    loss: LossParams,
    device: torch.device,
    style_pictures: Sequence[Picture] = (),
    discriminator_layers: Sequence[str] = (),
) -> FeatureExtractors:
    """Build the feature extractors that the loss weights need, and compute the Gram matrices of the style pictures.

    Args:
        discriminator_layers: layers that a discriminator takes from the pass over the content's layers, if there is one.

    Raises:
        UserError: an unknown VGG layer, or one whose feature scale was not measured; the message names the parameter.
    """
    content = style = content_and_style = None
    content_layers = [loss.content_layer, *discriminator_layers]
    if loss.content_weight or loss.superpixel_weight:
        content = build_feature_extractor(vgg, content_layers, "loss.content_layer", device)
    if loss.style_weight:
        style = build_feature_extractor(vgg, loss.style_layers, "loss.style_layers", device)
    if content is not None and style is not None and loss.style_grayscale == loss.content_grayscale:
        content_and_style = build_feature_extractor(vgg, [*content_layers, *loss.style_layers], "loss", device)
    style_grams: Features | None = None
    if style is not None and style_pictures:
        # One by one, as they differ in size.
        grams = [gram_matrices(style, _to_tensor(picture, device), loss) for picture in style_pictures]
        style_grams = {layer: torch.cat([of_picture[layer] for of_picture in grams]) for layer in grams[0]}
    for_discriminator = (content_and_style or content) if discriminator_layers else None
    return FeatureExtractors(content, style, content_and_style, style_grams, for_discriminator)


def build_feature_extractor(vgg: VggWeights, layers: Sequence[str], key: str, device: torch.device) -> VggFeatures:
    """Build a VGG down to the deepest of some layers, on the device.

    Args:
        key: the parameter that names the layers, for the message of the UserError about unknown or unmeasured layers.
    """
    with blame_key(key):
        network = vgg.features(dict.fromkeys(layers))
    devices.to_device(network, device)
    devices.accelerate(network, device)
    return network


@torch.no_grad()
def gram_matrices(extractor: nn.Module, pictures: Tensor, loss: LossParams) -> Features:
    """Compute the Gram matrices of pictures (N x 3 x H x W) by layer, as the style term compares them."""
    return {layer: losses.gram(features) for layer, features in extractor(style_input(pictures, loss)).items()}


def seen_output(output: Tensor, batch: Batch, loss: LossParams) -> Tensor:
    """The part of the output that VGG and the discriminator see; with loss.textured_only gradients skip flat areas."""
    if loss.textured_only:
        output = losses.gradient_where_textured(output, losses.flatness(batch.photo, loss.flat_threshold))
    return batch.seen(output)


def content_input(pictures: Tensor, loss: LossParams) -> Tensor:
    """The pictures, in grayscale (still three channels) if loss.content_grayscale is set, else unchanged."""
    return losses.grayscale(pictures) if loss.content_grayscale else pictures


def style_input(pictures: Tensor, loss: LossParams) -> Tensor:
    """The pictures, in grayscale (still three channels) if loss.style_grayscale is set, else unchanged."""
    return losses.grayscale(pictures) if loss.style_grayscale else pictures


def _to_tensor(picture: Picture, device: torch.device) -> Tensor:
    return devices.to_model_input(torch.from_numpy(picture[None]), device)
