"""The format that a result shares with its source."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.film.video_format import probe_format
from tests.support.clips import REGULAR_TIMES, Clip


def test_size_aspect_ratio_rate_and_times(tmp_path: Path) -> None:
    format = probe_format(Clip(aspect=Fraction(16, 11)).write(tmp_path / "a.mp4"))
    assert (format.width, format.height, format.sample_aspect_ratio) == (64, 48, Fraction(16, 11))
    assert float(format.frame_rate) == pytest.approx(25, rel=0.05)
    assert format.frame_count == len(REGULAR_TIMES)
    assert format.start_pts == 0
    assert format.quarter_turns == 0 and format.display_matrix is None


def test_rotation(tmp_path: Path) -> None:
    format = probe_format(Clip(rotation=90, times=REGULAR_TIMES[:3]).write(tmp_path / "a.mp4"))
    assert (format.width, format.height, format.quarter_turns) == (64, 48, 1)
    assert format.display_matrix is not None and len(format.display_matrix) == 9


@pytest.mark.parametrize(
    ("tags", "matrix", "full"), [((1, 1, 1, 2), 1, True), ((2, 2, 2, 0), 6, False), ((5, 6, 5, 1), 5, False)]
)
def test_color_tags_and_the_matrix_behind_unspecified_ones(
    tags: tuple[int, int, int, int], matrix: int, full: bool, tmp_path: Path
) -> None:
    format = probe_format(Clip(tags=tags, times=REGULAR_TIMES[:3]).write(tmp_path / "a.mkv"))
    assert format.tags[:3] == tags[:3]
    assert format.full_range == full
    assert {format.matrix, matrix} <= {5, 6} or format.matrix == matrix  # BT.470BG and SMPTE 170M are the same numbers


def test_a_file_without_frames_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(UserError, match=r"a\.mp4"):
        probe_format(tmp_path / "a.mp4")
