"""AnimeGAN's generator: gradients everywhere, also with recomputed activations, and no checkerboard."""

import pytest
import torch

from models.generators.animegan import AnimeGan, AnimeGanSize
from tests.support.random_pictures import random_pictures as pictures


@pytest.mark.parametrize("norm", ["layer", "instance", "batch"])
def test_gradients_reach_every_parameter_of_a_small_animegan(norm: str) -> None:
    torch.manual_seed(0)
    network = AnimeGan(AnimeGanSize(width=4, blocks=2, expansion=2, norm=norm))  # type: ignore[arg-type]
    network(pictures(2, 3, 16, 16)).square().mean().backward()
    idle = {"batch", "instance"}  # see above: biases of single maps in front of these
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert [name for name in still if not (norm in idle and name.endswith("3.0.bias"))] == []
    anew = AnimeGan(network.size)
    anew.load_state_dict(network.state_dict())
    anew.save_memory = True
    anew(pictures(2, 3, 16, 16)).square().mean().backward()
    for (name, one), other in zip(network.named_parameters(), anew.parameters(), strict=True):
        assert one.grad is not None and other.grad is not None
        torch.testing.assert_close(one.grad, other.grad, msg=name)


def test_animegan_keeps_a_flat_color_flat() -> None:
    torch.manual_seed(0)
    network = AnimeGan(AnimeGanSize(width=4, blocks=2, expansion=2, norm="layer"))
    with torch.no_grad():
        out = network(torch.full((1, 3, 32, 32), 0.2))
    assert (out.amax((2, 3)) - out.amin((2, 3))).max() < 8e-5
