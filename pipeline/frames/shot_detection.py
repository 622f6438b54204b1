"""From a stream of frames to shots, each with its best frames, in one pass and in memory that does not grow with the film.

PySceneDetect's detectors find the hard cuts; black, in and out, bounds a shot too. Which frames of a shot are best is decided
while it runs: the shot is divided into slots of time, each holding its best frame so far; when there are too many, neighbours
merge. Frames in a fade, a dissolve or a flash are recognised by their neighbours on both sides, so a frame is judged some
frames late.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scenedetect.common import FrameTimecode, Timecode
from scenedetect.detector import FlashFilter, SceneDetector
from scenedetect.detectors import AdaptiveDetector, ContentDetector, HashDetector, HistogramDetector

from pipeline.media import arrays
from pipeline.media.frame import Frame

DetectorName = Literal["adaptive", "content", "histogram", "hash"]

_SHARPNESS_WIDTH = 480
_DETECT_WIDTH = 240  # PySceneDetect's own downscale lands near; larger is slower and finds no more. Half of 480 is cheap
_TINY = (48, 27)
_REACH_S = 0.4  # neighbours this far before and after a frame tell whether it is a mixture of them
_MAX_REACH = 24  # frames, whatever the rate: those ahead are held in memory
_MIN_SLOTS = 12
_TICK = Fraction(1, 1_000_000)

# A frame is a mixture when its neighbours differ by this much (mean luma levels), it lies between them, and what a blend of
# the two does not explain is at most this share of their difference. Motion is not explained by blending.
_MIX_DIFFERENCE = 10.0
_MIX_RESIDUE = 0.3
_MIX_INSIDE = 0.08
# A fade that the detectors of hard cuts do not see still passes through black, which is then a shot of its own. Brightest
# spot of the tiny luma: black at or under the first, no longer black from the second (so that a slow fade does not flutter).
_BLACK_ENTER, _BLACK_LEAVE = 12.0, 20.0
# A flash: far from both neighbours, which are alike.
_FLASH_DIFFERENCE = 30.0


@dataclass(frozen=True)
class Look:
    """A frame and what was measured on it."""

    frame: Frame
    sharpness: float  # variance of the Laplacian of luma at 480 px width
    motion: float  # mean difference from the frame before, luma levels at 48x27
    mixed: bool  # in a fade, a dissolve or a flash, or damaged

    @property
    def score(self) -> float:
        """Sharp and still is good; a mixture is taken only where there is nothing else."""
        return self.sharpness / (1 + self.motion) * (1e-6 if self.mixed else 1)


@dataclass
class Shot:
    """What lies between two cuts. `looks` are its candidates, at most about two dozen, in order of time."""

    index: int
    start_s: float
    end_s: float
    frame_count: int = 0
    looks: list[Look] = field(default_factory=list)
    _slot_s: float = 0.0
    _slack_s: float = 0.0

    def add(self, look: Look, frame_s: float) -> None:
        """Let a frame compete for its slot of time."""
        self._slot_s = self._slot_s or frame_s
        self._slack_s = frame_s / 4  # containers round times
        self.frame_count += 1
        self.end_s = look.frame.time_s + frame_s
        if self.looks and self._slot(self.looks[-1]) == self._slot(look):
            self.looks[-1] = max(self.looks[-1], look, key=lambda one: one.score)
        else:
            self.looks.append(look)
        if len(self.looks) > 2 * _MIN_SLOTS:
            self._slot_s *= 2
            groups = itertools.groupby(self.looks, self._slot)
            self.looks = [max(group, key=lambda one: one.score) for _, group in groups]

    def _slot(self, look: Look) -> int:
        return int((look.frame.time_s - self.start_s + self._slack_s) / self._slot_s)

    def best(self, count: int, min_gap_s: float, margin_s: float) -> list[Look]:
        """The best frames, apart from each other and from the cuts, in order of time; at least one.

        The margin shrinks to a quarter of a short shot, and mixtures (fades, dissolves, flashes) are taken only where the shot
        is nothing else.
        """
        margin_s = min(margin_s, (self.end_s - self.start_s) / 4)
        first_s, last_s = self.start_s + margin_s, self.end_s - margin_s
        gap_s = max(min_gap_s, (last_s - first_s) / (2 * count))
        inside = [look for look in self.looks if first_s <= look.frame.time_s <= last_s] or self.looks
        clean = [look for look in inside if not look.mixed] or [max(inside, key=lambda look: look.score)]
        chosen: list[Look] = []
        for look in sorted(clean, key=lambda one: (-one.score, one.frame.time_s)):
            if len(chosen) < count and all(abs(look.frame.time_s - other.frame.time_s) >= gap_s for other in chosen):
                chosen.append(look)
        return sorted(chosen, key=lambda look: look.frame.time_s)


def detector(name: DetectorName, threshold: float | None, min_shot_s: float) -> SceneDetector:
    """PySceneDetect's detector of that name; threshold None is its default."""
    common = {"min_scene_len": float(min_shot_s)}
    value = {} if threshold is None else {"adaptive_threshold" if name == "adaptive" else "threshold": threshold}
    if name in ("histogram", "hash"):
        return (HistogramDetector if name == "histogram" else HashDetector)(**common, **value)
    cutter = (
        AdaptiveDetector(**common, **value)
        if name == "adaptive"
        else ContentDetector(**common, **value, filter_mode=FlashFilter.Mode.SUPPRESS)
    )
    cutter._calculate_frame_score = _content_score()
    return cutter


def _content_score() -> Callable[[FrameTimecode, NDArray[np.uint8]], float]:
    """How ContentDetector measures a frame against the one before, its sums taken by OpenCV: the same numbers."""
    before: list[NDArray[Any]] = []

    def score(_: FrameTimecode, picture: NDArray[np.uint8]) -> float:
        planes = [np.asarray(plane) for plane in cv2.split(cv2.cvtColor(picture, cv2.COLOR_BGR2HSV))]
        sums = [cv2.norm(one, other, cv2.NORM_L1) / one.size for one, other in zip(before, planes, strict=False)]
        before[:] = planes
        return sum(sums, 0.0) / 3

    return score


class _Measured(NamedTuple):
    frame: Frame
    tiny: NDArray[np.float32]
    sharpness: float
    motion: float


def find(frames: Iterable[Frame], cutter: SceneDetector) -> Iterator[Shot]:
    """Shots in order, each when it is over. Times alone count, so the rate of frames may vary."""
    ahead: deque[_Measured] = deque()  # measured, not yet judged
    behind: deque[tuple[float, NDArray[np.float32]]] = deque()  # judged: second, tiny luma
    cuts: set[int] = set()
    shot: Shot | None = None
    shots = itertools.count()
    black = False

    def judge(frame_s: float) -> Iterator[Shot]:
        nonlocal shot, black
        frame, tiny, sharpness, motion = ahead.popleft()
        later = next(
            (one.tiny for one in ahead if one.frame.time_s >= frame.time_s + _REACH_S), ahead[-1].tiny if ahead else tiny
        )
        behind.append((frame.time_s, tiny))
        while len(behind) > 1 and behind[1][0] <= frame.time_s - _REACH_S:
            behind.popleft()
        was_black, black = black, bool(tiny.max() < (_BLACK_LEAVE if black else _BLACK_ENTER))
        if shot is None or _tick(frame) in cuts or black != was_black:
            if shot is not None:
                shot.end_s = frame.time_s
                yield shot
            shot = Shot(next(shots), frame.time_s, frame.time_s)
        shot.add(Look(frame, sharpness, motion, frame.damaged or _mixed(behind[0][1], tiny, later)), frame_s)

    before: NDArray[np.float32] | None = None
    frame_s = 0.0
    for frame in frames:
        frame_s = frame_s or float(1 / frame.info.fps)
        small = frame.small_bgr(_DETECT_WIDTH)
        moment = FrameTimecode(Timecode(_tick(frame), _TICK), frame.info.fps)
        cuts.update(cut.pts for cut in cutter.process_frame(moment, small))
        tiny = cv2.resize(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), _TINY, interpolation=cv2.INTER_AREA).astype(np.float32)
        motion = 0.0 if before is None else float(cv2.norm(tiny, before, cv2.NORM_L1)) / tiny.size
        before = tiny
        ahead.append(_Measured(frame, tiny, arrays.sharpness(frame.luma(_SHARPNESS_WIDTH)), motion))
        # Detectors tell of a cut some frames late.
        known = len(ahead) > cutter.event_buffer_length + 1
        if known and (len(ahead) > _MAX_REACH or frame.time_s >= ahead[0].frame.time_s + _REACH_S):
            yield from judge(frame_s)
    while ahead:
        yield from judge(frame_s)
    if shot is not None:
        yield shot


def _tick(frame: Frame) -> int:
    return max(0, round(frame.time_s / _TICK))


def _mixed(earlier: NDArray[np.float32], now: NDArray[np.float32], later: NDArray[np.float32]) -> bool:
    """Whether a frame is a blend of its neighbours (fade, dissolve) or a flash between them. Luma, equal shapes."""
    between = cv2.norm(earlier, later, cv2.NORM_L1) / now.size
    if between < _MIX_DIFFERENCE:
        apart = (cv2.norm(one, now, cv2.NORM_L1) / now.size for one in (earlier, later))
        return all(difference > _FLASH_DIFFERENCE for difference in apart)
    span, step = (later - earlier).ravel(), (now - earlier).ravel()
    length = float(span @ span)
    share = float(step @ span) / length
    if not _MIX_INSIDE < share < 1 - _MIX_INSIDE:
        return False
    residue = float(np.linalg.norm(step - share * span))
    return residue < _MIX_RESIDUE * float(np.sqrt(length))
