"""Rendering of pages from the Jinja2 templates, with the stylesheet, scripts and pictures embedded in the HTML."""

import base64
import json
import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.media import images

STATIC = Path(__file__).parent / "static"
_TEMPLATES = Path(__file__).parent / "templates"
_JPEG_QUALITY = 82


def render(template: str, **values: object) -> str:
    """Return a template of the folder templates as text, filled in.

    Args:
        template: file name; every value inserted into an .html template is escaped.
        values: variables of the template; one that is missing raises jinja2.UndefinedError.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=lambda name: name is not None and name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["static"] = lambda name: Markup((STATIC / name).read_text("utf-8"))
    environment.filters |= {
        "data_uri": data_uri,
        "embed": lambda picture: data_uri(images.jpeg(picture, _JPEG_QUALITY), "jpeg"),
        "markdown": escape_markdown,
        "number": format_number,
        "param": format_param,
        "thousands": lambda value: f"{value:,}",
    }
    return environment


def data_uri(content: bytes, image_type: str) -> str:
    """Return the bytes of an image file (`image_type`: jpeg or png) as a data: URI."""
    return f"data:image/{image_type};base64," + base64.b64encode(content).decode()


def format_number(value: float | None) -> str:
    """Format a number with three significant digits, from 100 on as a whole number (1,234); None becomes a dash."""
    return "–" if value is None else f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"  # noqa: RUF001


def format_param(value: object) -> str:
    """Format the value of a parameter as in params.yaml: texts unquoted, floats with six digits, all else as JSON."""
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def escape_markdown(text: object) -> str:
    """Escape a value for Markdown, so that it is shown as it is, on one line."""
    flat = " ".join(str(text).split()).replace("&", "&amp;")
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", flat)
