"""What the data card tells, gathered from the rows of the data stages and from the pixels of some crops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.core import manifest
from pipeline.core.manifest import Domain, Row
from pipeline.media import arrays, images
from pipeline.media.images import Picture

DOMAINS: tuple[Domain, ...] = ("anime", "photo")
# Reasons in the order they are shown; one that is not named here comes after them.
REASONS = (
    "near_duplicate", "credits", "title", "dark", "blank", "blurred", "by_hand", "unreadable", "too_small", "covered", "flat",
)  # fmt: skip
_LEVELS = 256

T = TypeVar("T")


@dataclass(frozen=True)
class Shot:
    """A shot of a film, in its seconds."""

    name: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Episode:
    """One film file over time."""

    name: str
    shots: list[tuple[Shot, bool]]  # and whether a frame of it was kept
    marks: list[tuple[float, str | None]]  # second and reason (None: kept) of each key frame


@dataclass(frozen=True)
class Source:
    """What one film, or the folder of photographs, gave."""

    name: str
    domain: Domain
    files: list[str]
    sizes: Counter[tuple[int, int]]  # width and height of its pictures
    seconds: float  # 0 for photographs
    episodes: list[Episode]  # none for photographs
    pictures: int
    kept: int  # pictures that gave crops
    reasons: Counter[str]
    crops: int
    splits: Counter[str]  # crops in train and val, whole photographs in pred

    @property
    def shots(self) -> int:
        return sum(len(episode.shots) for episode in self.episodes)

    @property
    def shots_kept(self) -> int:
        return sum(kept for episode in self.episodes for _, kept in episode.shots)


@dataclass(frozen=True)
class Total:
    """The sums over all sources of a domain."""

    pictures: int
    kept: int
    reasons: Counter[str]
    crops: int
    splits: Counter[str]
    groups: Counter[str]  # shots (or photographs) in train and val
    left_out: Counter[str]  # crops that split dropped, by reason


@dataclass(frozen=True)
class Tone:
    """Brightness and colour of one picture."""

    luma: NDArray[np.int64]  # pixels at each of 256 levels
    saturation: NDArray[np.int64]  # the same of HSV's S
    lab: tuple[float, float, float]  # mean in CIELAB
    rgb: tuple[float, float, float]  # mean, 0-255


@dataclass(frozen=True)
class Palette:
    """Brightness and colour of a domain."""

    pictures: int
    luma: NDArray[np.int64]
    saturation: NDArray[np.int64]
    lab: NDArray[np.float64]  # pictures x 3
    rgb: NDArray[np.float64]  # pictures x 3

    @property
    def mean_lab(self) -> NDArray[np.float64]:
        return np.asarray(self.lab.mean(axis=0))


@dataclass(frozen=True)
class Scale:
    """Crops of a domain before they were scaled."""

    sides: NDArray[np.float64]  # pixels
    edge_shares: NDArray[np.float64]


@dataclass(frozen=True)
class Facts:
    """All of it."""

    sources: list[Source]
    totals: dict[Domain, Total]
    palettes: dict[Domain, Palette]
    scales: dict[Domain, Scale]
    twins: int
    warnings: int  # of keyframes: what is missing or odd in films

    @property
    def brightness_gap(self) -> float:
        """Mean luma of anime less that of photographs, levels of 255."""
        return mean(self.palettes["anime"].luma) - mean(self.palettes["photo"].luma)

    @property
    def colour_gap(self) -> float:
        """Distance of the mean colours in the a/b plane of CIELAB."""
        return float(np.hypot(*(self.palettes["anime"].mean_lab - self.palettes["photo"].mean_lab)[1:]))


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most `count` items, evenly spread, in their order."""
    if len(items) <= count:
        return list(items)
    return [items[index * len(items) // count] for index in range(count)]


def in_order(reasons: Iterable[str]) -> list[str]:
    """Reasons, each once, in the order they are shown."""
    return sorted(set(reasons), key=lambda reason: (REASONS.index(reason) if reason in REASONS else len(REASONS), reason))


def mean(levels: NDArray[np.int64]) -> float:
    """Mean level of a histogram over 256 levels."""
    return float((levels * np.arange(len(levels))).sum() / max(levels.sum(), 1))


def quantile(levels: NDArray[np.int64], share: float) -> int:
    """The level under or at which this share of a histogram lies."""
    return int(np.searchsorted(levels.cumsum(), share * levels.sum()))


def of_values(values: NDArray[np.float64], share: float) -> float:
    """The value under or at which this share lies; 0 where there are none."""
    return float(np.nanquantile(values, share)) if np.isfinite(values).any() else 0.0


def tone(picture: Picture) -> Tone:
    """Measure a picture (uint8 RGB HxWx3)."""
    lab = arrays.lab(picture).reshape(-1, 3).mean(axis=0, dtype=np.float64)
    rgb = picture.reshape(-1, 3).mean(axis=0)
    return Tone(
        luma=np.bincount(arrays.luma(picture).ravel(), minlength=_LEVELS),
        saturation=np.bincount(arrays.saturation(picture).ravel(), minlength=_LEVELS),
        lab=(float(lab[0]), float(lab[1]), float(lab[2])),
        rgb=(float(rgb[0]), float(rgb[1]), float(rgb[2])),
    )


def palette(tones: Iterable[Tone]) -> Palette:
    """Sum up pictures; each counts the same only where they have the same size, as crops do."""
    luma, saturation = np.zeros(_LEVELS, np.int64), np.zeros(_LEVELS, np.int64)
    lab, rgb = [], []
    for one in tones:
        luma += one.luma
        saturation += one.saturation
        lab.append(one.lab)
        rgb.append(one.rgb)
    return Palette(len(lab), luma, saturation, np.array(lab).reshape(-1, 3), np.array(rgb).reshape(-1, 3))


def episodes(shots: Iterable[Shot], pictures: Iterable[Row]) -> list[Episode]:
    """The films of a source over time, from its shots and its key frames with their fates."""
    rows: dict[str, list[Row]] = {}
    for row in pictures:
        rows.setdefault(row.shot or "", []).append(row)
    found: dict[str, Episode] = {}
    for shot in shots:
        # A shot is called SOURCE-00012, in a folder of episodes SOURCE.EPISODE-00012.
        name = shot.name.rpartition("-")[0].rpartition(".")[2]
        episode = found.setdefault(name, Episode(name, [], []))
        own = rows.get(shot.name, [])
        episode.shots.append((shot, any(row.reason is None for row in own)))
        episode.marks.extend((row.time_s or 0.0, row.reason) for row in own)
    return list(found.values())


def fates(judged: Iterable[Row], cut: Iterable[Row]) -> list[Row]:
    """Rows of dedup; those of which crop could cut nothing have its reason."""
    failed = {row.parent: row.reason for row in cut if row.reason is not None}
    return [row.model_copy(update={"reason": row.reason or failed.get(row.id)}) for row in judged]


def sources(
    names: Mapping[str, Domain],
    pictures: Iterable[Row],
    cut: Iterable[Row],
    split: Iterable[Row],
    shots: Mapping[str, list[Shot]],
) -> list[Source]:
    """What each source gave.

    Args:
        names: the sources, in the order they are shown.
        pictures: key frames and photographs with their fates.
        cut: rows of crop.
        split: rows of split.
        shots: the shots of each film.
    """
    crops = Counter(row.source for row in cut if row.reason is None)
    splits: dict[str, Counter[str]] = {}
    for row in manifest.kept(split):
        splits.setdefault(row.source, Counter())[row.split or ""] += 1
    grouped: dict[str, list[Row]] = {}
    for row in pictures:
        grouped.setdefault(row.source, []).append(row)
    return [
        Source(
            name=name,
            domain=domain,
            files=sorted({PurePath(row.parent).name for row in rows if row.parent}),
            sizes=Counter((row.width_px, row.height_px) for row in rows if row.width_px),
            seconds=sum(shot.end_s - shot.start_s for shot in shots.get(name, [])),
            episodes=episodes(shots.get(name, []), rows),
            pictures=len(rows),
            kept=sum(row.reason is None for row in rows),
            reasons=Counter(row.reason for row in rows if row.reason is not None),
            crops=crops[name],
            splits=splits.get(name, Counter()),
        )
        for name, domain in names.items()
        for rows in [grouped.get(name, [])]
    ]


def total(domain: Domain, everything: Iterable[Source], split: Iterable[Row]) -> Total:
    """The sums over the sources of a domain."""
    own = [source for source in everything if source.domain == domain]
    placed = [row for row in split if row.domain == domain]
    groups = {(row.split or "", row.shot or row.id) for row in manifest.kept(placed)}
    return Total(
        pictures=sum(source.pictures for source in own),
        kept=sum(source.kept for source in own),
        reasons=sum((source.reasons for source in own), Counter()),
        crops=sum(source.crops for source in own),
        splits=sum((source.splits for source in own), Counter()),
        groups=Counter(name for name, _ in groups),
        left_out=Counter(row.reason for row in placed if row.reason is not None),
    )


def scale(crops: Iterable[Row]) -> Scale:
    """Sides and edge shares of crops."""
    rows = [row for row in crops if row.box is not None]
    return Scale(
        np.array([row.box[2] for row in rows if row.box], np.float64),
        np.array([row.scores.get("edge_share", np.nan) for row in rows], np.float64),
    )


def measure_file(row: Row) -> Tone:
    """Tone of a row's picture."""
    return tone(images.read(manifest.file_of(row)))
