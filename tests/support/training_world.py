"""A tiny project to train in: crops, edge-smoothed copies, manifests, params; and helpers to run stages in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn

from models.generators.table import CARTOONGAN, GENERATORS, build_generator
from pipeline import pretrain, train
from pipeline.core import manifest, stage
from pipeline.core.manifest import Row
from pipeline.dataset import pack
from pipeline.media import arrays, images
from pipeline.media.images import Picture
from pipeline.networks import weights
from pipeline.params import schema
from pipeline.params.schema import Params
from pipeline.training import checkpoints
from tests.conftest import ROOT

SIDE = 32


def enter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set up a work folder, one thread, and a row "published" of few channels like CartoonGAN's; the body of a fixture."""
    monkeypatch.setenv("GENGA_WORK", str(tmp_path / "work"))
    monkeypatch.setitem(GENERATORS, "published", replace(CARTOONGAN, width=4, blocks=1))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path / "work"
    torch.set_num_threads(threads)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The work folder of a project to train in, as `enter` sets it up."""
    yield from enter(tmp_path, monkeypatch)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The folder data/ of a project to train in, as `make_data` makes it."""
    return make_data(tmp_path)


def flat(seed: int) -> Picture:
    """Draw an anime crop: a few flat rectangles with dark outlines."""
    rng = np.random.default_rng(seed)
    picture = np.full((SIDE, SIDE, 3), rng.integers(60, 256, 3), np.uint8)
    for _ in range(3):
        (x, y), (w, h) = rng.integers(0, SIDE - 8, 2), rng.integers(6, 16, 2)
        picture[y : y + h, x : x + w] = 0
        picture[y + 1 : y + h - 1, x + 1 : x + w - 1] = rng.integers(60, 256, 3)
    return picture


def rough(seed: int) -> Picture:
    """Draw a photo crop: a color gradient with noise."""
    rng = np.random.default_rng(seed)
    gradient = np.linspace(0, 1, SIDE)[:, None, None] * rng.uniform(-90, 90, 3) + rng.uniform(90, 160, 3)
    return np.clip(gradient + rng.normal(0, 12, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)


def make_data(tmp_path: Path) -> Path:
    """Make data/ as the data stages leave it: six crops of each domain in train, three in val, and edge-smoothed copies."""
    rows: list[Row] = []
    copies: list[Row] = []
    for domain, draw in (("anime", flat), ("photo", rough)):
        for index in range(9):
            file = f"data/crop/pictures/{domain}/{domain}-{index}.png"
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            digest = images.write(tmp_path / file, draw(index))
            fields: dict[str, Any] = {
                "id": f"{domain}-{index}",
                "domain": domain,
                "source": domain,
                "file": file,
                "digest": digest,
                "width_px": SIDE,
                "height_px": SIDE,
                "split": "train" if index < 6 else "val",
            }
            rows.append(Row.model_validate(fields))
            if domain == "anime":
                picture = arrays.resize(arrays.resize(draw(index), SIDE // 2, SIDE // 2), SIDE, SIDE)
                file = f"data/edge_smooth/pictures/{domain}/{rows[-1].id}.png"
                (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
                copies.append(rows[-1].model_copy(update={"file": file, "digest": images.write(tmp_path / file, picture)}))
    (tmp_path / "data/split").mkdir()
    (tmp_path / "data/styles").mkdir(exist_ok=True)
    manifest.write_by_domain(tmp_path / "data/split", rows)
    folder = tmp_path / "data/edge_smooth/about/anime"
    folder.mkdir(parents=True, exist_ok=True)
    manifest.write(folder, copies)
    return tmp_path / "data"


def teach(data: Path, name: str = "full", seed: int = 0) -> Path:
    """Write a teacher's file: a generator whose output has a color cast and blurred colors."""
    torch.manual_seed(seed)
    network = build_generator("tiny")
    with torch.no_grad():
        cast(nn.Conv2d, network.head).bias[:3] = torch.tensor([0.5, -0.4, -0.2])[torch.randperm(3)]  # type: ignore[index]
    file = data / "teacher" / f"{name}.safetensors"
    file.parent.mkdir(exist_ok=True)
    weights.save_generator(file, network, weights.generator_metadata("tiny", None))
    return file


def pack_all(data: Path, out: Path, shard_mb: float = 0.01, overwrite: bool = False) -> list[Path]:
    """Pack both splits of both domains into shards so small that train takes several."""
    return pack.pack(data, out, ["train", "val"], ["anime", "photo"], pack.WebDataset(shard_mb), overwrite)


def redraw(data: Path, name: str, picture: Picture) -> None:
    """Change a crop, as another run of the data stages would: its file and its row."""
    rows = manifest.read(data / "split")
    changed = {row.id: {"digest": images.write(data.parent / str(row.file), picture)} for row in rows if row.id == name}
    assert len(changed) == 1
    manifest.write_by_domain(data / "split", [row.model_copy(update=changed.get(row.id, {})) for row in rows])


def settings(**sections: dict[str, Any]) -> Params:
    """Tiny networks and a loss with terms of every kind, else the committed params; `sections` change single keys."""
    tree = schema.load(ROOT / "params.yaml").model_dump()
    tiny: dict[str, dict[str, Any]] = {
        "crop": {"size_px": SIDE},
        "model": {"generator": "tiny", "discriminator": "tiny"},
        "pretrain": {
            "images": 8,
            "batch": 4,
            "crop_px": 32,
            "log_every_images": 4,
            "init_from": None,
            "content_layer": "relu1_2",
            "target": "photo",
        },
        "train": {
            "images": 16,
            "batch": 4,
            "crop_px": 32,
            "log_every_images": 8,
            "sample_every_images": 8,
            "sample_count": 2,
            "probe_photos": 0,
            "lr": 0.01,
            "discriminator_lr": 0.0005,
            "beta1": 0.5,
            "beta2": 0.999,
            "max_gradient_norm": None,
            "ema_decay": 0.98,
            "ema_warmup": False,
            "view_margin_px": 0,
        },
        # Terms of every kind: features of both sides, pixels, and a discriminator with edge-smoothed negatives.
        "loss": {
            "target": "photo",
            "content_weight": 1.0,
            "content_layer": "relu1_2",
            "content_distance": "l1",
            "content_grayscale": False,
            "style_weight": 5.0,
            "style_layers": ["relu1_1"],
            "chroma_variation_weight": 0.0,
            "flat_areas_weight": 0.0,
            "area_color_weight": 0.0,
            "superpixel_weight": 0.0,
            "color_weight": 20.0,
            "tv_weight": 0.5,
            "adversarial_weight": 0.3,
            "textured_only": False,
            "edge_weight": 0.5,
        },
    }
    for changes in (tiny, sections):
        for name, keys in changes.items():
            assert keys.keys() <= tree[name].keys()
            tree[name] |= keys
    return schema.check(tree)


def go(name: str, chosen: Params, data: Path) -> Path:
    run = {"pretrain": pretrain.run, "train": train.run}[name]
    return stage.execute(name, lambda p, out: run(p, out, data), chosen, data, lambda: checkpoints.remove_finished(name))


def stop_after(steps: int, monkeypatch: pytest.MonkeyPatch, module: Any, function: str) -> None:
    """Let a stage call a module's step function so many more times; the next call raises KeyboardInterrupt."""
    real, done = getattr(module, function), [0]

    def killed(*args: Any) -> Any:
        if done[0] == steps:
            raise KeyboardInterrupt
        done[0] += 1
        return real(*args)

    monkeypatch.setattr(module, function, killed)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
