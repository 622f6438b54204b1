"""Text from outside is safe to print."""

from __future__ import annotations

from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.text import is_unicode, printable, repro_command, safe_name, shorten_stem


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("第一話 - Émile.mp4", "第一話 - Émile.mp4"),
        ("\x1b]0;title\x07\x1b[2Ja\nb", "\\x1b]0;title\\x07\\x1b[2Ja\\nb"),
        (b"caf\xe9.jpg".decode(errors="surrogateescape"), "caf\\udce9.jpg"),
        ("a\u202egpj.exe", "a\\u202egpj.exe"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_long_text_keeps_both_ends() -> None:
    assert printable("a" * 5000 + "b" * 5000, 100) == "a" * 50 + "..." + "b" * 50


@given(st.text(st.characters()))
def test_every_text_can_be_printed(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable() and shown.encode("utf-8") is not None


@pytest.mark.parametrize("name", ["IMG_0001", "Émile (2) [a]", "第一話", "a" * 150])
def test_ordinary_names_stay(name: str) -> None:
    assert safe_name(name) == name


@given(st.text(st.characters()))
def test_safe_names_are_short_and_can_be_shown(name: str) -> None:
    safe = safe_name(name)
    assert safe.isprintable() and len(safe.encode()) <= 150


def test_long_names_are_cut_between_letters() -> None:
    assert safe_name("写" * 78) == "写" * 50


def test_bytes_that_are_no_text_are_seen() -> None:
    assert is_unicode(PurePath("第一話.mp4")) and not is_unicode(PurePath(b"caf\xe9.jpg".decode(errors="surrogateescape")))


def test_stems_are_shortened_to_different_ones() -> None:
    assert shorten_stem("a" * 220) == "a" * 220
    shortened = {shorten_stem("写" * 70 + f"{number:020d}") for number in range(50)}
    assert len(shortened) == 50 and max(len(stem.encode()) for stem in shortened) <= 220


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("data/split/manifest.jsonl", "dvc repro split"),
        ("/home/me/project/data/train/generator.safetensors", "dvc repro train"),
        ("data/keyframes/pictures/mine/a.png", "dvc repro dedup"),
        ("data/crop/about/photo/photos", "dvc repro split"),
        ("data/my_photographs/a.jpg", "dvc repro"),
        ("elsewhere/generator.safetensors", "dvc repro"),
    ],
)
def test_the_command_that_makes_a_file_again_names_its_stage(path: str, command: str) -> None:
    assert repro_command(PurePath(path)) == command
