"""PySceneDetect's detectors of hard cuts, made faster. The only module that uses a private method of PySceneDetect."""

from collections.abc import Callable
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from scenedetect.common import FrameTimecode
from scenedetect.detector import FlashFilter, SceneDetector
from scenedetect.detectors import AdaptiveDetector, ContentDetector, HashDetector, HistogramDetector

DetectorName = Literal["adaptive", "content", "histogram", "hash"]


def make_detector(name: DetectorName, threshold: float | None, min_shot_s: float) -> SceneDetector:
    """Make a detector of hard cuts.

    Args:
        name: which of PySceneDetect's detectors.
        threshold: in that detector's own units; None for PySceneDetect's default.
        min_shot_s: seconds; a cut closer than this to the last one is ignored.
    """
    options: dict[str, Any] = {"min_scene_len": float(min_shot_s)}
    if threshold is not None:
        options["adaptive_threshold" if name == "adaptive" else "threshold"] = threshold
    if name == "histogram":
        return HistogramDetector(**options)
    if name == "hash":
        return HashDetector(**options)
    if name == "content":
        detector = ContentDetector(**options, filter_mode=FlashFilter.Mode.SUPPRESS)
    else:
        detector = AdaptiveDetector(**options)
    detector._calculate_frame_score = _fast_frame_score()
    return detector


def _fast_frame_score() -> Callable[[FrameTimecode, NDArray[np.uint8]], float]:
    """Make a faster ContentDetector score: mean HSV difference of a BGR frame from that of the previous call (first: 0)."""
    previous: list[NDArray[Any]] = []

    def score(_: FrameTimecode, frame_bgr: NDArray[np.uint8]) -> float:
        channels = [np.asarray(channel) for channel in cv2.split(cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2HSV))]
        differences = [cv2.norm(a, b, cv2.NORM_L1) / a.size for a, b in zip(previous, channels, strict=False)]
        previous[:] = channels
        return sum(differences, 0.0) / 3

    return score
