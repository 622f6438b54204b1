"""docs/params.md describes every parameter, as the typed sections do."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from pipeline.params import document
from pipeline.params.schema import Params
from pipeline.params.section import Count, Fraction, Positive, Seed, SourceName
from tests.conftest import ROOT


def test_the_page_is_up_to_date(committed: Params) -> None:
    page = (ROOT / document.FILE).read_text("utf-8")
    assert page == document.document(committed), "run make docs-params"


def test_every_key_is_described_with_its_committed_value(committed: Params) -> None:
    lines = document.document(committed).splitlines()
    tree = committed.model_dump()
    keys = [key for key, value in tree.items() if not isinstance(value, dict) or key in ("films", "footage")]
    sections = [key for key in tree if key not in keys]
    assert len(sections) == 15 and all(f"## `{section}`" in lines for section in sections)
    keys += [key for section in sections for key in tree[section]] + [
        f"diagnostics.{key}" for key in tree["train"]["diagnostics"]
    ]
    assert len(keys) > 125
    assert sorted(line.split("`")[1] for line in lines if line.startswith("| `")) == sorted(keys)
    assert all(line.count("|") == 5 and not line.endswith("|  |") for line in lines if line.startswith("| `"))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Count, "int, 1 or more"),
        (Seed, "int, 0 or more"),
        (Fraction, "number, 0 or more, at most 1"),
        (Positive | None, "number, above 0, or null"),
        (bool, "`true`, `false`"),
        (list[SourceName], "list of: text"),
        (dict[str, str], "map of names to text"),
    ],
)
def test_accepted_values_are_put_in_words(kind: Any, expected: str) -> None:
    assert document.accepted(TypeAdapter(kind).json_schema()) == expected
