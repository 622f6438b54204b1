"""Image folders: the real Hugging Face datasets loads them, with splits, edge-smoothed copies and captions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core import manifest
from pipeline.core.errors import UserError
from pipeline.core.manifest import Domain
from pipeline.dataset import image_folder
from pipeline.dataset.image_folder import Caption, ImageFolder
from pipeline.dataset.pack import key_of, pack
from pipeline.media import images


def write(data: Path, out: Path, caption: Caption | None = None) -> Path:
    pack(data, out, ["train", "val"], ["anime", "photo"], ImageFolder(caption), overwrite=False)
    return out


@pytest.mark.slow
def test_the_real_datasets_loads_them(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    datasets.disable_progress_bars()
    out = write(data, tmp_path / "out", image_folder.from_template("a scene of {source}, {split}"))
    copies = {row.id: row for row in manifest.read(data / "edge_smooth/about/anime")}
    domains: tuple[Domain, ...] = ("anime", "photo")
    for domain in domains:
        loaded: Any = datasets.load_dataset("imagefolder", data_dir=str(out / domain), cache_dir=str(tmp_path / "cache"))
        assert {name: len(rows) for name, rows in loaded.items()} == {"train": 6, "validation": 3}
        for split, name in (("train", "train"), ("val", "validation")):
            rows = manifest.kept(manifest.read(data / "split"), domain, split)  # type: ignore[arg-type]
            assert [line["id"] for line in loaded[name]] == [row.id for row in rows]
            for line, row in zip(loaded[name], rows, strict=True):
                assert np.array_equal(np.asarray(line["image"]), images.read(tmp_path / str(row.file)))
                assert ("edge_smooth" in line) == (domain == "anime")
                if domain == "anime":
                    assert np.array_equal(np.asarray(line["edge_smooth"]), images.read(tmp_path / str(copies[row.id].file)))
                assert line["text"] == f"a scene of {domain}, {split}"


def test_trainers_that_read_no_metadata_find_pictures_and_captions_alone(data: Path, tmp_path: Path) -> None:
    folder = write(data, tmp_path / "out", image_folder.from_template("drawn, {domain}")) / "anime/train"
    pictures = {path.stem for path in folder.glob("*.png")}
    assert len(pictures) == 6 and {path.stem for path in folder.glob("*.txt")} == pictures
    assert {path.stem for path in (folder / "paired").iterdir()} == pictures
    assert (folder / "anime-0.txt").read_text() == "drawn, anime\n"
    listed = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    named = {json.loads(line)["file_name"] for line in (folder / "metadata.jsonl").read_text("utf-8").splitlines()}
    assert listed == named | {f"paired/{name}" for name in named} | {f"{name}.txt" for name in pictures} | {"metadata.jsonl"}


def test_captions_come_from_a_file_by_crop_or_by_frame(data: Path, tmp_path: Path) -> None:
    rows = manifest.kept(manifest.read(data / "split"))
    lines = [{"file_name": f"anime/train/{key_of(row.id)}.png", "text": f"no {row.id}"} for row in rows]
    (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "captions.csv").write_text("id,text\n" + "\n".join(f"{row.id},no {row.id}" for row in rows))
    for name in ("captions.jsonl", "captions.csv"):
        caption = image_folder.from_file(tmp_path / name)
        assert [caption(row) for row in rows] == [f"no {row.id}" for row in rows]
        assert caption(rows[0].model_copy(update={"id": "new", "parent": rows[0].id})) == f"no {rows[0].id}"
        with pytest.raises(UserError, match="has no caption for new"):
            caption(rows[0].model_copy(update={"id": "new"}))


@pytest.mark.parametrize("template", ["{file}", "{source", "{}", "{source.__class__}", "{0}", "{source:{x}}"])
def test_templates_of_other_fields_are_refused(template: str) -> None:
    with pytest.raises(UserError, match="--caption"):
        image_folder.from_template(template)


def test_a_template_that_does_not_fit_a_row_names_it(data: Path) -> None:
    photo = next(row for row in manifest.read(data / "split") if row.time_s is None)
    with pytest.raises(UserError, match=rf"--caption .*{photo.id}"):
        image_folder.from_template("{time_s:.1f}")(photo)


def test_a_damaged_table_of_captions_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text\n" + "x" * 200_000 + ",a\n")
    with pytest.raises(UserError, match=r"a\.csv"):
        image_folder.from_file(tmp_path / "a.csv")


@pytest.mark.parametrize("content", [None, "a", '{"text": "a"}', "[1]"])
def test_files_that_hold_no_captions_are_refused(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(UserError, match=r"a\.jsonl"):
        image_folder.from_file(tmp_path / "a.jsonl")
