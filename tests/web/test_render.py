"""Rendering: templates escape values, files are complete, and scripts are valid."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib

import jinja2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipeline.web import render
from tests.conftest import ROOT

WEB = ROOT / "pipeline/web"
SCRIPTS = sorted(path.name for path in render.STATIC.glob("*.js"))


@pytest.mark.parametrize("name", ["review.html", "demo.html"])
def test_served_pages_link_the_stylesheet_and_load_nothing_from_elsewhere(name: str) -> None:
    page = render.render(name)
    assert page.startswith("<!DOCTYPE html>") and '<link rel="stylesheet" href="style.css">' in page
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", page) and "<style" not in page
    assert set(re.findall(r'src="([^"]+)"', page)) <= set(SCRIPTS)


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="columns"):
        render.render("column_definitions.html")


def test_values_are_escaped_in_pages_and_static_files_are_not() -> None:
    column = {"name": "<b>", "definition": "a & b"}
    assert "<dt>&lt;b&gt;</dt><dd>a &amp; b</dd>" in render.render("column_definitions.html", columns=[column])
    style = render._environment().from_string("{{ static('style.css') }}").render()
    assert style == (render.STATIC / "style.css").read_text("utf-8") and "</" not in style


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_can_be_inlined_and_are_valid_modules(name: str) -> None:
    script = (render.STATIC / name).read_text("utf-8")
    assert len(SCRIPTS) >= 6 and "</script" not in script and not re.search("https?://", script)
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node: apt-get install nodejs")
    done = subprocess.run([node, "--input-type=module", "--check"], input=script, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_package_contains_all_templates_and_static_files() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["pipeline"]
    packaged = {path for pattern in patterns for path in (ROOT / "pipeline").glob(pattern)}
    others = {path for path in (ROOT / "pipeline").rglob("*.*") if path.suffix != ".py" and "__pycache__" not in path.parts}
    assert packaged == others and len(packaged) >= 12


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.123456, "0.123"), (-1.5, "-1.5"), (99.94, "99.9"), (123456.7, "123,457")],  # noqa: RUF001
)
def test_numbers_have_three_digits(value: float | None, text: str) -> None:
    assert render.format_number(value) == text


def test_params_are_formatted_as_in_yaml() -> None:
    values = [0.00025, [1, "x"], None, True, 3, "hinge", {"a": 1}]
    assert [render.format_param(value) for value in values] == [
        "0.00025", '[1, "x"]', "null", "true", "3", "hinge", '{"a": 1}',
    ]  # fmt: skip


def test_pictures_become_data_uris() -> None:
    template = render._environment().from_string("{{ picture|embed }}")
    assert template.render(picture=np.zeros((8, 8, 3), np.uint8)).startswith("data:image/jpeg;base64,/9j/")
    assert render.data_uri(b"\0", "png") == "data:image/png;base64,AA=="


@settings(max_examples=100)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=30))
def test_escaped_markdown_is_shown_as_it_was(text: str) -> None:
    tokens = MarkdownIt("commonmark").enable("table").parseInline(f"x{render.escape_markdown(text)}x")[0].children or []
    assert {token.type for token in tokens} <= {"text", "text_special"}
    assert "".join(token.content for token in tokens) == f"x{' '.join(text.split())}x"


def test_every_class_in_the_stylesheet_is_used() -> None:
    style = (render.STATIC / "style.css").read_text("utf-8")
    files = [path for folder in ("templates", "static") for path in (WEB / folder).iterdir() if path.suffix in (".html", ".js")]
    text = " ".join(path.read_text("utf-8") for path in files)
    names = set(re.findall(r"[.#]([a-z][a-z-]+)(?=[^{}]*\{)", re.sub(r"/\*.*?\*/|\{[^{}]*\}", "{", style, flags=re.S)))
    assert len(names) > 60
    names -= {"bad", "caution", "good"}  # levels of advice, which templates insert
    unused = [name for name in names if not re.search(rf"(?<![\w-]){name}(?![\w-])", text)]
    assert not unused
