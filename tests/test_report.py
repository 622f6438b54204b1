"""Stage report: its numbers are those of the manifests, and its page is complete."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt

from pipeline import report
from pipeline.core import manifest
from pipeline.core.errors import UserError
from pipeline.data_card.facts import describe_reason
from pipeline.media import images
from pipeline.params.schema import Params
from tests.conftest import run_stage, scene, vary

FILM = "<b>|`film`&amp;.mp4"
"""A file name with special characters of HTML and Markdown."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, film: Path, committed: Params) -> Iterator[tuple[Path, Params]]:
    """A project with a film of five shots, and ten photographs of which one is dark and one a duplicate."""
    root = tmp_path_factory.mktemp("project")
    before = Path.cwd()
    os.chdir(root)
    Path("photos").mkdir()
    Path(FILM).symlink_to(film)
    for seed in range(8):
        images.write(Path(f"photos/{seed}.png"), scene(100 + seed, 200, 160))
    images.write(Path("photos/night.png"), np.full((160, 200, 3), 5, np.uint8))
    images.write(Path("photos/duplicate.jpg"), scene(100, 200, 160))
    params = vary(
        committed,
        {
            "films": {"mine": FILM}, "photos": "photos", "workers": 1, "crop.size_px": 64, "crop.per_frame": 2,
            "crop.per_photo": 3, "report.max_measured": 10, "pretrain.crop_px": 32, "train.crop_px": 32,
        },
    )  # fmt: skip
    run_stage("keyframes", params, "mine")
    run_stage("photo_index", params)
    run_stage("dedup", params)
    for source in ("anime/mine", "photo/photos"):
        run_stage("crop", params, source)
    run_stage("edge_smooth", params, "mine")
    run_stage("split", params)
    run_stage("report", params)
    yield root, params
    os.chdir(before)


class Page(HTMLParser):
    """Parses a page: tags, unclosed tags, and the text of table cells by row."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.cells: list[list[str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("img", "meta", "source", "link", "br"):
            self.open.append(tag)
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1][-1] += data.strip()


def test_numbers_are_those_of_the_manifests(world: tuple[Path, Params]) -> None:
    page = Page(Path("data/report/index.html").read_text("utf-8"))
    heads = next(cells for cells in page.cells if cells[:2] == ["Source", "Length"])
    rows = {cells[0]: cells for cells in page.cells if len(cells) == len(heads)}
    checked, chosen = (manifest.read(Path("data") / name) for name in ("dedup", "split"))
    cut = [row for source in ("anime/mine", "photo/photos") for row in manifest.read(Path("data/crop/about") / source)]
    assert {row.reason for row in checked if row.domain == "photo"} >= {"dark", "near_duplicate", None}
    failed = {row.parent for row in cut if row.reason}
    for source in ("mine", "photos"):
        shown = dict(zip(heads, rows[source], strict=True))
        own = [row for row in checked if row.source == source]
        assert len(own) > 4
        assert int(shown["Pictures"]) == len(own)
        assert int(shown["Kept"]) == sum(row.reason is None and row.id not in failed for row in own)
        for reason, count in Counter(row.reason for row in own if row.reason).items():
            assert int(shown[describe_reason(reason)]) == count
        assert int(shown["Crops"]) == sum(row.source == source and row.reason is None for row in cut)
        for name in ("Train", "Val", "Pred"):
            assert int(shown[name]) == sum(row.source == source and row.split == name.lower() for row in chosen)


def test_the_page_is_self_contained_and_accessible(world: tuple[Path, Params]) -> None:
    home = Path("data/report")
    text = (home / "index.html").read_text("utf-8")
    page = Page(text)
    assert page.open == [], "every tag is closed"
    links = [value for _, attrs in page.tags for key in ("src", "srcset", "href") if (value := attrs.get(key))]
    targets = {str(attrs["id"]) for _, attrs in page.tags if "id" in attrs}
    assert len(links) > 20
    for link in links:
        assert link[1:] in targets if link.startswith("#") else (home / link).is_file(), link
    assert not re.search(r"https?:|@import|url\(|<script", text)
    shown = [attrs for tag, attrs in page.tags if tag == "img"]
    for attrs in shown:
        assert attrs["alt"]
        picture = images.read(home / str(attrs["src"]))
        assert picture.shape[:2] == (int(attrs["height"] or 0), int(attrs["width"] or 0))
    names = [tag for tag, _ in page.tags]
    assert names.count("h1") == names.count("main") == names.count("nav") == 1
    charts, dark = ({path.name for path in (home / theme).iterdir()} for theme in ("charts", "charts_dark"))
    assert charts == dark and "timeline_mine.png" in charts


def test_names_are_escaped_and_reveal_nothing_about_the_machine(world: tuple[Path, Params]) -> None:
    page, card = (Path("data/report", name).read_text("utf-8") for name in ("index.html", "card.md"))
    assert "<b>|" not in page and "&lt;b&gt;|`film`&amp;amp;.mp4" in page
    html = MarkdownIt("commonmark").enable("table").render(card)
    assert "&lt;b&gt;|`film`&amp;amp;.mp4" in html
    assert all(str(world[0]) not in text for text in (page, card))


def test_the_markdown_has_the_same_content(world: tuple[Path, Params]) -> None:
    card = Path("data/report/card.md").read_text("utf-8")
    html = MarkdownIt("commonmark").enable("table").render(card)
    page = Page(Path("data/report/index.html").read_text("utf-8"))
    rendered = Page(html)
    tables = {tuple(cells) for cells in rendered.cells}
    assert len(tables) > 15
    sources = [cells for cells in page.cells if cells[0] in ("mine", "photos", "Mean luma, 0 to 255", "split")]
    assert len(sources) >= 5
    assert {tuple(cells) for cells in sources} <= tables
    pictures = [str(attrs["src"]) for tag, attrs in rendered.tags if tag == "img"]
    assert len(pictures) > 10 and all(Path("data/report", name).is_file() for name in pictures)


def test_the_bytes_do_not_depend_on_the_number_of_workers(world: tuple[Path, Params], tmp_path: Path) -> None:
    report.run(vary(world[1], {"workers": 2}), tmp_path)
    files = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(files) > 20
    for name, content in files.items():
        assert content == Path("data/report", name).read_bytes(), name


@pytest.mark.parametrize("only", ["anime", "photo"])
def test_films_alone_or_photographs_alone_make_a_data_set(
    only: str, world: tuple[Path, Params], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, params = world
    monkeypatch.chdir(tmp_path)
    for name in ("keyframes", "edge_smooth"):
        (tmp_path / "data" / name / "about").mkdir(parents=True)
    if only == "anime":
        shutil.copytree(root / "data/keyframes", tmp_path / "data/keyframes", dirs_exist_ok=True)
    (tmp_path / "none").mkdir()
    films = {"mine": str(root / FILM)} if only == "anime" else {}
    params = vary(params, {"films": films, "photos": "none" if only == "anime" else str(root / "photos")})
    run_stage("photo_index", params)
    run_stage("dedup", params)
    for source in (*(f"anime/{name}" for name in films), "photo/photos"):
        run_stage("crop", params, source)
    for name in films:
        run_stage("edge_smooth", params, name)
    rows = manifest.kept(manifest.read(run_stage("split", params)))
    assert {row.domain for row in rows} == {only} and {"train", "val"} <= {row.split for row in rows}
    out = run_stage("report", params)
    card, absent = (out / "card.md").read_text("utf-8"), {"anime": "photo", "photo": "anime"}[only]
    assert f"{only.capitalize()} crops for training" in card and f"{absent.capitalize()} crops for training" not in card
    assert not list(out.rglob(f"*{absent}*")) and (out / f"sheets/crops_{only}.jpg").exists()
    assert "nan" not in card.lower().replace("edge-smoothed", "")


def test_an_output_that_is_missing_is_named(world: tuple[Path, Params], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("dedup", "split", "crop", "edge_smooth", "keyframes"):
        with pytest.raises(UserError, match=f"data/{name}.* run dvc repro"):
            report.read_facts(world[1], tmp_path / "data")
        (tmp_path / "data" / name).symlink_to(world[0] / "data" / name)
    assert report.read_facts(world[1], tmp_path / "data")
