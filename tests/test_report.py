"""The data card: its numbers are those of the manifests, its page stands alone, its warnings come when they should."""

from __future__ import annotations

import dataclasses
import os
import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipeline import report
from pipeline.core import manifest
from pipeline.core.errors import UserError
from pipeline.core.manifest import Row
from pipeline.data_card import charts, checks, page
from pipeline.data_card import facts as card_facts
from pipeline.data_card.facts import DOMAINS, Facts, Palette, Shot
from pipeline.media import images
from pipeline.params.schema import Params
from tests.conftest import ROOT, run_stage, scene, vary

# A name that is code to HTML and a table to Markdown.
FILM = "<b>|`film`&amp;.mp4"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, film: Path, committed: Params) -> Iterator[tuple[Path, Params]]:
    """A project whose data stages have run: five shots, one of them twice among ten photographs that are partly worthless."""
    root = tmp_path_factory.mktemp("project")
    before = Path.cwd()
    os.chdir(root)
    Path("photos").mkdir()
    Path(FILM).symlink_to(film)
    for seed in range(8):
        images.write(Path(f"photos/{seed}.png"), scene(100 + seed, 200, 160))
    images.write(Path("photos/night.png"), np.full((160, 200, 3), 5, np.uint8))
    images.write(Path("photos/twice.jpg"), scene(100, 200, 160))
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


@pytest.fixture
def facts(world: tuple[Path, Params]) -> Facts:
    return report.gather(world[1], world[0] / "data")[0]


class Page(HTMLParser):
    """What the tests ask of a page."""

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
    judged, chosen = (manifest.read(Path("data") / name) for name in ("dedup", "split"))
    cut = [row for source in ("anime/mine", "photo/photos") for row in manifest.read(Path("data/crop/about") / source)]
    assert {row.reason for row in judged if row.domain == "photo"} >= {"dark", "near_duplicate", None}
    failed = {row.parent for row in cut if row.reason}
    for source in ("mine", "photos"):
        shown = dict(zip(heads, rows[source], strict=True))
        own = [row for row in judged if row.source == source]
        assert len(own) > 4
        assert int(shown["Pictures"]) == len(own)
        assert int(shown["Kept"]) == sum(row.reason is None and row.id not in failed for row in own)
        for reason, count in Counter(row.reason for row in own if row.reason).items():
            assert int(shown[charts.words(reason)]) == count
        assert int(shown["Crops"]) == sum(row.source == source and row.reason is None for row in cut)
        for name in ("Train", "Val", "Pred"):
            assert int(shown[name]) == sum(row.source == source and row.split == name.lower() for row in chosen)


def test_the_page_stands_alone_and_can_be_read_by_all(world: tuple[Path, Params]) -> None:
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


def test_names_are_text_and_tell_nothing_of_the_machine(world: tuple[Path, Params]) -> None:
    page, card = (Path("data/report", name).read_text("utf-8") for name in ("index.html", "card.md"))
    assert "<b>|" not in page and "&lt;b&gt;|`film`&amp;amp;.mp4" in page
    html = MarkdownIt("commonmark").enable("table").render(card)
    assert "&lt;b&gt;|`film`&amp;amp;.mp4" in html
    assert all(str(world[0]) not in text for text in (page, card))


def test_markdown_says_the_same(world: tuple[Path, Params]) -> None:
    card = Path("data/report/card.md").read_text("utf-8")
    html = MarkdownIt("commonmark").enable("table").render(card)
    page = Page(Path("data/report/index.html").read_text("utf-8"))
    said = Page(html)
    tables = {tuple(cells) for cells in said.cells}
    assert len(tables) > 15
    sources = [cells for cells in page.cells if cells[0] in ("mine", "photos", "Mean luma, 0 to 255", "split")]
    assert len(sources) >= 5
    assert {tuple(cells) for cells in sources} <= tables
    pictures = [str(attrs["src"]) for tag, attrs in said.tags if tag == "img"]
    assert len(pictures) > 10 and all(Path("data/report", name).is_file() for name in pictures)


def test_same_bytes_again_with_other_workers(world: tuple[Path, Params], tmp_path: Path) -> None:
    report.run(vary(world[1], {"workers": 2}), tmp_path)
    ours = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(ours) > 20
    for name, content in ours.items():
        assert content == Path("data/report", name).read_bytes(), name


def test_a_stage_that_did_not_run_is_named(world: tuple[Path, Params], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("dedup", "split", "crop", "edge_smooth", "keyframes"):
        with pytest.raises(UserError, match=f"data/{name}.* run dvc repro"):
            report.gather(world[1], tmp_path / "data")
        (tmp_path / "data" / name).symlink_to(world[0] / "data" / name)
    assert report.gather(world[1], tmp_path / "data")


# Facts


@given(st.lists(st.integers()), st.integers(1, 50))
def test_spread_keeps_order_and_reaches_over_all(items: list[int], count: int) -> None:
    indices = card_facts.spread(range(len(items)), count)
    assert indices == sorted(set(indices))
    assert len(indices) == min(len(items), count)
    if indices:
        longest = max(np.diff([*indices, len(items)]))
        assert longest <= -(-len(items) // len(indices))


@given(st.lists(st.integers(0, 255), min_size=1, max_size=200), st.floats(0.01, 0.99))
def test_levels_say_what_the_pixels_say(values: list[int], share: float) -> None:
    counts = np.bincount(values, minlength=256)
    assert card_facts.mean(counts) == pytest.approx(np.mean(values))
    level = card_facts.quantile(counts, share)
    assert np.mean(np.array(values) <= level) >= share - 1e-9
    assert np.mean(np.array(values) < level) < share + 1e-9


def test_tones_of_known_colours() -> None:
    # CIELAB of sRGB red, D65: Lindbloom's calculator.
    red = card_facts.tone(np.full((8, 8, 3), (255, 0, 0), np.uint8))
    assert red.lab == pytest.approx((53.24, 80.09, 67.20), abs=0.1)
    assert red.saturation[255] == 64 and red.luma[76] == 64  # 0.299 of 255
    grey = card_facts.tone(np.full((8, 8, 3), 119, np.uint8))
    assert grey.lab == pytest.approx((50.03, 0, 0), abs=0.25), "OpenCV interpolates in a table"
    assert grey.saturation[0] == 64


def row(name: str, **values: object) -> Row:
    return Row.model_validate({"id": name, "domain": "anime", "source": "a", "width_px": 8, "height_px": 8} | values)


def test_episodes_of_a_folder_are_told_apart() -> None:
    shots = [Shot("a.s01-e01-00000", 0, 2), Shot("a.s01-e01-00001", 2, 3), Shot("a.s01-e02-00000", 0, 9)]
    rows = [
        row("1", shot="a.s01-e01-00000", time_s=1.0),
        row("2", shot="a.s01-e02-00000", time_s=4.0, reason="dark"),
    ]
    first, second = card_facts.episodes(shots, rows)
    assert (first.name, second.name) == ("s01-e01", "s01-e02")
    assert [kept for _, kept in first.shots] == [True, False]
    assert second.marks == [(4.0, "dark")] and not second.shots[0][1]


def test_a_picture_that_gave_no_square_has_crops_reason() -> None:
    rows = [row("1"), row("2", reason="dark"), row("3")]
    fates = card_facts.fates(rows, [row("3", parent="3", reason="flat"), row("1-00", parent="1")])
    assert [one.reason for one in fates] == [None, "dark", "flat"]


def test_squares_that_split_left_out_are_counted_apart() -> None:
    placed = [
        row("1-00", split="train", shot="a-0"),
        row("2-00", split="val", shot="a-1"),
        row("2-01", split="val", shot="a-1", reason="near_train", duplicate_of="1-00"),
    ]
    sources = card_facts.sources({"a": "anime"}, [row("1"), row("2")], [row(one.id) for one in placed], placed, {})
    total = card_facts.total("anime", sources, placed)
    assert total.splits == sources[0].splits == Counter(train=1, val=1)
    assert total.crops == 3 and total.left_out == Counter(near_train=1)
    assert total.groups == Counter(train=1, val=1)


def test_reasons_unknown_here_come_last_and_have_a_colour() -> None:
    assert card_facts.in_order(["zebra", "flat", "dark", "flat"]) == ["dark", "flat", "zebra"]
    for name in [*card_facts.REASONS, "zebra"]:
        assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in charts.colours(name))
    known = [charts.colours(name)[0] for name in (charts.KEPT, *card_facts.REASONS)]
    assert len(set(known)) == len(known)


# Checks


def flat_palette(level: int, b: float = 0.0) -> Palette:
    counts = np.bincount([level], minlength=256)
    return Palette(1, counts, counts, np.array([[50.0, 0.0, b]]), np.full((1, 3), float(level)))


def found(facts: Facts, params: Params, title: str) -> checks.Check:
    (check,) = (one for one in checks.checks(facts, params) if one.title.startswith(title))
    return check


@pytest.mark.parametrize(("anime", "photo", "word"), [(90, 140, "darker"), (140, 90, "brighter"), (100, 115, "")])
def test_brightness_that_differs_is_warned_of(
    anime: int, photo: int, word: str, facts: Facts, world: tuple[Path, Params]
) -> None:
    varied = dataclasses.replace(facts, palettes={"anime": flat_palette(anime), "photo": flat_palette(photo)})
    check = found(varied, world[1], "Brightness")
    assert check.number == f"{anime - photo:+.1f} levels of 255"
    assert check.level == ("caution" if word else "good")
    assert word in check.advice and bool(check.advice) == bool(word)


def test_a_cast_is_warned_of(facts: Facts, world: tuple[Path, Params]) -> None:
    varied = dataclasses.replace(facts, palettes={"anime": flat_palette(100, b=11), "photo": flat_palette(100)})
    assert found(varied, world[1], "Colour cast").level == "caution"


@pytest.mark.parametrize(("count", "level"), [(150, "bad"), (151, "caution"), (2999, "caution"), (3000, "good")])
def test_too_few_squares_are_warned_of(count: int, level: str, facts: Facts, world: tuple[Path, Params]) -> None:
    total = dataclasses.replace(facts.totals["anime"], splits=Counter(train=count, val=40))
    varied = dataclasses.replace(facts, totals=facts.totals | {"anime": total})
    assert found(varied, world[1], "Anime crops to train on").level == level


def test_a_film_that_dominates_is_named(facts: Facts, world: tuple[Path, Params]) -> None:
    mine = facts.sources[0]
    other = dataclasses.replace(mine, name="other", crops=mine.crops * 9)
    total = dataclasses.replace(facts.totals["anime"], crops=mine.crops * 10)
    varied = dataclasses.replace(facts, sources=[mine, other, *facts.sources[1:]], totals=facts.totals | {"anime": total})
    check = found(varied, world[1], "Share of the largest film")
    assert check.level == "caution" and check.number == "90% (other)"


def test_worst_first_and_every_trouble_has_advice(facts: Facts, world: tuple[Path, Params]) -> None:
    found = checks.checks(facts, world[1])
    assert len(found) >= 14
    order = [("bad", "caution", "good").index(check.level) for check in found]
    assert order == sorted(order) and order[0] == 0, "this world is too small"
    assert all(bool(check.advice) == (check.level != "good") for check in found)
    assert all(check.title and check.number and check.limit for check in found)


def test_sides_without_squares_do_not_stop_the_charts(facts: Facts, tmp_path: Path) -> None:
    empty = {domain: np.array([], np.float64) for domain in DOMAINS}
    for theme in (charts.LIGHT, charts.DARK):
        assert charts.spreads(empty, "side", 64, "stored", False, theme).axes


# Words


@settings(max_examples=100)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=30))
def test_markdown_takes_names_for_letters(text: str) -> None:
    tokens = MarkdownIt("commonmark").enable("table").parseInline(f"x{page.plain(text)}x")[0].children or []
    assert {token.type for token in tokens} <= {"text", "text_special"}
    assert "".join(token.content for token in tokens) == f"x{' '.join(text.split())}x"


def test_pictures_of_the_card_are_among_those_dvc_plots() -> None:
    assert "  - data/report/charts\n" in (ROOT / "dvc.yaml").read_text("utf-8")
