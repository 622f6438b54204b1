"""The segments of a video that is being redrawn, kept on disk until all are there, so that a killed run goes on."""

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pipeline.core import files
from pipeline.core.errors import log
from pipeline.media.images import Picture

INDEX = "segments.jsonl"
PARTIAL = "partial.nut"


@dataclass(frozen=True)
class Segment:
    """A finished segment."""

    number: int
    pts: list[int]
    """Presentation times of its frames."""
    size_bytes: int
    last_frame: str
    """Digest of the source's last frame in it (see `frame_digest`)."""


class SegmentStore:
    """A folder of finished segments with an index: a line for the fingerprint, then a JSON line per segment."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        """Open the folder, or create it. The first segment that is incomplete and those after it are dropped.

        Args:
            fingerprint: of the source, model and options; a folder of another fingerprint is deleted and created anew.
        """
        self.folder = folder
        self.segments: list[Segment] = []
        self._index = folder / INDEX
        lines = self._index.read_text("utf-8").splitlines() if self._index.is_file() else []
        if not lines or lines[0] != fingerprint:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            lines = [fingerprint]
        for line in lines[1:]:
            try:
                segment = Segment(**json.loads(line))
                if self.path(segment).stat().st_size != segment.size_bytes:
                    break
            except (ValueError, TypeError, OSError):  # a line or file that was cut short
                break
            self.segments.append(segment)
        # Rewritten without what follows the last whole segment.
        files.replace_text(self._index, "".join(f"{line}\n" for line in lines[: 1 + len(self.segments)]))
        if self.segments:
            log.info("%s: resuming after %d frames", folder, self.frame_count)

    @property
    def frame_count(self) -> int:
        """Number of frames in all segments."""
        return sum(len(segment.pts) for segment in self.segments)

    @property
    def partial(self) -> Path:
        """Path of the file in which to encode the next segment, which `finish` renames."""
        return self.folder / PARTIAL

    def path(self, segment: Segment) -> Path:
        """Return the file of a segment."""
        return self.folder / f"{segment.number:06d}.nut"

    def last_pair(self) -> tuple[Picture, Picture] | None:
        """Return the source's last frame in the segments and its drawing (uint8 RGB HxWx3).

        None if there are no segments, if `finish` was given no drawing, or if a later segment was damaged.
        """
        if not self.segments or not (pair := self._pair_file(self.segments[-1].number)).exists():
            return None
        with np.load(pair) as arrays:
            return arrays["frame"], arrays["drawing"]

    def finish(self, number: int, pts: list[int], frame: Picture, drawing: Picture | None) -> None:
        """Add the segment that is encoded in `partial`.

        Args:
            number: its number, larger than those before.
            pts: presentation times of its frames.
            frame: the last source frame of the segment.
            drawing: its drawing, if the next segment needs it.
        """
        segment = Segment(number, pts, self.partial.stat().st_size, frame_digest(frame))
        if drawing is not None:
            np.savez(self._pair_file(number), frame=frame, drawing=drawing)
        os.replace(self.partial, self.path(segment))
        with self._index.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(segment)) + "\n")
        if drawing is not None and self.segments:  # only now: a run that is killed before goes on from the last segment
            self._pair_file(self.segments[-1].number).unlink(missing_ok=True)
        self.segments.append(segment)

    def _pair_file(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npz"


def frame_digest(frame: Picture) -> str:
    """Return a digest of a frame's pixels: 32 hexadecimal digits."""
    return files.digest(frame.tobytes())
