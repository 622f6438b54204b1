"""The engine: checkpoints that are whole or passed over, a log that adds up, guards that name step and reason."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from models.generators.table import build_generator
from pipeline.core.errors import UserError
from pipeline.networks import devices, weights
from pipeline.params.training import EngineParams
from pipeline.training import checkpoints, trainer
from pipeline.training.checkpoints import Checkpoint, Checkpoints
from pipeline.training.metric_log import MetricLog, Terms
from pipeline.training.trainer import State

CPU = torch.device("cpu")


def section(**changes: Any) -> EngineParams:
    values = {
        "seed": 1,
        "images": 12,
        "batch": 4,
        "crop_px": 32,
        "resize_min": 1.0,
        "resize_max": 1.0,
        "lr": 0.1,
        "beta1": 0.5,
        "precision": "float32",
        "log_every_images": 4,
        "lr_warmup_images": 0,
        "lr_decay": "constant",
        "accumulate": 1,
        "save_memory": False,
        "compile": False,
        "checkpoint_every_s": 1000.0,
        "checkpoint_every_images": None,
        "keep_checkpoints": 2,
    }
    return EngineParams.model_validate(values | changes)


def line(state: State, network: nn.Module, optimiser: torch.optim.Adam) -> Terms:
    """One step of fitting a channels_last convolution to a fixed answer."""
    x = torch.linspace(-1, 1, 75).view(1, 3, 5, 5)
    loss = (network(x) - 1).square().mean()
    norm = trainer.step_down([loss], network, optimiser)
    return {"total": loss.detach(), "gradient": norm}


def fresh() -> tuple[State, nn.Module, torch.optim.Adam]:
    network = devices.seeded(lambda: nn.Conv2d(3, 2, 3), 1, "network", CPU)
    optimiser = trainer.adam(network, 0.1, 0.5)
    return State({"network": network}, {"network": optimiser}), network, optimiser


def test_state_survives_a_checkpoint_bit_for_bit(tmp_path: Path) -> None:
    state, network, optimiser = fresh()
    kept = Checkpoints("train", "mine", tmp_path)
    for _ in range(3):
        line(state, network, optimiser)
    state.images_seen = 3
    state.journal.log(3, "train", {"total": 0.1})
    kept.save(state.checkpoint())
    other, mirror, second = fresh()
    found = kept.newest()
    assert found is not None
    other.restore(found)
    assert (other.images_seen, other.journal.rows) == (3, [(3, {"train/total": 0.1})])
    for _ in range(3):
        line(state, network, optimiser)
        line(other, mirror, second)
    for mine, theirs in zip(network.parameters(), mirror.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    for mine, theirs in zip(optimiser.state.values(), second.state.values(), strict=True):
        assert mine.keys() == theirs.keys() == {"step", "exp_avg", "exp_avg_sq"}
        assert all(torch.equal(mine[slot], theirs[slot]) for slot in mine)
        assert mine["exp_avg"].stride() == theirs["exp_avg"].stride()


def checkpoint(images_seen: int) -> Checkpoint:
    return Checkpoint(images_seen, {"a": torch.full((4,), float(images_seen))}, {"note": images_seen})


def test_the_newest_two_are_kept_and_nothing_half_written(tmp_path: Path) -> None:
    kept = Checkpoints("train", "mine", tmp_path)
    for images_seen in (4, 8, 100, 12):
        kept.save(checkpoint(images_seen))
    assert sorted(path.name for path in kept.folder.iterdir()) == ["000000012", "000000100"]
    found = kept.newest()
    assert found is not None and found.images_seen == 100 and found.record == {"note": 100}
    assert torch.equal(found.tensors["a"], torch.full((4,), 100.0))
    kept.save(checkpoint(100))  # once more over itself
    more = Checkpoints("train", "mine", tmp_path, keep=1)
    more.save(checkpoint(101))
    assert [path.name for path in kept.folder.iterdir()] == ["000000101"]


@pytest.mark.parametrize("harm", ["cut", "flip", "no record", "no tensors", "empty record"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: str) -> None:
    kept = Checkpoints("train", "mine", tmp_path)
    kept.save(checkpoint(4))
    place = kept.save(checkpoint(8))
    tensors, record = place / "state.safetensors", place / "state.json"
    data = tensors.read_bytes()
    match harm:
        case "cut":
            tensors.write_bytes(data[:-3])
        case "flip":
            tensors.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        case "no record":
            record.unlink()
        case "no tensors":
            tensors.unlink()
        case _:
            record.write_text("")
    found = kept.newest()
    assert found is not None and found.images_seen == 4
    assert "000000008 is damaged" in caplog.text


def test_other_parameters_start_afresh_and_say_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    Checkpoints("train", "theirs", tmp_path).save(checkpoint(8))
    state, _, _ = fresh()
    trainer.resume(state, Checkpoints("train", "mine", tmp_path), 12)
    assert state.images_seen == 0
    assert "starting afresh" in caplog.text
    caplog.clear()
    trainer.resume(state, Checkpoints("pretrain", "mine", tmp_path), 12)
    assert not caplog.text


def test_a_fingerprint_follows_values_and_code() -> None:
    names = {checkpoints.fingerprint({"lr": lr, "data": "x"}, "1") for lr in (0.1, 0.2)}
    assert checkpoints.fingerprint({"data": "x", "lr": 0.1}, "1") in names
    assert checkpoints.fingerprint({"lr": 0.1, "data": "x"}, "2") not in names


def test_the_loop_logs_means_where_they_are_due(tmp_path: Path) -> None:
    state, _, _ = fresh()
    looks: list[int] = []
    # Steps of 4 up to 20 (18 rounded up), a line each 6: after 8, 12, 20 (18 is passed there) and at no other place.
    values = iter(range(10))
    trainer.fit(
        state,
        section(images=18, log_every_images=6),
        lambda _: {"total": torch.tensor(float(next(values)))},
        Checkpoints("train", "mine", tmp_path),
        lambda: looks.append(state.images_seen),
        10,
    )
    assert state.journal.series("train/total") == [(8, 0.5), (12, 2.0), (20, 3.5)]
    assert looks == [0, 12, 20]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_term_that_is_not_finite_stops_the_run(tmp_path: Path, value: float) -> None:
    state, _, _ = fresh()
    kept = Checkpoints("train", "mine", tmp_path)

    def step(seen: int) -> Terms:
        return {"content": torch.tensor(1.0), "style": torch.tensor(value if seen == 4 else 1.0)}

    with pytest.raises(UserError, match=r"stopped at images 8: style is not finite; there is no checkpoint yet\. .*Lower"):
        trainer.fit(state, section(log_every_images=12), step, kept)
    state.images_seen = 0
    with pytest.raises(UserError, match=r"images 8: style is not finite; the last checkpoint is at images 4\."):
        trainer.fit(state, section(checkpoint_every_s=1e-9), step, kept)
    assert [path.name for path in kept.folder.iterdir()] == ["000000004"]


def test_averages_follow_the_formula() -> None:
    network, ema = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
    nn.init.constant_(network.weight, 3.0)
    network.running_mean = torch.tensor([5.0, 6.0])
    for _ in range(3):
        trainer.average(ema, network, 0.9)
    assert ema.weight.tolist() == pytest.approx([3 - 2 * 0.9**3] * 2)
    assert ema.running_mean is not None and ema.running_mean.tolist() == [5.0, 6.0]


def test_the_log_is_what_dvc_plots_reads(tmp_path: Path) -> None:
    journal = MetricLog()
    journal.log(4, "train", {"total": 0.123456789})
    journal.log(8, "train", {"total": 1e-9})
    journal.log(8, "val", {"change": 3.0})
    journal.write(tmp_path)
    assert (tmp_path / "plots/metrics/train/total.tsv").read_text() == "step\ttotal\n4\t0.123457\n8\t1e-09\n"
    assert json.loads((tmp_path / "metrics.json").read_text()) == {
        "train": {"total": 1e-9},
        "val": {"change": 3.0},
        "step": 8,
    }
    assert journal.latest("val") == {"change": 3.0}


def test_a_compiler_that_fails_is_told_and_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    import torch._inductor.config as inductor

    monkeypatch.setattr(inductor.cpp, "cxx", ("/nowhere/c++",))
    network, picture = nn.Sequential(nn.BatchNorm2d(3)), torch.ones(2, 3, 4, 4)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    devices.compile_if_it_works(network, picture, "float32")
    assert "compile: torch.compile failed" in caplog.text and "going on without it" in caplog.text
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert network(picture).shape == picture.shape


def test_first_weights_belong_to_seed_and_name() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one = devices.seeded(lambda: nn.Linear(4, 4), 1, "generator", CPU)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    again = devices.seeded(lambda: nn.Linear(4, 4), 1, "generator", CPU)
    others = [devices.seeded(lambda: nn.Linear(4, 4), *key, CPU) for key in ((2, "generator"), (1, "discriminator"))]
    assert torch.equal(one.weight, again.weight)  # type: ignore[arg-type]
    assert not any(torch.equal(one.weight, other.weight) for other in others)  # type: ignore[arg-type]


def save_tiny(path: Path, **metadata: str) -> None:
    network = devices.seeded(lambda: build_generator("tiny"), 1, "generator", CPU)
    weights.save_generator(path, network, weights.generator_metadata("tiny", None) | metadata)


def test_weights_files_come_back_as_they_went(tmp_path: Path) -> None:
    save_tiny(tmp_path / "a.safetensors", note="hello", images_seen="8")
    save_tiny(tmp_path / "b.safetensors", images_seen="8", note="hello")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    module, metadata = weights.load_generator(tmp_path / "a.safetensors")
    assert metadata == {"generator": "tiny", "norm": "row", "fills": "row", "note": "hello", "images_seen": "8"}
    assert not module.training and not any(p.requires_grad for p in module.parameters())
    first = devices.seeded(lambda: build_generator("tiny"), 1, "generator", CPU)
    assert all(torch.equal(first.state_dict()[key], value) for key, value in module.state_dict().items())
    assert {path.name for path in tmp_path.iterdir()} == {"a.safetensors", "b.safetensors"}


def test_files_that_are_no_generator_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    with pytest.raises(UserError, match=r"does not exist: run dvc repro"):
        weights.load_generator(file)
    torch.save({"a": torch.zeros(2)}, file)
    with pytest.raises(UserError, match=r"no whole safetensors file .*\.pth"):
        weights.load_generator(file)
    weights.save_tensors(file, {"a": torch.zeros(2)}, {})
    with pytest.raises(UserError, match=r"does not name its generator"):
        weights.load_generator(file)
    save_tiny(file, generator="of the future")
    with pytest.raises(UserError, match=r"'of the future', which is none of .*tiny"):
        weights.load_generator(file)
    for changed in ({"generator": "genga-s"}, {"norm": "batch"}, {"norm": "odd"}):
        save_tiny(file, **changed)
        with pytest.raises(UserError, match=r"does not fit the generator"):
            weights.load_generator(file)
    save_tiny(file)
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(UserError, match=r"no whole safetensors file"):
        weights.load_generator(file)
