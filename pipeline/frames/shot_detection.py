"""Dividing a stream of frames into shots, each with its best frames, in one pass and in bounded memory.

PySceneDetect's detectors find the hard cuts. They are shown no repeated frames: drawings on twos or threes, or 60 frames a
second made from 24, would look like cuts to them. Fades to and from black end a shot too, and so does any way in which a film
comes to another place (dissolves, wipes, irises, a moving camera): a shot ends where it no longer resembles its beginning.

The best frames of a shot are chosen on the way: the shot is divided into slots of time, each of which keeps its best frame so
far; if there are too many, neighbors merge. Frames in a fade, a dissolve or a flash are recognized by comparison with earlier
and later ones, so a frame is scored with some delay.
"""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scenedetect.common import FrameTimecode, Timecode
from scenedetect.detector import SceneDetector

from pipeline.media import arrays
from pipeline.media.frame import Frame

_SHARPNESS_WIDTH = 480
_DETECT_WIDTH = 240  # near PySceneDetect's own downscaling; larger is slower and finds no more. Half of 480 is cheap
_TINY_SIZE = (48, 27)
_COMPARED_S = 0.4  # a frame is compared with those this long before and after it
_MAX_AHEAD = 24  # frames held in memory, at any frame rate
_MIN_SLOTS = 12
_TIME_BASE = Fraction(1, 1_000_000)

# A frame is a mixture if its neighbors differ by this much (mean luma), it lies between them, and what a blend of the two does
# not explain is at most this share of their difference. Blending does not explain motion.
_MIN_MIX_DIFFERENCE = 10.0
_MAX_MIX_RESIDUAL = 0.3
_MIN_MIX_SHARE = 0.08
# A fade that the detectors miss still passes through black, which becomes a shot of its own. By the brightest luma at 48x27:
# black below the first, no longer black from the second, so that a slow fade is not cut repeatedly.
_BLACK_BELOW, _NOT_BLACK_FROM = 12.0, 20.0
# A flash differs this much from both neighbors, which are alike.
_FLASH_DIFFERENCE = 30.0
# A frame that differs from the last one shown to the detector by at most this much (mean of 0-255) repeats it. Detectors are
# shown such a frame nevertheless when so many have passed, as they decide about a cut only some frames later.
_REPEAT_DIFFERENCE = 0.4
_MAX_REPEATS = 10
# Two frames show different places if fewer than this share of their tiles are alike: within this share of the contrast.
_MIN_ALIKE_TILES, _TILES = 0.5, (8, 9)
_MIN_UNCHANGED_TILES = 0.75  # of a picture that stood still for `_COMPARED_S`, else the next is another picture (slides)
_ALIKE_SHARE, _MIN_CONTRAST = 0.35, 8.0
_WINDOW = cv2.createHanningWindow(_TINY_SIZE, cv2.CV_32F)
_ODD_HEIGHT_BIAS = 0.5  # in what OpenCV finds, since the middle of 27 rows is none of its rows
_MIN_OVERLAP = 0.5  # of a side, of two frames of a moving camera that show the same place
_MIN_DRIFT_S, _MIN_SUDDEN_S = 0.8, 0.15  # a shot's least length before it may end without a cut: slowly, or suddenly
_DRIFT_FRAME_S = 1.0  # shots that no cut began have one key frame in so many seconds at most


@dataclass(frozen=True)
class FrameScore:
    """A candidate for the key frames of a shot, and what was measured on it."""

    frame: Frame
    sharpness: float  # variance of the Laplacian of luma at 480 px width
    motion: float  # mean difference from the previous frame, in luma at 48x27
    transition: bool  # in a fade, a dissolve or a flash

    @property
    def score(self) -> float:
        """The higher the better: sharp and without motion; transitions are below all others."""
        return self.sharpness / (1 + self.motion) * (1e-6 if self.transition else 1)


@dataclass
class Shot:
    """The frames between two cuts, of which at most about two dozen are kept as candidates, in order of time."""

    index: int
    start_s: float
    end_s: float
    take: int = 0  # index of the shot with which the last cut began: that of another if this one began without a cut
    frame_count: int = 0
    candidates: list[FrameScore] = field(default_factory=list)
    _slot_s: float = 0.0
    _tolerance_s: float = 0.0

    def add(self, scored: FrameScore, frame_s: float) -> None:
        """Add the next frame, which lasts `frame_s`; the best of each slot of time remains a candidate, but no damaged one."""
        self._slot_s = self._slot_s or frame_s
        self._tolerance_s = frame_s / 4  # containers round times
        self.frame_count += 1
        self.end_s = scored.frame.time_s + frame_s
        if scored.frame.damaged:
            return
        if self.candidates and self._slot(self.candidates[-1]) == self._slot(scored):
            self.candidates[-1] = max(self.candidates[-1], scored, key=lambda one: one.score)
        else:
            self.candidates.append(scored)
        if len(self.candidates) > 2 * _MIN_SLOTS:
            self._slot_s *= 2
            slots = itertools.groupby(self.candidates, self._slot)
            self.candidates = [max(slot, key=lambda one: one.score) for _, slot in slots]

    def _slot(self, scored: FrameScore) -> int:
        return int((scored.frame.time_s - self.start_s + self._tolerance_s) / self._slot_s)

    def best(self, count: int, min_gap_s: float, margin_s: float) -> list[FrameScore]:
        """Choose up to `count` best frames, in order of time: at least one, unless all frames are damaged.

        They are `min_gap_s` or more apart and, if possible, `margin_s` (at most a quarter of the shot) from the cuts.
        Transitions are chosen only if there is nothing else. A shot that no cut began gives about one a second at most.
        """
        if not self.candidates:
            return []
        if self.take != self.index:
            count = min(count, max(1, round((self.end_s - self.start_s) / _DRIFT_FRAME_S)))
        margin_s = min(margin_s, (self.end_s - self.start_s) / 4)
        first_s, last_s = self.start_s + margin_s, self.end_s - margin_s
        gap_s = max(min_gap_s, (last_s - first_s) / (2 * count))
        inside = [one for one in self.candidates if first_s <= one.frame.time_s <= last_s] or self.candidates
        clean = [one for one in inside if not one.transition] or [max(inside, key=lambda one: one.score)]
        chosen: list[FrameScore] = []
        for one in sorted(clean, key=lambda one: (-one.score, one.frame.time_s)):
            if len(chosen) < count and all(abs(one.frame.time_s - other.frame.time_s) >= gap_s for other in chosen):
                chosen.append(one)
        return sorted(chosen, key=lambda one: one.frame.time_s)


class _Measured(NamedTuple):
    """A frame that waits to be compared with later ones."""

    frame: Frame
    tiny: NDArray[np.float32]  # luma at 48x27
    sharpness: float
    motion: float
    shown: bool  # to the detector
    new_picture: bool  # follows one that stood still


def detect_shots(frames: Iterable[Frame], detector: SceneDetector) -> Iterator[Shot]:
    """Divide frames in order of time into shots, and yield each shot when it is complete; no frames, no shots.

    Only times count, so the frame rate may vary. The detector has to be a new one, as it keeps what it has seen.
    """
    ahead: deque[_Measured] = deque()  # not yet scored
    behind: deque[tuple[float, NDArray[np.float32]]] = deque()  # time and tiny luma of the latest scored frames
    cuts: set[int] = set()
    shot: Shot | None = None
    beginning: NDArray[np.float32] | None = None  # the shot's first frame that is no transition
    numbers = itertools.count()
    black = False

    def score_next(frame_s: float) -> Iterator[Shot]:
        """Score the oldest unscored frame; yield the shot before it if a new one begins with it."""
        nonlocal shot, black, beginning
        frame, tiny, sharpness, motion, _, new_picture = ahead.popleft()
        farthest = ahead[-1].tiny if ahead else tiny
        later = next((one.tiny for one in ahead if one.frame.time_s >= frame.time_s + _COMPARED_S), farthest)
        before = behind[-1][1] if behind else tiny
        behind.append((frame.time_s, tiny))
        while len(behind) > 1 and behind[1][0] <= frame.time_s - _COMPARED_S:
            behind.popleft()
        was_black, black = black, bool(tiny.max() < (_NOT_BLACK_FROM if black else _BLACK_BELOW))
        cut = _timestamp(frame) in cuts or black != was_black or new_picture
        transition = frame.damaged or _is_transition(behind[0][1], tiny, later)
        drifted = (
            not transition
            and shot is not None
            and beginning is not None
            and frame.time_s - shot.start_s >= (_MIN_DRIFT_S if _alike(before, tiny) else _MIN_SUDDEN_S)
            and not any(_same_place(beginning, other) for other in (tiny, later))
        )
        if shot is None or cut or drifted:
            if shot is not None:
                shot.end_s = frame.time_s
                yield shot
            index = next(numbers)
            take = shot.take if shot is not None and not cut else index
            shot, beginning = Shot(index, frame.time_s, frame.time_s, take), None
        if beginning is None and not transition:
            beginning = tiny
        shot.add(FrameScore(frame, sharpness, motion, transition), frame_s)

    previous: NDArray[np.float32] | None = None
    shown: NDArray[np.uint8] | None = None  # the last frame shown to the detector
    changed_s, repeats = 0.0, 0
    frame_s = 0.0
    for frame in frames:
        frame_s = frame_s or float(1 / frame.info.fps)
        small = frame.small_bgr(_DETECT_WIDTH)
        gray = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)
        repeats += 1
        changed = shown is None or _difference(gray, shown) > _REPEAT_DIFFERENCE
        if changed or repeats >= _MAX_REPEATS:
            timecode = FrameTimecode(Timecode(_timestamp(frame), _TIME_BASE), frame.info.fps)
            cuts.update(cut.pts for cut in detector.process_frame(timecode, small))
            shown, repeats = gray, 0
        tiny = cv2.resize(gray, _TINY_SIZE, interpolation=cv2.INTER_AREA).astype(np.float32)
        motion, new_picture = 0.0, False
        if previous is not None:
            motion = _difference(tiny, previous)
            stood_still = changed and frame.time_s - changed_s >= _COMPARED_S
            new_picture = stood_still and not _alike(previous, tiny, _MIN_UNCHANGED_TILES)
        if changed:
            changed_s = frame.time_s
        previous = tiny
        sharpness = arrays.sharpness(frame.luma(_SHARPNESS_WIDTH))
        ahead.append(_Measured(frame, tiny, sharpness, motion, repeats == 0, new_picture))
        # Detectors report a cut some frames late.
        cuts_known = sum(one.shown for one in ahead) > detector.event_buffer_length + 1
        if cuts_known and (len(ahead) > _MAX_AHEAD or frame.time_s >= ahead[0].frame.time_s + _COMPARED_S):
            yield from score_next(frame_s)
    while ahead:
        yield from score_next(frame_s)
    if shot is not None:
        yield shot


def _timestamp(frame: Frame) -> int:
    return max(0, round(frame.time_s / _TIME_BASE))


def _difference(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Mean absolute difference of two arrays of one shape and type."""
    return float(cv2.norm(one, other, cv2.NORM_L1)) / one.size


def _is_transition(earlier: NDArray[np.float32], now: NDArray[np.float32], later: NDArray[np.float32]) -> bool:
    """Whether a frame is a blend of two others (fade, dissolve) or a flash between them, by luma of equal shapes."""
    if _difference(earlier, later) < _MIN_MIX_DIFFERENCE:
        return all(_difference(other, now) > _FLASH_DIFFERENCE for other in (earlier, later))
    whole, part = (later - earlier).ravel(), (now - earlier).ravel()
    squared = float(whole @ whole)
    share = float(part @ whole) / squared
    if not _MIN_MIX_SHARE < share < 1 - _MIN_MIX_SHARE:
        return False
    residual = float(np.linalg.norm(part - share * whole))
    return residual < _MAX_MIX_RESIDUAL * float(np.sqrt(squared))


def _same_place(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Whether two frames show the same place, whatever moves in it, perhaps from a camera that has moved; by tiny luma."""
    if _alike(one, other):
        return True
    # The window is applied here, as OpenCV 5 would apply it to the arrays it is given.
    (across, down), _ = cv2.phaseCorrelate(one * _WINDOW, other * _WINDOW)
    down -= _ODD_HEIGHT_BIAS
    x, y = round(across), round(down)
    height, width = one.shape
    if abs(x) > (1 - _MIN_OVERLAP) * width or abs(y) > (1 - _MIN_OVERLAP) * height or (x, y) == (0, 0):
        return False
    inside = one[max(0, -y) : height - max(0, y), max(0, -x) : width - max(0, x)]
    return _alike(inside, other[max(0, y) : height + min(0, y), max(0, x) : width + min(0, x)])


def _alike(one: NDArray[np.float32], other: NDArray[np.float32], share: float = _MIN_ALIKE_TILES) -> bool:
    """Whether at least `share` of the tiles of two luma pictures of one size differ little, relative to their contrast."""
    contrast = max(float(one.std()), float(other.std()), _MIN_CONTRAST)
    tiles = cv2.resize(cv2.absdiff(one, other), _TILES, interpolation=cv2.INTER_AREA)
    return bool((tiles <= _ALIKE_SHARE * contrast).mean() >= share)
