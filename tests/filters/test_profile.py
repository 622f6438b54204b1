"""The style profile's file is read back as written, and a damaged one is reported with a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.filters import profile
from pipeline.filters.color_transfer import ColorTransform
from pipeline.filters.profile import StyleProfile, read_profile


def test_a_profile_is_read_as_written_and_refused_when_damaged(tmp_path: Path) -> None:
    written = StyleProfile(filter="abstraction", line_strength=0.25, color_transform=ColorTransform(gamma=0.8, tint=(1, -2)))
    file = tmp_path / "style_profile" / profile.FILE
    file.parent.mkdir()
    file.write_text(written.model_dump_json())
    assert read_profile(tmp_path) == written
    for content in ("", "{}", written.model_dump_json().replace("0.25", "1.25"), None):
        file.unlink() if content is None else file.write_text(content)
        with pytest.raises(
            UserError, match=r"style_profile\.json is missing or damaged: delete .*style_profile and run dvc repro"
        ):
            read_profile(tmp_path)
