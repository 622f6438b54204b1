"""Cost of a full run of each recipe: counted operations, and the hours they take at a published speed. JSON lines.

    python -m benchmarks.recipe_cost [RECIPE...]

Nothing is run: steps of pretraining and training are traced on tensors without content, and the multiplications and additions
of their products and convolutions counted. The only published pace of such a training is JapananimeGAN's, 0.46 s a step of
one photo (256 px, float32, RTX 3060 of 6 GB): a recipe's hours are its operations over those of that step, times 0.46 s. So
they are those of that card as its author used it; newer cards, bfloat16 and larger batches are faster, by how much is untold.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.output import print_result
from benchmarks.recipe_params import params_of
from benchmarks.train_memory import vgg_weights
from models.discriminators import build_discriminator, frozen_layers
from models.generators.table import build_generator
from models.ops.augment import CHANCES
from models.ops.convolution import accelerate
from pipeline import pretrain
from pipeline.commands import recipes
from pipeline.dataset.loader import Batch
from pipeline.networks.vgg import VggWeights
from pipeline.params.schema import Params
from pipeline.params.training import EngineParams
from pipeline.training.features import build_feature_extractor, build_feature_extractors, gram_matrices
from pipeline.training.gan_networks import GanNetworks
from pipeline.training.loop import gan_step
from pipeline.training.model_setup import build_adam

PACE = "japanimation"
PACE_S = 0.46
CPU = torch.device("cpu")


def operations(params: Params) -> tuple[float, float]:
    """Count the floating point operations of pretraining and of training for one photo, in billions."""
    vgg = VggWeights(vgg_weights(), "caffe", "", "")
    # With a style picture its Gram matrices are known beforehand: the film is not looked at, as here without a discriminator.
    styled = params.loss.style_images != "data/styles"
    extractors = build_feature_extractors(vgg, params.loss, CPU)
    extractor = build_feature_extractor(vgg, [params.pretrain.content_layer], "pretrain.content_layer", CPU)
    for network in (extractors.content, extractors.style, extractors.content_and_style, extractor):
        if network is not None:
            accelerate(network, fast=False)
    model, section = params.model, params.train
    layers = frozen_layers(model.discriminator)
    frozen = vgg.features(layers) if layers else None
    with FakeTensorMode(allow_non_fake_inputs=True):
        generator = build_generator(model.generator, norm=model.generator_norm)
        critic = build_discriminator(
            model.discriminator, norm=model.discriminator_norm, spectral=model.spectral_norm, extractor=frozen
        )
        optimizers = build_adam(generator, 1.0, 0.5), build_adam(critic, 1.0, 0.5)
        if not params.loss.adversarial_weight:
            critic = None  # type: ignore[assignment]
        if styled and extractors.style is not None:
            grams = gram_matrices(extractors.style, torch.empty(1, 3, 64, 64), params.loss)
            extractors = replace(extractors, style_grams=grams)
        networks = GanNetworks(generator, optimizers[0], generator, critic, optimizers[1], extractors, CPU, {})
        alone = pretrain.Networks(generator, optimizers[0], extractor, CPU)

        def batch(count: int, side: int) -> Batch:
            empty: Tensor = torch.empty(count, 3, side, side)
            edge_smoothed = empty if params.loss.edge_weight else None
            draws = torch.zeros(count, 3, CHANCES) if section.augment else None
            return Batch(empty, empty, edge_smoothed, empty, draws, torch.zeros(count, dtype=torch.long) if styled else None)

        steps: list[tuple[Callable[[Batch], object], EngineParams]] = [
            (lambda crops: pretrain.step(alone, crops, params.pretrain), params.pretrain),
            (lambda crops: gan_step(networks, crops, section, params.loss), section),
        ]
        found = []
        for step, size in steps:
            crops = batch(size.accumulate, size.crop_px)
            with FlopCounterMode(display=False) as counter:
                step(crops)
            found.append(counter.get_total_flops() / size.accumulate / 1e9)
    return found[0], found[1]


def main() -> None:
    """Print a line for each recipe."""
    parser = argparse.ArgumentParser(description="what a full run of each recipe costs")
    parser.add_argument("recipes", nargs="*", help="all, if none is named")
    arguments = parser.parse_args()
    pace = operations(params_of(PACE))[1]
    for name in arguments.recipes or recipes.descriptions(recipes.RECIPES):
        params = params_of(name)
        before, during = operations(params)
        total = params.pretrain.images * before + params.train.images * during
        unit = "hours at the published pace of JapananimeGAN (RTX 3060)"
        notes = (
            f"{params.pretrain.images} photos of pretraining at {before:.4g} thousand million operations, "
            f"{params.train.images} of training at {during:.4g}; JapananimeGAN's step {pace:.4g}"
        )
        print_result(f"recipe_cost/{name}", total / pace * PACE_S / 3600, unit, notes=notes, device="computed, no device")


if __name__ == "__main__":
    main()
