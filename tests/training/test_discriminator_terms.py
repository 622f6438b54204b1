"""The discriminator's inputs and loss terms, with one head and with several."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from models import losses
from models.frozen_features import FrozenFeatureDiscriminator
from pipeline.core.errors import UserError
from pipeline.training.discriminator_terms import compute_discriminator_terms, logits_of_fakes
from tests.support.tiny_run import a_batch, build_tiny_networks, step
from tests.support.training_world import settings


def test_animegan_s_discriminator_sees_two_kinds_of_grey(tmp_path: Path) -> None:
    """Its terms, from pictures made grey by hand, and the total they add up to."""
    weighed = {
        "adversarial_form": "lsgan",
        "adversarial_grayscale": False,
        "edge_grayscale": True,
        "grayscale_weight": 0.8,
        "edge_weight": 0.6,
    }
    chosen = settings(loss=weighed)
    networks, batch = build_tiny_networks(chosen, tmp_path), a_batch()
    critic = networks.discriminator
    assert critic is not None and batch.anime is not None and batch.edge_smoothed is not None
    fake = torch.zeros_like(batch.photo)
    with torch.no_grad():
        terms = compute_discriminator_terms(critic.eval(), batch, fake, chosen.loss)
        logits = {
            "real": critic(batch.anime) - 1,
            "grayscale": critic(losses.grayscale(batch.anime)),
            "edge_smoothed": critic(losses.grayscale(batch.edge_smoothed)),
            "fake": critic(fake),
        }
    for name, away in logits.items():
        assert float(terms[f"discriminator_{name}"]) == pytest.approx(float(away.square().mean()), rel=1e-4), name
    by_hand = sum(
        share * float(terms[f"discriminator_{name}"])
        for name, share in {"real": 1.0, "grayscale": 0.8, "edge_smoothed": 0.6, "fake": 1.0}.items()
    )
    assert float(terms["discriminator_total"]) == pytest.approx(by_hand, rel=1e-5)
    with pytest.raises(UserError, match="grayscale_weight to 0"):
        settings(loss={"adversarial_grayscale": True, "grayscale_weight": 0.5})


def same(logits: losses.Logits, expected: Tensor) -> bool:
    (head,) = losses.heads(logits)
    return torch.allclose(head, expected, atol=1e-5)


def test_with_batch_norm_fakes_are_shown_among_the_inputs_of_training(tmp_path: Path) -> None:
    batch = a_batch()
    assert batch.anime is not None and batch.edge_smoothed is not None
    for norm in ("batch", "layer"):
        chosen = settings(model={"discriminator_norm": norm}, loss={"adversarial_grayscale": False})
        network = build_tiny_networks(chosen, tmp_path).discriminator
        assert network is not None
        together = network(torch.cat([batch.anime, batch.edge_smoothed, batch.photo]))[-len(batch.photo) :]
        assert same(logits_of_fakes(network, batch, batch.photo, chosen.loss), together)


def test_a_grey_discriminator_is_blind_to_colour(tmp_path: Path) -> None:
    chosen = settings(loss={"adversarial_grayscale": True})
    batch = a_batch()
    network = build_tiny_networks(chosen, tmp_path).discriminator
    assert network is not None
    grey = losses.grayscale(batch.photo)
    assert same(logits_of_fakes(network, batch, batch.photo, chosen.loss), network(grey))
    assert not torch.allclose(network(batch.photo), network(grey), atol=1e-3)


def test_r1_is_the_squared_gradient_at_anime() -> None:
    anime = a_batch().photo.clone().requires_grad_()
    slope = torch.tensor([1.0, -2.0, 0.5]).view(1, 3, 1, 1)
    logits = (anime * slope).sum(1, keepdim=True)
    pixels = anime.shape[-1] * anime.shape[-2]
    assert float(losses.gradient_penalty(logits, [anime]).detach()) == pytest.approx(float(slope.square().sum()) / pixels)


def test_practice_by_parameter(tmp_path: Path) -> None:
    """R1, label smoothing, augmentation and group norm do what they are for."""
    plain = settings(loss={"adversarial_form": "bce"})
    before = step(build_tiny_networks(plain, tmp_path), a_batch(), plain)
    penalised = settings(loss={"adversarial_form": "bce", "r1_weight": 4.0})
    terms = step(build_tiny_networks(penalised, tmp_path), a_batch(), penalised)
    added = float(terms["discriminator_total"] - before["discriminator_total"])
    assert added == pytest.approx(2.0 * float(terms["discriminator_r1"]), rel=1e-3) and added > 0
    smoothed = settings(loss={"adversarial_form": "bce", "label_smoothing": 0.2})
    terms = step(build_tiny_networks(smoothed, tmp_path), a_batch(), smoothed)
    assert terms["discriminator_real"] != before["discriminator_real"]
    assert float(terms["discriminator_fake"]) == pytest.approx(float(before["discriminator_fake"]))
    changed = settings(train={"augment": ["cutout"]}, loss={"adversarial_form": "bce"})
    terms = step(
        build_tiny_networks(changed, tmp_path), a_batch()._replace(augmentation_draws=torch.full((2, 3, 7), 0.5)), changed
    )
    assert terms["discriminator_fake"] != before["discriminator_fake"] and terms["content"] == before["content"]
    grouped = settings(model={"generator_norm": "group", "discriminator_norm": "group"})
    assert float(step(build_tiny_networks(grouped, tmp_path), a_batch(), grouped)["total"]) > 0


@pytest.mark.parametrize("form", losses.FORMS)
def test_frozen_features_work_with_every_option(tmp_path: Path, form: losses.Form) -> None:
    """Like patch discriminators: negatives, R1 through VGG19's convolutions, augmentation, accumulated parts."""
    chosen = settings(
        model={"discriminator": "frozen-vgg19", "spectral_norm": form != "bce"},
        loss={"adversarial_form": form, "adversarial_grayscale": False, "r1_weight": 2.0, "edge_weight": 0.5}
        | {"grayscale_weight": 0.5, "style_weight": 0.0, "content_weight": 0.0},
        train={"augment": ["color", "translation", "cutout"], "accumulate": 2},
    )
    networks = build_tiny_networks(chosen, tmp_path)
    assert networks.discriminator is not None
    before = {key: value.clone() for key, value in networks.discriminator.state_dict().items()}
    terms = step(networks, a_batch()._replace(augmentation_draws=torch.rand(2, 3, 7)), chosen)
    names = {f"discriminator_{name}" for name in ("real", "fake", "edge_smoothed", "grayscale", "r1", "total", "accuracy")}
    assert names <= terms.keys() and all(term.isfinite() for term in terms.values())
    assert terms["discriminator_r1"] > 0 and terms["discriminator_gradient"] > 0 and terms["gradient"] > 0
    after = networks.discriminator.state_dict()
    assert before.keys() == after.keys() and any(not torch.equal(value, after[key]) for key, value in before.items())


class TwoHeads(nn.Module):
    """Two discriminators as one network with two heads, one of which sees half the resolution; part of it is frozen."""

    def __init__(self, heads: list[nn.Module]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)
        next(self.heads[1].parameters()).requires_grad_(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        half = nn.functional.avg_pool2d(image, 2)
        return [head(seen) for head, seen in zip(self.heads, (image, half), strict=True)]


@pytest.mark.parametrize("form", losses.FORMS)
def test_a_discriminator_may_have_several_heads(tmp_path: Path, form: losses.Form) -> None:
    """Terms are means over heads; the generator's step leaves frozen parameters frozen."""
    chosen = settings(loss={"adversarial_form": form, "r1_weight": 2.0}, model={"spectral_norm": False})
    networks = build_tiny_networks(chosen, tmp_path)
    one, other = (build_tiny_networks(chosen, tmp_path).discriminator for _ in range(2))
    assert one is not None and other is not None
    both, batch, fake = TwoHeads([one, other]), a_batch(), torch.zeros_like(a_batch().photo)
    half = batch._replace(anime=halved(batch.anime), edge_smoothed=halved(batch.edge_smoothed))
    alone = compute_discriminator_terms(one, batch, fake, chosen.loss)
    small = compute_discriminator_terms(other, half, halved(fake), chosen.loss)
    together = compute_discriminator_terms(both, batch, fake, chosen.loss)
    for name in ("real", "fake", "edge_smoothed", "accuracy"):
        expected = (alone[f"discriminator_{name}"] + small[f"discriminator_{name}"]) / 2
        assert together[f"discriminator_{name}"].item() == pytest.approx(expected.item(), rel=1e-4), name
    object.__setattr__(networks, "discriminator", both)
    terms = step(networks, batch, chosen)
    assert terms["adversarial"].isfinite()
    assert [parameter.requires_grad for parameter in both.heads[1].parameters()].count(False) == 1


def halved(pictures: Tensor | None) -> Tensor:
    assert pictures is not None
    return nn.functional.avg_pool2d(pictures, 2)


SHARED = {"content_grayscale": True, "adversarial_grayscale": True, "content_distance": "cosine", "style_weight": 0.0}


@pytest.mark.parametrize("form", [*losses.FORMS, "relativistic"])
def test_frozen_features_of_the_output_are_extracted_once_for_all_terms(tmp_path: Path, form: str) -> None:
    """Where content and the discriminator see the same pictures their pass is shared, and every number is as without."""
    found = []
    for accumulate in (1, 2):  # parts of a batch are not shared: each network extracts its own features
        chosen = settings(
            model={"discriminator": "frozen-vgg19", "spectral_norm": False},
            loss={**SHARED, "adversarial_form": form, "edge_weight": 0.5, "textured_only": True},
            train={"accumulate": accumulate},
        )
        networks = build_tiny_networks(chosen, tmp_path)
        discriminator = networks.discriminator
        assert isinstance(discriminator, FrozenFeatureDiscriminator)
        assert discriminator.extractor is networks.extractors.for_discriminator is networks.extractors.content
        found.append(step(networks, a_batch(), chosen))
    for name, value in found[0].items():
        assert float(value) == pytest.approx(float(found[1][name]), rel=2e-3, abs=1e-6), name


def test_penalties_of_both_sides_reach_the_heads(tmp_path: Path) -> None:
    """R1 and R2 on shared features add to the total what their weights say."""
    chosen = settings(
        model={"discriminator": "frozen-vgg19", "spectral_norm": False},
        loss={**SHARED, "adversarial_form": "relativistic", "r1_weight": 2.0, "r2_weight": 4.0, "edge_weight": 0.0},
    )
    terms = step(build_tiny_networks(chosen, tmp_path), a_batch(), chosen)
    by_hand = terms["discriminator_fake"] + terms["discriminator_r1"] + 2.0 * terms["discriminator_r2"]
    assert float(terms["discriminator_total"]) == pytest.approx(float(by_hand), rel=1e-5)
    assert terms["discriminator_r1"] > 0 and terms["discriminator_r2"] > 0 and "discriminator_real" not in terms


def test_the_discriminator_and_vgg_see_the_same_part_of_all_pictures(tmp_path: Path) -> None:
    """The loss depends on the pixels of the view alone, whatever lies outside."""
    chosen = settings(
        model={"discriminator": "frozen-tiny", "spectral_norm": False},
        loss={**SHARED, "color_weight": 0.0, "tv_weight": 0.0},
    )
    batch = a_batch()
    side = batch.photo.shape[-1]
    view = torch.stack([torch.arange(3, side - 5), torch.arange(5, side - 3)])
    assert batch.anime is not None
    outside = torch.ones(side, side, dtype=torch.bool)
    outside[3 : side - 5, 5 : side - 3] = False
    changed = batch._replace(anime=torch.where(outside, 0.5, batch.anime), view=view)
    found = []
    for given in (batch._replace(view=view), changed):
        networks = build_tiny_networks(chosen, tmp_path)
        found.append(step(networks, given, chosen))
    assert found[0]["discriminator_total"] == found[1]["discriminator_total"]
    assert found[0]["discriminator_total"] != step(build_tiny_networks(chosen, tmp_path), batch, chosen)["discriminator_total"]
