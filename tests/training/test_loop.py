"""The loop logs and stops where it should; a step updates each network by its own loss, in parts as whole."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pipeline.commands import recipes
from pipeline.core.errors import UserError
from pipeline.dataset.loader import Batch
from pipeline.training import loop
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.metric_log import Terms
from pipeline.training.model_setup import build_adam
from tests.conftest import ROOT
from tests.support.tiny_run import a_batch, blank_batches, build_state, build_tiny_networks, engine_params, step
from tests.support.training_world import enter, settings


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    yield from enter(tmp_path, monkeypatch)


def test_the_loop_logs_means_where_they_are_due(tmp_path: Path) -> None:
    state, _, _ = build_state()
    looks: list[int] = []
    # Steps of 4 up to 20 (18 rounded up), a line each 6: after 8, 12, 20 (18 is passed there) and at no other place.
    values = iter(range(10))
    section = engine_params(images=18, log_every_images=6)
    loop.fit(
        state,
        section,
        blank_batches(section),
        lambda *_: {"total": torch.tensor(float(next(values)))},
        Checkpoints("train", "mine", tmp_path),
        lambda: looks.append(state.images_seen),
        10,
    )
    assert state.metrics.series("train/total") == [(8, 0.5), (12, 2.0), (20, 3.5)]
    assert looks == [0, 12, 20]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_term_that_is_not_finite_stops_the_run(tmp_path: Path, value: float) -> None:
    state, _, _ = build_state()
    kept = Checkpoints("train", "mine", tmp_path)
    rare, often = engine_params(log_every_images=12), engine_params(checkpoint_every_s=1e-9)

    def second_is_not_finite(batch: Batch, _: object) -> Terms:
        return {"content": torch.tensor(1.0), "style": torch.tensor(value if state.images_seen == 4 else 1.0)}

    with pytest.raises(UserError, match=r"stopped at images 8: style is not finite; there is no checkpoint yet\. .*Lower"):
        loop.fit(state, rare, blank_batches(rare), second_is_not_finite, kept)
    state.images_seen = 0
    with pytest.raises(UserError, match=r"images 8: style is not finite; the last checkpoint is at images 4\."):
        loop.fit(state, often, blank_batches(often), second_is_not_finite, kept)
    assert [path.name for path in kept.folder.iterdir()] == ["000000004"]


def test_averages_follow_the_formula() -> None:
    network, ema = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
    nn.init.constant_(network.weight, 3.0)
    network.running_mean = torch.tensor([5.0, 6.0])
    for _ in range(3):
        loop.update_average(ema, network, 0.9)
    assert ema.weight.tolist() == pytest.approx([3 - 2 * 0.9**3] * 2)
    assert ema.running_mean is not None and ema.running_mean.tolist() == [5.0, 6.0]


def test_gradients_are_clipped_to_their_norm() -> None:
    """SGD-like: the step of a clipped gradient is that of the gradient scaled; the norm returned is that before."""
    network = nn.Linear(2, 1, bias=False)
    optimizer = build_adam(network, 0.1, 0.0)
    for limit, expected in ((None, [3.0, 4.0]), (10.0, [3.0, 4.0]), (1.0, [0.6, 0.8])):
        loss = (network.weight * torch.tensor([3.0, 4.0])).sum()
        norm = loop.optimizer_step([loss], network, optimizer, limit)
        assert network.weight.grad is not None
        assert network.weight.grad.flatten().tolist() == pytest.approx(expected, rel=1e-5)
        assert float(norm) == pytest.approx(5.0)


def test_the_limit_of_params_reaches_both_networks(tmp_path: Path) -> None:
    chosen = settings(train={"max_gradient_norm": 1e-3})
    networks = build_tiny_networks(chosen, tmp_path)
    terms = step(networks, a_batch(), chosen)
    assert networks.discriminator is not None
    for network, name in ((networks.generator, "gradient"), (networks.discriminator, "discriminator_gradient")):
        left = nn.utils.get_total_norm([p.grad for p in network.parameters() if p.grad is not None])
        assert float(terms[name]) > 1e-3 and float(left) == pytest.approx(1e-3, rel=1e-2)


def test_totals_are_the_weighted_terms(tmp_path: Path) -> None:
    chosen = settings(loss={"edge_weight": 0.5, "style_grayscale": True})
    loss = chosen.loss
    terms = {name: float(value) for name, value in step(build_tiny_networks(chosen, tmp_path), a_batch(), chosen).items()}
    by_hand = loss.content_weight * terms["content"] + loss.style_weight * terms["style"]
    by_hand += loss.color_weight * terms["color"] + loss.tv_weight * terms["tv"]
    by_hand += loss.adversarial_weight * terms["adversarial"]
    assert terms["total"] == pytest.approx(by_hand, rel=1e-5)
    assert terms["discriminator_total"] == pytest.approx(
        terms["discriminator_real"] + 0.5 * terms["discriminator_edge_smoothed"] + terms["discriminator_fake"], rel=1e-5
    )


class NoFloat64(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses what Apple's GPUs refuse: tensors of 64-bit floating-point numbers."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if any(isinstance(value, torch.Tensor) and value.dtype == torch.float64 for value in tree_leaves(result)):
            raise TypeError(f"{func}: float64 is not supported")
        return result


@pytest.mark.parametrize("recipe", ["cartoongan-paper", "genga"])
def test_a_step_makes_nothing_that_apples_gpus_refuse(tmp_path: Path, recipe: str) -> None:
    loss = recipes.read(recipe, ROOT / "recipes")["loss"]
    chosen = settings(loss=loss, model={"discriminator": "frozen-tiny" if recipe == "genga" else "genga-s"})
    with NoFloat64(), pytest.raises(TypeError):
        torch.ones(1).double()
    with NoFloat64():
        step(build_tiny_networks(chosen, tmp_path), a_batch(), chosen)


def test_each_network_learns_its_own_part(tmp_path: Path) -> None:
    chosen = settings(train={"lr": 0.01, "discriminator_lr": 0.01})
    networks, batch = build_tiny_networks(chosen, tmp_path), a_batch()
    discriminator = networks.discriminator
    assert discriminator is not None
    first: Terms = {}
    terms: Terms = {}
    for _ in range(30):
        terms = step(networks, batch, chosen)
        first = first or terms
    assert terms["discriminator_total"] < 0.5 * first["discriminator_total"]
    assert terms["discriminator_accuracy"] > 0.8
    assert all(p.requires_grad for p in discriminator.parameters())
    # The discriminator's gradient is its own step's: the generator's pass through it leaves none behind.
    held = [p.grad.clone() for p in discriminator.parameters() if p.grad is not None]
    loop.generator_step(networks, [batch], [loop.Fake(networks.generator(batch.photo))], chosen.train, chosen.loss)
    left = [p.grad for p in discriminator.parameters() if p.grad is not None]
    assert len(held) == len(left) > 0
    assert all(torch.equal(a, b) for a, b in zip(held, left, strict=True))


def test_the_generator_goes_down_its_loss(tmp_path: Path) -> None:
    absent = ("content", "style", "color", "adversarial")
    chosen = settings(loss={f"{name}_weight": 0.0 for name in absent} | {"tv_weight": 1.0})
    networks, batch = build_tiny_networks(chosen, tmp_path), a_batch()
    totals = [float(step(networks, batch, chosen)["total"]) for _ in range(40)]
    assert totals[-1] < 0.8 * totals[0]
    assert max(float(p.detach().abs().max()) for p in networks.generator.parameters()) < 10
    mine, averaged = networks.generator.state_dict(), networks.ema.state_dict()
    assert any(not torch.equal(mine[name], averaged[name]) for name in mine)


def test_bfloat16_stays_near_float32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")  # others compute in float32
    found = []
    for precision in ("float32", "bfloat16"):
        chosen = settings(train={"precision": precision})
        terms = step(build_tiny_networks(chosen, tmp_path), a_batch(), chosen)
        assert terms["total"].dtype == torch.float32
        found.append(float(terms["total"]))
    assert found[1] == pytest.approx(found[0], rel=0.03)


def test_parts_of_a_batch_add_up_to_it(tmp_path: Path) -> None:
    """Accumulated, or with activations made anew: the same terms and the same step, as no norm here looks across pictures."""
    found = []
    for changes in ({}, {"accumulate": 2}, {"save_memory": True}):
        chosen = settings(train=changes)
        networks = build_tiny_networks(chosen, tmp_path)
        terms = step(networks, a_batch(4), chosen)
        found.append((terms, networks.generator.state_dict(), networks.discriminator))
    (terms, generator, discriminator), *others = found
    assert discriminator is not None
    for other, mirror, critic in others:
        assert terms.keys() == other.keys() and critic is not None
        for name in terms:
            assert float(other[name]) == pytest.approx(float(terms[name]), rel=2e-4), name
        # Adam's first step is the gradient's sign: an element next to 0 may go either way, hence the mean.
        for name, mine in generator.items():
            assert (mine - mirror[name]).abs().mean() < 0.05 * 2 * chosen.train.lr, name


@pytest.mark.parametrize("changes", [{"accumulate": 2}, {"save_memory": True}, {"discriminator_steps": 3}])
def test_running_statistics_move_once_a_step(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Those of the first norm, whose input is the photos alone: after it, parts are normalised by themselves."""
    found = []
    for more in ({}, changes):
        chosen = settings(model={"generator": "published", "discriminator_norm": "batch"}, train=more)
        networks = build_tiny_networks(chosen, tmp_path)
        step(networks, a_batch(4), chosen, [a_batch(4)] * (chosen.train.discriminator_steps - 1))
        state = networks.generator.state_dict()
        counts = [value for name, value in state.items() if "tracked" in name]
        assert len(counts) > 3 and all(count == 1 for count in counts)
        assert networks.discriminator is not None
        marks = [value for name, value in networks.discriminator.state_dict().items() if "tracked" in name]
        assert len(marks) == 3 and all(mark == chosen.train.discriminator_steps for mark in marks)
        found.append(state["stem.1.running_mean"])
    assert found[0].abs().max() > 0 and torch.allclose(found[0], found[1], atol=1e-6)


def test_steps_of_the_discriminator_alone(tmp_path: Path) -> None:
    """Its terms are the means over its steps; the generator's are those after them, on a batch of its own."""
    chosen = settings()
    first, second = a_batch(4).chunk(2)
    networks = build_tiny_networks(chosen, tmp_path)
    fakes = loop.generate_without_graph(networks, [first], chosen.train)
    alone = loop.discriminator_step(networks, [first], fakes, chosen.train, chosen.loss)
    then = step(networks, second, chosen)
    together = build_tiny_networks(chosen, tmp_path)
    terms = step(together, second, chosen, iter([first]))
    for name, value in terms.items():
        wanted = (alone[name] + then[name]) / 2 if name in alone else then[name]
        assert float(value) == pytest.approx(float(wanted), rel=1e-6), name
    for mine, theirs in ((networks.generator, together.generator), (networks.discriminator, together.discriminator)):
        assert mine is not None and theirs is not None
        assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in mine.state_dict().items())
