"""Writes docs/params.md from the typed sections and the committed values: `python -m pipeline.params.document`."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.params import schema
from pipeline.params.schema import Params

FILE = Path("docs/params.md")
INTRODUCTION = """\
# Parameters

Every key of `params.yaml`, the value it is committed with, the values it accepts, and what it does. Made from the typed
sections in `pipeline/params/` by `make docs-params`; edit those, not this page.
"""


def document(committed: Params) -> str:
    """Compose the page (Markdown): a table of the keys at the top level, then one for each section."""
    whole = Params.model_json_schema()
    values = committed.model_dump()
    top = {key: field for key, field in whole["properties"].items() if "$ref" not in field}
    blocks = [INTRODUCTION, "## Sources and top-level keys\n", *_table(top, values, whole["$defs"])]
    for key, field in whole["properties"].items():
        if "$ref" in field:
            section = _resolve(field, whole["$defs"])
            blocks += [f"\n## `{key}`\n", f"{section['description']}\n"]
            blocks += _table(section["properties"], values[key], whole["$defs"])
    return "\n".join(blocks) + "\n"


def _table(fields: Mapping[str, Any], values: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[str]:
    yield "| Key | Committed | Accepts | Meaning |\n|---|---|---|---|"
    yield from _rows(fields, values, definitions, "")


def _rows(fields: Mapping[str, Any], values: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key, field in fields.items():
        if "$ref" in field:
            section = _resolve(field, definitions)
            yield f"| `{prefix}{key}` | | section | {section['description']} |"
            yield from _rows(section["properties"], values[key], definitions, f"{prefix}{key}.")
        else:
            yield f"| `{prefix}{key}` | `{json.dumps(values[key])}` | {accepted(field)} | {field['description']} |"


def accepted(field: Mapping[str, Any]) -> str:
    """Describe the values that a field's JSON schema accepts, e.g. `int, 1 or more` or `number above 0, or null`."""
    if "anyOf" in field:
        return ", or ".join(accepted(option) for option in field["anyOf"])
    if "const" in field or "enum" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    kind = field["type"]
    if kind == "array":
        return f"list of: {accepted(field['items'])}"
    if kind == "object":
        return "map of names to text"
    words = {"integer": "int", "string": "text", "boolean": "`true`, `false`"}.get(kind, kind)
    bounds = [
        text.format(field[name])
        for name, text in {
            "exclusiveMinimum": "above {}",
            "minimum": "{} or more",
            "exclusiveMaximum": "below {}",
            "maximum": "at most {}",
            "multipleOf": "a multiple of {}",
        }.items()
        if name in field and not (name == "exclusiveMaximum" and field[name] == 2**32)
    ]
    return ", ".join([words, *bounds])


def _resolve(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> Any:
    return definitions[field["$ref"].rpartition("/")[2]]


if __name__ == "__main__":
    FILE.write_text(document(schema.load()), "utf-8")
