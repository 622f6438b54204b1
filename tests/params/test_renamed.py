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
    (r"^  enough_crops:", "  enough_squares:"),
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
    return re.sub(r"^  target: recolored\b", "  target: flattened", text, flags=re.MULTILINE)


def load(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def message_of(tree: Any) -> str:
    with pytest.raises(UserError) as caught:
        schema.check(tree, "params.yaml")
    return str(caught.value)


def test_every_former_name_is_reported_with_its_new_one() -> None:
    lines = message_of(load(former())).splitlines()
    assert lines[0] == f"params.yaml: {len(renamed.KEYS) + 1} errors" and len(lines) == 2 + len(renamed.KEYS)
    for old, new in renamed.KEYS.items():
        assert f"  {old}: renamed to {new}" in lines
    assert "  loss.target: flattened is recolored today" in lines


def test_the_new_names_are_those_of_the_schema_and_give_the_same_values() -> None:
    tree, messages = renamed.update_names(load(former()))
    assert tree == load(TEXT) and len(messages) == len(renamed.KEYS) + 1
    for key in (*renamed.KEYS.values(), *renamed.VALUES):
        section: Any = load(TEXT)
        for part in key.split("."):
            section = section[part]
    assert renamed.update_names(load(TEXT)) == (load(TEXT), [])


def test_what_is_gone_is_reported_with_the_reason() -> None:
    tree = load(TEXT)
    tree["pseudo_targets"] = {"filter": "auto", "strength": 0.01}
    tree["model"] |= {"generator_diffusion_steps": "auto", "generator": "genga-s-plain"}
    assert message_of(tree).splitlines()[1:] == [
        "  model.generator: genga-s-plain is genga-s today",
        f"  model.generator_diffusion_steps: {renamed.REMOVED['pseudo_targets']}",
        f"  pseudo_targets: {renamed.REMOVED['pseudo_targets']}",
    ]


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
    with pytest.raises(UserError, match=r"params\.yaml: \d+ errors"):
        recipes.use("sample", ROOT / "recipes", params)
    assert params.read_text() == former()
