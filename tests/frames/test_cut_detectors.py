"""PySceneDetect's detectors, and the faster score that replaces original."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from scenedetect.common import FrameTimecode, Timecode
from scenedetect.detectors import AdaptiveDetector, ContentDetector

from pipeline.frames.cut_detectors import DetectorName, make_detector
from pipeline.frames.shot_detection import detect_shots
from pipeline.media import video
from tests.conftest import no_loss, scene


@pytest.mark.parametrize(("name", "threshold"), [("adaptive", None), ("content", None), ("histogram", 0.05), ("hash", None)])
def test_every_detector_finds_the_hard_cuts(name: DetectorName, threshold: float | None, film: Path) -> None:
    found = list(detect_shots(video.frames(film, no_loss), make_detector(name, threshold, 0.2)))
    assert [round(shot.start_s, 2) for shot in found] == [0, 2, 4, 6, 8]
    assert [shot.frame_count for shot in found] == [24] * 5
    assert found[-1].end_s == pytest.approx(10, abs=0.01)


@pytest.mark.parametrize(("name", "reference"), [("adaptive", AdaptiveDetector), ("content", ContentDetector)])
def test_the_fast_frame_score_equals_pyscenedetects(name: DetectorName, reference: Any) -> None:
    """Fails if PySceneDetect renames or no longer calls the private method that cut_detectors replaces."""
    assert callable(getattr(ContentDetector, "_calculate_frame_score", None)), (
        "this PySceneDetect has no ContentDetector._calculate_frame_score: change pipeline/frames/cut_detectors.py"
    )
    fast, original = make_detector(name, None, 0.2), reference(min_scene_len=0.2)
    score = Mock(side_effect=fast._calculate_frame_score)
    fast._calculate_frame_score = score
    for index in range(12):
        timecode = FrameTimecode(Timecode(index, Fraction(1, 12)), Fraction(12))
        picture = scene(index // 4, 160, 90, shift=index)
        for detector in (fast, original):
            detector.process_frame(timecode, picture)
        assert score.call_count == index + 1, "this PySceneDetect scores frames by another method"
        # Python 3.12 rounds sums otherwise than 3.11, by the last bit.
        assert fast._frame_score == pytest.approx(original._frame_score, rel=1e-12)
        assert (fast._frame_score > 0) == (index > 0)
