"""The import closure: complete, whatever the form of an import, and nothing more."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.core import source_code
from tests.conftest import ROOT


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small project: a imports b, c and d, and nothing else."""
    for name, text in {
        "pipeline/__init__.py": "",
        "pipeline/a.py": "import os\nimport pipeline.b\nif TYPE_CHECKING:\n    import pipeline.e\n",
        "pipeline/b.py": "def work():\n    from pipeline.deep import c\n",
        "pipeline/deep/__init__.py": "",
        "pipeline/deep/c.py": "from models.d import thing\nfrom pipeline.params import schema\n",
        "pipeline/params/__init__.py": "",
        "pipeline/params/schema.py": "import pipeline.e\n",
        "pipeline/e.py": "",
        "models/d.py": "import pipeline.b  # a circle\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(source_code, "ROOT", tmp_path)
    source_code.imports.cache_clear()
    yield tmp_path
    source_code.imports.cache_clear()


def test_the_closure_follows_imports_of_all_forms(project: Path) -> None:
    found = [path.relative_to(project).as_posix() for path in source_code.closure("pipeline.a")]
    assert found == ["models/d.py", "pipeline/a.py", "pipeline/b.py", "pipeline/deep/c.py"]
    assert source_code.imports("pipeline.deep.c") == {"models.d", "pipeline.params", "pipeline.params.schema"}


def test_the_digest_changes_with_a_name_or_a_byte(project: Path) -> None:
    def digest() -> str:
        return source_code.digest((project / "pipeline").rglob("*.py"))

    first = digest()
    assert len(first) == 16 and digest() == first
    (project / "pipeline/e.py").write_text("x")
    second = digest()
    (project / "pipeline/e.py").rename(project / "pipeline/f.py")
    assert len({first, second, digest()}) == 3


def test_a_module_that_does_not_exist_is_an_error(project: Path) -> None:
    assert source_code.file_of("pipeline.nothing") is None
    assert source_code.file_of("pipeline.deep") == project / "pipeline/deep/__init__.py"
    with pytest.raises(ValueError, match="has no module"):
        source_code.imports("pipeline.nothing")


def test_the_closure_of_a_stage_holds_every_module_that_python_loads_for_it() -> None:
    code = "import sys, pipeline.crop; print(*(name for name in sys.modules if name.split('.')[0] in ('pipeline', 'models')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {source_code.file_of(name) for name in done.stdout.split() if not name.startswith("pipeline.params")}
    loaded = {path for path in loaded if path is not None and path.name != "__init__.py"}
    assert len(loaded) > 8 and loaded <= set(source_code.closure("pipeline.crop"))
