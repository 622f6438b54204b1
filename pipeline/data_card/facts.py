"""Facts about the data set, from the manifests of the data stages."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.core import manifest
from pipeline.core.manifest import Domain, Row
from pipeline.core.reasons import REASONS
from pipeline.data_card.colors import CropColors, histogram_mean

DOMAINS: tuple[Domain, ...] = ("anime", "photo")

T = TypeVar("T")


class Shot(NamedTuple):
    """A shot of a film."""

    name: str
    start_s: float
    end_s: float


class Episode(NamedTuple):
    """A film file: its shots, each with whether a frame of it was kept, and its key frames by time and reason (None: kept)."""

    name: str
    shots: list[tuple[Shot, bool]]
    key_frames: list[tuple[float, str | None]]


@dataclass(frozen=True)
class Source:
    """What a film, or the folder of photographs, contributed."""

    name: str
    domain: Domain
    files: list[str]
    sizes: Counter[tuple[int, int]]  # width and height of its pictures
    seconds: float  # 0 for photographs and other folders of pictures
    episodes: list[Episode]  # empty for photographs and other folders of pictures
    pictures: int
    kept: int  # pictures with crops
    reasons: Counter[str]  # of the other pictures
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
    left_out: Counter[str]  # crops in no split, by reason


class CropSizes(NamedTuple):
    """Crops of a domain before they were scaled: sides in pixels, shares of edge pixels, faces (NaN where not measured)."""

    sides: NDArray[np.float64]
    edge_shares: NDArray[np.float64]
    faces: NDArray[np.float64]


@dataclass(frozen=True)
class Facts:
    """Everything the data card is made of."""

    sources: list[Source]
    totals: dict[Domain, Total]
    colors: dict[Domain, CropColors]
    sizes: dict[Domain, CropSizes]
    edge_smoothed: int
    warnings: int  # of stage keyframes

    @property
    def domains(self) -> list[Domain]:
        """The domains that have pictures: both, unless this is a data set of films alone, or of photographs."""
        return [domain for domain in DOMAINS if self.totals[domain].pictures]

    @property
    def comparable(self) -> bool:
        """Whether there are pictures of both domains."""
        return len(self.domains) == len(DOMAINS)

    @property
    def brightness_gap(self) -> float:
        """Mean luma of anime minus that of photographs, levels of 255; 0 where either is missing."""
        if not self.comparable:
            return 0.0
        return histogram_mean(self.colors["anime"].luma) - histogram_mean(self.colors["photo"].luma)

    @property
    def color_gap(self) -> float:
        """Distance between the mean colors in the a/b plane of CIELAB; 0 where either is missing."""
        if not self.comparable:
            return 0.0
        return float(np.hypot(*(self.colors["anime"].mean_lab - self.colors["photo"].mean_lab)[1:]))


def spread_evenly(items: Sequence[T], count: int) -> list[T]:
    """Choose at most `count` items, evenly spread, in their order."""
    if len(items) <= count:
        return list(items)
    return [items[index * len(items) // count] for index in range(count)]


def sort_reasons(reasons: Iterable[str]) -> list[str]:
    """List reasons, each once, in the order they are shown; unknown ones follow in alphabetical order."""
    order = list(REASONS)
    return sorted(set(reasons), key=lambda reason: (order.index(reason) if reason in REASONS else len(order), reason))


def describe_reason(reason: str) -> str:
    """Return a reason (as in manifests) in words."""
    return "near-duplicate" if reason == "near_duplicate" else reason.replace("_", " ")


def with_crop_reasons(pictures: Iterable[Row], crops: Iterable[Row]) -> list[Row]:
    """Return the rows of pictures; those that dedup kept, but that gave no crop, have the reason of stage crop."""
    failed = {row.parent: row.reason for row in crops if row.reason is not None}
    return [row.model_copy(update={"reason": row.reason or failed.get(row.id)}) for row in pictures]


def list_episodes(shots: Iterable[Shot], key_frames: Iterable[Row]) -> list[Episode]:
    """Group the shots of a source by film file, in their order, with the key frames of each."""
    by_shot = _group(key_frames, "shot")
    episodes: dict[str, Episode] = {}
    for shot in shots:
        # A shot is called SOURCE-00012, in a folder of episodes SOURCE.EPISODE-00012.
        name = shot.name.rpartition("-")[0].rpartition(".")[2]
        episode = episodes.setdefault(name, Episode(name, [], []))
        rows = by_shot.get(shot.name, [])
        episode.shots.append((shot, any(row.reason is None for row in rows)))
        episode.key_frames.extend((row.time_s or 0.0, row.reason) for row in rows)
    return list(episodes.values())


def _group(rows: Iterable[Row], field: str) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(getattr(row, field) or "", []).append(row)
    return groups


def list_sources(
    domains: Mapping[str, Domain],
    pictures: Iterable[Row],
    crops: Iterable[Row],
    split: Iterable[Row],
    shots: Mapping[str, list[Shot]],
) -> list[Source]:
    """Summarize each source in `domains`, in that order; rows of others are ignored.

    Args:
        domains: the domain of each source, in the order to show.
        pictures: key frames and photographs, with the reasons of dedup and crop.
        crops: rows of stage crop.
        split: rows of stage split.
        shots: the shots of each film by its name; folders of pictures have none.
    """
    crop_counts = Counter(row.source for row in crops if row.reason is None)
    by_source, placed = _group(pictures, "source"), _group(manifest.kept(split), "source")
    return [
        Source(
            name=name,
            domain=domain,
            files=sorted({PurePath(row.parent).name for row in rows if row.parent}),
            sizes=Counter((row.width_px, row.height_px) for row in rows if row.width_px),
            seconds=sum(shot.end_s - shot.start_s for shot in shots.get(name, [])),
            episodes=list_episodes(shots.get(name, []), rows),
            pictures=len(rows),
            kept=sum(row.reason is None for row in rows),
            reasons=Counter(row.reason for row in rows if row.reason is not None),
            crops=crop_counts[name],
            splits=Counter(row.split or "" for row in placed.get(name, [])),
        )
        for name, domain in domains.items()
        for rows in [by_source.get(name, [])]
    ]


def sum_sources(domain: Domain, sources: Iterable[Source], split: Iterable[Row]) -> Total:
    """Add up the sources of a domain, ignoring others; `split` holds the rows of stage split."""
    own = [source for source in sources if source.domain == domain]
    rows = [row for row in split if row.domain == domain]
    groups = {(row.split or "", row.shot or row.id) for row in manifest.kept(rows)}
    return Total(
        pictures=sum(source.pictures for source in own),
        kept=sum(source.kept for source in own),
        reasons=sum((source.reasons for source in own), Counter()),
        crops=sum(source.crops for source in own),
        splits=sum((source.splits for source in own), Counter()),
        groups=Counter(split_name for split_name, _ in groups),
        left_out=Counter(row.reason for row in rows if row.reason is not None),
    )


def measure_sizes(crops: Iterable[Row]) -> CropSizes:
    """Collect the sides, edge shares and faces of crops; rows without a box are left out."""
    rows = [(row.box[2], row.scores) for row in crops if row.box is not None]
    sides = np.array([side for side, _ in rows], np.float64)
    measured = (np.array([scores.get(name, np.nan) for _, scores in rows], np.float64) for name in ("edge_share", "faces"))
    return CropSizes(sides, *measured)
