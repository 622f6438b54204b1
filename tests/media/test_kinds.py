"""Pictures and films are recognized by content, whatever their names."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.media import images, kinds, video
from tests.conftest import scene, write_film

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "HEIF")
CONTAINERS = ("mp4", "mkv", "avi", "mov", "mpg", "ts", "webm", "flv", "mxf", "asf", "3gp")


@pytest.mark.parametrize("name", ["photo.jfif", "cam.hif", "without", "holiday.jpg_large", "film.mp4", "上海.dat"])
@pytest.mark.parametrize("format", FORMATS)
def test_a_picture_is_one_under_any_name(format: str, name: str, tmp_path: Path) -> None:
    Image.fromarray(scene(1, 64, 48)).save(tmp_path / name, format)
    assert kinds.kind(tmp_path / name) == "picture" and kinds.is_picture(tmp_path / name)
    assert images.find(tmp_path) == [tmp_path / name]
    assert images.read(tmp_path / name).shape == (48, 64, 3)


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_film_is_one_in_any_container(container: str, tmp_path: Path) -> None:
    codec = {"mxf": "mpeg2video", "asf": "mpeg4", "webm": "libvpx-vp9", "mpg": "mpeg2video"}.get(container, "libx264")
    film = write_film(tmp_path / f"a.{container}", [scene(1, 320, 240)] * 8, 24, codec=codec)
    assert kinds.kind(film) == "film"
    for name in ("a", "a.divx2", "a.bin"):
        nameless = film.rename(tmp_path / name)
        assert kinds.kind(nameless) == "film", container
        assert video.probe(nameless).width_px == 320
        film = nameless


def test_other_files_are_neither(tmp_path: Path) -> None:
    files = {"notes.txt": b"Dear diary", "empty": b"", "a.srt": b"1\n00:00:01,000", "song.m4a": b"\0\0\0\x20ftypM4A \0\0\0\0"}
    for name, content in {**files, "a.cr3": b"\0\0\0\x18ftypcrx ", "a.zip": b"PK\3\4" + bytes(500)}.items():
        (tmp_path / name).write_bytes(content)
        assert kinds.kind(tmp_path / name) is None, name
    os.mkfifo(tmp_path / "pipe")
    assert kinds.kind(tmp_path / "pipe") is None, "and it is not waited for"
    assert kinds.kind(tmp_path / "missing.mkv") == "film" and kinds.kind(tmp_path / "missing.png") == "picture"


def test_hidden_files_are_not_seen(tmp_path: Path) -> None:
    for name in ("._a.mp4", ".Trash-1000/b.mp4", "x/.hidden/c.mp4", "x/d.mp4", "e.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in kinds.visible_files(tmp_path)] == ["e.png", "d.mp4"]


def test_the_cases_are_what_they_are(shared: Path) -> None:
    photos = [path.name for path in images.find(shared / "cases/photos")]
    assert {"photo.jfif", "cam.hif", "stereo.mpo"} <= set(photos) and len(photos) == 8
    assert kinds.kind(shared / "cases/films/photo_named.mp4") == "picture"
    assert np.ptp(images.read(shared / "cases/photos/photo.jfif")) > 100
