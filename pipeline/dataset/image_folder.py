"""Write crops as folders of pictures that Hugging Face `datasets` loads as "imagefolder", and that LoRA trainers take.

    FOLDER/anime/train/KEY.png, metadata.jsonl, paired/KEY.png    and FOLDER/anime/validation, FOLDER/photo/...

Each line of metadata.jsonl is a crop: `file_name`, its edge-smoothed copy (`edge_smooth_file_name`), its caption (`text`) if
captions are given, and where it is from. Captions also lie beside the pictures as KEY.txt, where trainers look that read no
metadata.
"""

import csv
import json
import string
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from pipeline.core.errors import UserError
from pipeline.core.manifest import Domain, Row, Split
from pipeline.dataset.crop_files import EDGE_SMOOTH
from pipeline.dataset.pack import Sample, key_of

METADATA = "metadata.jsonl"
PAIRED = "paired"
_SPLIT_NAMES = {"train": "train", "val": "validation"}
_FIELDS = ("id", "source", "shot", "time_s", "box", "parent")  # of a row, in the metadata
_TEMPLATE_FIELDS = ("source", "shot", "domain", "split", "time_s")

Caption = Callable[[Row], str]


@dataclass(frozen=True)
class ImageFolder:
    """The form "imagefolder": PNG pictures with metadata.jsonl and, unless `caption` is None, a caption for each crop."""

    caption: Caption | None
    marker = METADATA

    def folder(self, domain: Domain, split: Split) -> str:
        """Return a set's path relative to the output folder: DOMAIN/train or DOMAIN/validation, as `datasets` names it."""
        return f"{domain}/{_SPLIT_NAMES[split]}"

    def write(self, folder: Path, samples: Iterable[Sample], rows: Sequence[Row]) -> None:
        """Write pictures, captions and metadata of one set into a new `folder`; UserError if a crop has no caption."""
        (folder / PAIRED).mkdir(parents=True)
        with (folder / METADATA).open("w", encoding="utf-8", newline="\n") as lines:
            for sample in samples:
                line: dict[str, Any] = {"file_name": f"{sample.key}.png"}
                (folder / line["file_name"]).write_bytes(sample.picture)
                if sample.edge_smoothed is not None:
                    line[f"{EDGE_SMOOTH}_file_name"] = f"{PAIRED}/{sample.key}.png"
                    (folder / PAIRED / f"{sample.key}.png").write_bytes(sample.edge_smoothed)
                if self.caption is not None:
                    line["text"] = self.caption(sample.row)
                    (folder / f"{sample.key}.txt").write_text(line["text"] + "\n", "utf-8")
                line |= {name: getattr(sample.row, name) for name in _FIELDS}
                lines.write(json.dumps(line, ensure_ascii=False) + "\n")


def from_template(template: str) -> Caption:
    """Return a function that fills a template, such as `a scene of {source}`, from a crop's row.

    Raises:
        UserError: the template has other fields than source, shot, domain, split and time_s, or cannot be parsed; or (later)
            its formats do not fit a crop.
    """
    try:
        parts = list(string.Formatter().parse(template))
        formats = [part for *_, form, _ in parts for part in string.Formatter().parse(form or "")]
        fields = {name for _, name, _, _ in [*parts, *formats] if name is not None}
    except ValueError as error:
        raise UserError(f"--caption {template!r} is no template ({error}): write braces that are meant as such twice") from None
    if unknown := sorted(fields.difference(_TEMPLATE_FIELDS)):
        raise UserError(f"--caption has {{{unknown[0]}}}: there are {', '.join(f'{{{name}}}' for name in _TEMPLATE_FIELDS)}")

    def caption(row: Row) -> str:
        try:
            return template.format(**{name: getattr(row, name) for name in _TEMPLATE_FIELDS})
        except (TypeError, ValueError) as error:  # a photo has no time_s
            raise UserError(f"--caption {template!r} does not fit {row.id} ({error}): leave out formats such as :.1f") from None

    return caption


def from_file(path: Path) -> Caption:
    """Return a function that looks up the caption of a crop, or else of the frame or photo it was cut from, in a file.

    The file has JSON lines or is a table (.csv), with `text`, and `id` or `file_name`, of each crop or picture.

    Raises:
        UserError: the file is missing or damaged; the function returned raises it for a crop without a caption.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file)) if path.suffix == ".csv" else [json.loads(line) for line in file if line.strip()]
        texts = {PurePath(line["file_name"]).stem if "file_name" in line else line["id"]: str(line["text"]) for line in lines}
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: give a file of captions") from None
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise UserError(f"{path} is no file of captions ({error!r}): each line needs text, and id or file_name") from None

    def caption(row: Row) -> str:
        for name in (row.id, key_of(row.id), row.parent):
            if name in texts:
                return texts[name]
        raise UserError(f"{path} has no caption for {row.id} (nor for {row.parent}, of which it is a part): add it")

    return caption
