"""The files of an evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.evaluation import outputs
from pipeline.media import images


def test_tables_leave_cells_empty_and_the_scale_has_rows_with_a_style_score(tmp_path: Path) -> None:
    table = {"photo": {"style_score": 0.0, "ssim": 1.0}, "a,b": {"ssim": 0.123456789}}
    outputs.write_tables(tmp_path, table, {"x": {"lpips": 0.5}})
    assert (tmp_path / outputs.TABLE).read_text() == 'name,style_score,ssim\nphoto,0,1\n"a,b",,0.123457\n'
    assert (tmp_path / outputs.PHOTOS).read_text() == "id,lpips\nx,0.5\n"
    assert (tmp_path / outputs.SCALE).read_text() == "name,style_score\nphoto,0\n"
    outputs.write_tables(tmp_path, {"photo": {"ssim": 1.0}}, {})
    assert (tmp_path / outputs.SCALE).read_text() == "name,style_score\nphoto,0\n", "dvc plots needs a row"


def test_side_by_side_has_a_row_for_each_photo(tmp_path: Path) -> None:
    photos = {name: np.full((64, 64, 3), level, np.uint8) for name, level in (("a", 50), ("b", 200))}
    redrawn = {name: {"result": photo, "filter": photo} for name, photo in photos.items()}
    sheet = outputs.write_side_by_side(tmp_path, photos, redrawn)
    height, width = images.read(tmp_path / outputs.SIDE_BY_SIDE).shape[:2]
    assert (height, width) == sheet.shape[:2] and width == 3 * (64 + 4) + 4 and 2 * 64 < height < 2 * 96
    assert (sheet[20, 20::68] == 50).all() and (sheet[height // 2 + 20, 20::68] == 200).all()
