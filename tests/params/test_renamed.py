"""A params.yaml or recipe in former names is refused, and each name is given with the one of today."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.commands import recipes
from pipeline.core.errors import UserError
from pipeline.params import renamed, schema
from tests.conftest import ROOT

TEXT = (ROOT / "params.yaml").read_text("utf-8")
# The committed file in the names of the first version, as pattern -> replacement, in the order of renamed.KEYS and VALUES.
TO_FORMER = [
    (r"^dataset:", "squares:"),
    (r"^edge_smooth:", "smooth:"),
    (r"^pseudo_targets:", "flatten:"),
    (r"^  color_transform:", "  palette:"),
    (r"^  line_strength:", "  ink:"),
    (r"^  enough_crops:", "  enough_squares:"),
    (r"^  generator_diffusion_steps:", "  generator_fills:"),
    (r"^  diagnostics:", "  guards:"),
    (r"^    one_color_levels:", "    one_colour_levels:"),
    (r"^    discriminator_accuracy:", "    discriminator_right:"),
    (r"^  probe_photos:", "  trial_photos:"),
    (r"^  style_layer_weights:", "  style_shares:"),
    (r"^  style_grayscale:", "  style_grey:"),
    (r"^  style_images:", "  style_from:"),
    (r"^  superpixel_weight:", "  region_weight:"),
    (r"^  superpixel_px:", "  region_px:"),
    (r"^  adversarial_grayscale:", "  adversarial_grey:"),
    (r"^  textured_only:", "  adversarial_textured_only:"),
    (r"^  edge_grayscale:", "  edge_grey:"),
    (r"^  grayscale_weight:", "  grey_weight:"),
]


def former() -> str:
    """The committed params.yaml with every key and value under its former name."""
    text = TEXT
    for pattern, replacement in TO_FORMER:
        text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
        assert count == 1, pattern
    text = re.sub(r"^(  (?!working_px)\w+): auto\b", r"\1: film", text, flags=re.MULTILINE)
    return re.sub(r"^  target: pseudo_target\b", "  target: flattened", text, flags=re.MULTILINE)


def load(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def message_of(tree: Any) -> str:
    with pytest.raises(UserError) as caught:
        schema.check(tree, "params.yaml")
    return str(caught.value)


def test_every_former_name_is_reported_with_its_new_one() -> None:
    lines = message_of(load(former())).splitlines()
    assert lines[0] == "params.yaml: 25 errors" and len(lines) == 1 + len(renamed.KEYS) + 5
    for old, new in renamed.KEYS.items():
        assert f"  {old}: renamed to {new}" in lines
    assert "  flatten.filter: film is now called auto" in lines
    assert "  pretrain.target: flattened is now called pseudo_target" in lines


def test_the_new_names_are_those_of_the_schema_and_give_the_same_values() -> None:
    tree, messages = renamed.update_names(load(former()))
    assert tree == load(TEXT) and len(messages) == 25
    for key in (*renamed.KEYS.values(), *renamed.VALUES):
        section: Any = load(TEXT)
        for part in key.split("."):
            section = section[part]
    assert renamed.update_names(load(TEXT)) == (load(TEXT), [])


@pytest.mark.parametrize(("old", "new"), [("film", "auto"), ("cel", "abstraction"), ("brush", "kuwahara")])
def test_former_names_of_filters_are_reported(old: str, new: str) -> None:
    tree = load(TEXT)
    tree["pseudo_targets"]["filter"] = old
    assert message_of(tree).endswith(f"\n  pseudo_targets.filter: {old} is now called {new}")
    tree["pseudo_targets"]["filter"] = new
    assert schema.check(tree).pseudo_targets.filter == new


def test_other_errors_are_reported_with_them() -> None:
    tree = load(TEXT)
    tree["loss"]["style_grey"] = tree["loss"].pop("style_grayscale")
    tree["crop"]["size_px"] = -1
    lines = message_of(tree).splitlines()
    assert lines[0] == "params.yaml: 2 errors"
    assert lines[1] == "  loss.style_grey: renamed to loss.style_grayscale" and "crop.size_px" in lines[2]


def test_a_key_under_both_names_is_still_refused() -> None:
    tree = load(TEXT)
    tree["smooth"] = {"dilate_px": 4}
    assert message_of(tree).splitlines()[1:] == ["  smooth: renamed to edge_smooth"]


def test_names_of_films_are_never_taken_for_keys() -> None:
    tree = load(TEXT)
    tree["films"] = {"smooth": "a.mkv", "squares": "b.mkv"}
    assert list(schema.check(tree).films) == ["smooth", "squares"]


def test_recipes_and_the_file_they_are_written_to_are_refused_in_former_names(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    (tmp_path / "mine.yaml").write_text("# Mine.\nloss: {style_shares: [1.0, 1.0, 1.0]}\ntrain: {trial_photos: 0}\n")
    params.write_text(TEXT)
    with pytest.raises(UserError) as caught:
        recipes.use("mine", tmp_path, params)
    assert "mine.yaml: 2 errors" in str(caught.value)
    assert "loss.style_shares: renamed to loss.style_layer_weights" in str(caught.value)
    assert "train.trial_photos: renamed to train.probe_photos" in str(caught.value)
    params.write_text(former())
    with pytest.raises(UserError, match=r"params\.yaml: 25 errors"):
        recipes.use("sample", ROOT / "recipes", params)
    assert params.read_text() == former()
