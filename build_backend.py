"""The build backend: setuptools, for installing this folder in place (`pip install -e .`) and for nothing else.

Genga works in its folder: DVC's stages, params.yaml, recipes/ and data/ lie there. A wheel would lack them, and would put
packages named `models` and `pipeline` beside those of whoever installs it.
"""

from setuptools.build_meta import build_editable, get_requires_for_build_editable, prepare_metadata_for_build_editable

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "prepare_metadata_for_build_editable",
]


def build_wheel(*arguments: object, **options: object) -> str:
    """Refuse to build."""
    raise SystemExit("Genga is not built as a package: clone it, and in its folder run make setup (or pip install -e .)")


build_sdist = build_wheel
