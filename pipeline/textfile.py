"""Text files of the user's that we edit: replaced whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path


def replace(path: Path, text: str) -> None:
    """Give a file a new text (UTF-8, line ends as they are); its permissions stay, and a link stays a link."""
    path = path.resolve()
    path.touch()
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", newline="\n", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        try:
            file.write(text)
            file.close()
            shutil.copymode(path, file.name)
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
