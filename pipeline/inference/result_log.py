"""Record of what made each result in a folder, so that a run that was stopped does only what is missing."""

import json
import threading
from pathlib import Path

from pipeline.core import files

FILE = "results.jsonl"
HIDDEN_FILE = ".genga-results.jsonl"
"""Name in folders that are not for results alone."""


class ResultLog:
    """The results of a folder with digests of the result, its source, and the model and options that made it.

    Files are compared by content: a source that was touched or moved counts as the same, one that was edited does not, and
    neither does a result that somebody has changed. `results.jsonl` has a JSON line per result; the last line of a result
    counts. A result is to be recorded before it appears under its name: a run that is killed in between leaves a record of a
    file that is not there, which does no harm, instead of a file that nothing is known about. Threads may share a log.
    """

    def __init__(self, folder: Path, name: str = FILE) -> None:
        """Read the log of a folder, if it has one; lines that cannot be read are skipped."""
        self._folder, self._file = folder, folder / name
        self._lock = threading.Lock()
        self._entries: dict[str, dict[str, str]] = {}
        if not self._file.is_file():
            return
        text = self._file.read_text("utf-8", errors="replace")
        if text and not text.endswith("\n"):  # a write was cut short: end its line, so that the next is whole
            with self._file.open("a") as file:
                file.write("\n")
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                self._entries[entry["result"]] = entry
            except (ValueError, KeyError, TypeError, RecursionError):
                continue

    def contains(self, source: Path, target: Path, made_by: str) -> bool:
        """Whether `target`, as it is now, was made from this source by this model with these options (`made_by`)."""
        entry = self._entries.get(self._name(target))
        return (
            entry is not None
            and target.is_file()
            and entry.get("made_by") == files.digest(made_by.encode())
            and entry.get("digest") == files.digest(target)
            and entry.get("source") == files.digest(source)
        )

    def add(self, source: Path, target: Path, digest: str, made_by: str) -> None:
        """Record a result; called before it appears as `target`.

        Args:
            target: a path under the log's folder.
            digest: of the result's file.
            made_by: text that identifies the model and the options.
        """
        entry = {
            "result": self._name(target),
            "digest": digest,
            "source": files.digest(source),
            "made_by": files.digest(made_by.encode()),
        }
        with self._lock, self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")  # in ASCII, as names need not be UTF-8

    def _name(self, target: Path) -> str:
        return target.relative_to(self._folder).as_posix()
