"""What the model card says, and what it needs to say it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.inference.model_card import USAGE, Difference, TrainingFacts, model_card, training_facts
from pipeline.inference.onnx_stylizer import OnnxStylizer
from pipeline.media import arrays, images
from tests.conftest import scene
from tests.support.exported import small_onnx


def test_facts_come_from_report_and_evaluation(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"card\.md is missing: run dvc repro"):
        training_facts(tmp_path, ["sample"])
    for name, text in [
        ("report/card.md", "# Data card: x\n\n182 crops.\n\n**Rights.**"),
        ("evaluate/metrics.json", '{"score": 0.5}'),
    ]:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    facts = training_facts(tmp_path, ["sample", "other"])
    assert facts == TrainingFacts("Genga: sample, other", "sample, other", "182 crops.", {"score": 0.5})


def test_the_card_has_front_matter_rights_metrics_and_training_data() -> None:
    facts = TrainingFacts("Genga: sample", "sample", "182 crops.", {"score": 0.5, "photos": 12.0, "unknown": 1.0})
    card = model_card(facts, {"generator": "tiny", "licence": "Ask first."}, {}, {}, ["samples/1.jpg"], 0, "4f2a")
    assert card.startswith("---\nlicense: other\n") and "# Genga: sample" in card
    assert "Rights" in card and "Ask first." in card and "](samples/1.jpg)" in card
    assert "| score | 0.500 | harmonic mean" in card and "unknown" not in card and "On 12 validation crops" in card
    assert "SHA-256 `4f2a`" in card and "It learned from: sample." in card
    assert "Film: sample. 182 crops." in card and "- generator: tiny" in card
    assert "were not measured" in card and "## Recipe" not in card


def test_differences_are_shown_for_each_file() -> None:
    differences = {
        "generator.onnx": Difference(None, 0.0, 0),
        "generator-half.onnx": Difference(81.26, 0.015, 2),
        "generator-int8.onnx": None,
    }
    sizes = {"generator.safetensors": 4_000_000, **dict.fromkeys(differences, 2_000_000)}
    metadata = {"recipe": '{"loss": {"style_weight": 2}}'}
    lines = model_card(TrainingFacts("x"), metadata, sizes, differences, [], 12, "").splitlines()
    rows = {line.split("`")[1]: line.rstrip(" |").split("|")[4:] for line in lines if line.startswith("| `")}
    assert [cell.strip() for cell in rows["generator.safetensors"]] == ["as trained"]
    assert [cell.strip() for cell in rows["generator.onnx"]] == ["same", "0.00", "0"]
    assert [cell.strip() for cell in rows["generator-half.onnx"]] == ["81.3 dB", "0.01", "2"]
    assert rows["generator-int8.onnx"] == []
    assert '    "style_weight": 2' in lines and any("on 12 pictures" in line for line in lines)


def test_the_lines_for_onnxruntime_draw_at_the_working_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(small_onnx()[1], "generator.onnx")
    images.write(Path("photo.jpg"), scene(0, 900, 600))
    code = next(block for block in re.findall(r"```python\n(.*?)```", USAGE, flags=re.DOTALL) if "onnxruntime" in block)
    exec(code, {})
    drawing = OnnxStylizer(Path("generator.onnx"), "cpu")(arrays.resize(images.read(Path("photo.jpg")), 300, 200))
    result = images.read(Path("redrawn.png"))
    assert result.shape == (600, 900, 3) and np.abs(arrays.resize(result, 300, 200).astype(int) - drawing).mean() < 2
