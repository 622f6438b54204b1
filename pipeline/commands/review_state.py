"""The pictures that `genga review` shows: what dedup kept and dropped, why, and how a person overrides it."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.core import manifest
from pipeline.core.manifest import Row
from pipeline.core.reasons import REASONS
from pipeline.frames import overrides
from pipeline.frames.overrides import Override
from pipeline.media import arrays, images
from pipeline.params.data import DedupParams

SIZES_PX = {"thumb": 320, "large": 1600}
MAX_CACHE_BYTES = 96 << 20  # some 6,000 thumbnails
_MAX_DECODERS = 2  # pictures decoded at once: a photograph may take 300 MB

_KEPT = ("Kept", "In the data set.")


def list_groups(rows: Sequence[Row]) -> list[dict[str, str]]:
    """List all groups that pictures can be in (name, title, text), in the order to show; an unknown reason is its own title."""
    titles = {"kept": _KEPT} | {name: (reason.title, reason.text) for name, reason in REASONS.items()}
    for name in sorted({row.reason or "kept" for row in rows}):
        titles.setdefault(name, (name.replace("_", " ").capitalize(), ""))
    return [{"name": name, "title": title, "text": text} for name, (title, text) in titles.items()]


def describe_score(row: Row, rows: Mapping[str, Row], params: DedupParams) -> str:
    """Describe the score for which a picture was kept or dropped, "" if there is none; `rows` are all rows by id."""

    def score(row: Row, name: str) -> str:
        return f"{row.scores.get(name, float('nan')):g}"

    if (reason := REASONS.get(row.reason or "")) and (limit := reason.limit):
        sign = "≥" if limit.at_least else "≤"
        return f"{limit.score} {score(row, limit.score)} {sign} {getattr(params, limit.key):g}"
    if "sharpness" not in row.scores:
        return ""
    original = rows.get(row.duplicate_of or "")
    return f"sharpness {score(row, 'sharpness')}" + (f", kept picture {score(original, 'sharpness')}" if original else "")


def count_pending(rows: Sequence[Row], chosen: Mapping[str, Override]) -> int:
    """Count the pictures whose override dedup has not applied yet."""

    def is_pending(row: Row) -> bool:
        override = chosen.get(row.id)
        return row.reason is not None if override == "keep" else (row.reason == "by_hand") != (override == "drop")

    return sum(map(is_pending, rows))


class Review:
    """The pictures of a project's data/dedup and the overrides for them; safe to use from several threads."""

    def __init__(self, data: Path, params: DedupParams) -> None:
        self._data, self._params = data, params
        self._lock = threading.Lock()
        self._decoders = threading.BoundedSemaphore(_MAX_DECODERS)
        self._cache: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._rows: dict[str, Row] = {}
        self.state()

    def state(self) -> dict[str, Any]:
        """Read the manifest and the overrides again, as dvc repro may have run, and return all that the page shows.

        Raises:
            UserError: data/dedup is missing, or a list of overrides is malformed.
        """
        rows = manifest.read(self._data / "dedup")
        chosen = overrides.read(self._data)
        with self._lock:
            self._rows = {row.id: row for row in rows}
            self._cache.clear()
        pictures = [
            {
                "id": row.id,
                "group": row.reason or "kept",
                "source": row.source,
                "time_s": row.time_s,
                "score": describe_score(row, self._rows, self._params),
                "duplicate_of": row.duplicate_of,
            }
            for row in rows
        ]
        return {"groups": list_groups(rows), "pictures": pictures, "overrides": chosen, "pending": count_pending(rows, chosen)}

    def has(self, name: str) -> bool:
        """Return whether there is a picture with this id."""
        return name in self._rows

    def override(self, names: Sequence[str], override: Override | None) -> dict[str, Any]:
        """Set or (None) remove the override of pictures, given by id; return all `overrides` by id, and how many are `pending`.

        Raises:
            UserError: a list of overrides is malformed.
        """
        with self._lock:
            chosen = overrides.write(self._data, names, override)
            return {"overrides": chosen, "pending": count_pending(list(self._rows.values()), chosen)}

    def pending(self) -> int:
        """Count the pictures whose override dedup has not applied yet."""
        return count_pending(list(self._rows.values()), overrides.read(self._data))

    def picture(self, name: str, size: str) -> bytes:
        """Return a picture, given by id, as a JPEG file of a size named in `SIZES_PX`.

        Raises:
            KeyError: there is no such picture or size.
            UserError: its file is missing or damaged.
        """
        key = (name, size)
        with self._lock:
            row = self._rows[name]
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        with self._decoders:
            jpeg = images.jpeg(arrays.shrink(images.read(manifest.file_of(row)), SIZES_PX[size]))
        with self._lock:
            self._cache[key] = jpeg
            while sum(map(len, self._cache.values())) > MAX_CACHE_BYTES:
                self._cache.popitem(last=False)
        return jpeg
