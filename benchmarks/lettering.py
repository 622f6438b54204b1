"""Text that is found where there is none, and credits and titles that are found: one JSON object a line.

    python -m benchmarks.lettering

Drawings of $GENGA_SHARED/drawn (or ../shared), of which only CREDITS show lettering, are measured as pictures of a folder and
as still frames of a film: how many would be dropped as credits or titles, or be taken for subtitled. Films whose credits and
titles are known by their seconds tell how many of these frames are dropped, and how many others are by mistake; and, with
subtitles burnt in, how many of these are wholly covered. The sample film tells the same of its title card. The baseline of a
line is what it was before titles of large letters were looked for and rows of windows and short rows of strokes distinguished.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.output import print_result
from pipeline.core.errors import UserError
from pipeline.dedup import rejection
from pipeline.frames import lettering, quality, subtitles
from pipeline.media import arrays, images, video
from pipeline.media.images import Picture
from pipeline.params import schema
from pipeline.sample import film_of
from tests.support.frames import inside
from tests.support.subtitles import STYLES, TEXTS, burn

# Seconds that show credits or titles, as seen by eye; frames within half a second of them are left out.
FILMS: dict[str, tuple[tuple[float, float], ...]] = {
    "big_buck_bunny_full_486p.mp4": ((21.5, 22.5), (25.5, 28.5), (491.0, 579.0)),
    "sintel_trailer_480x204_52s.mp4": ((9.2, 10.8), (41.3, 46.3), (48.2, 50.8)),
    "popeye_sinbad_1936_1440x1074_60s.mkv": (),
}
CREDITS = ("PC_E11P07_p01", "PC_E12P08_p01")  # pages of names
SAMPLES = 300  # frames of a film, evenly spread
_BORDER_S = 0.5
_BURNT_FRAMES = 24  # of each film, in each style
# Figures before, where they were others.
BEFORE = {
    "openbiblestories/film/subtitle": 9,
    "peppercarrot/film/subtitle": 1,
    "big_buck_bunny_full_486p/subtitles": 189,
    "sintel_trailer_480x204_52s/subtitles": 183,
    "sample/title": 0,
    "sample/false": 18,
}


def frame_luma(picture: Picture) -> lettering.Luma:
    """Convert a picture to luma as a frame of a film has it: video range, at the width at which frames are analyzed."""
    height, width = picture.shape[:2]
    if width > lettering.WIDTH:
        picture = arrays.resize(picture, lettering.WIDTH, round(height * lettering.WIDTH / width))
    return np.asarray(np.rint(16 + arrays.luma(picture) * (219 / 255)), np.uint8)


def drawings(folder: Path, params: schema.Params) -> Iterator[tuple[str, int, int]]:
    """Count mistakes on drawings: yield name, number of pictures, and of all pictures; then the same for pages of text."""
    paths = images.find(folder)
    pages = sum(path.stem in CREDITS for path in paths)
    found: Counter[str] = Counter()
    for path in paths:
        picture = images.read(path)
        measured = quality.measure(picture)
        text = lettering.detect(frame_luma(picture))
        reason = rejection(measured, params.dedup, film_frame=True)
        if path.stem in CREDITS:
            found["true"] += reason == "credits"
            continue
        found[f"folder/{reason}"] += 1
        measured = replace(measured, title_lines=subtitles.title_lines(text))
        found[f"film/{rejection(measured, params.dedup, film_frame=True)}"] += 1
        found["film/subtitle"] += bool(subtitles.base_lines(text))
    for name in ("folder/credits", "folder/title", "film/credits", "film/title", "film/subtitle"):
        yield name, found[name], len(paths) - pages
    if pages:
        yield "true", found["true"], pages


def film_frames(path: Path, params: schema.Params) -> Iterator[tuple[str, int, int]]:
    """Count true and false detections in a film: yield name, number of frames, and number of all frames."""
    found: Counter[str] = Counter()
    for frame in video.sample_frames(path, SAMPLES):
        inside = any(first <= frame.time_s <= last for first, last in FILMS[path.name])
        if not inside and any(first - _BORDER_S < frame.time_s < last + _BORDER_S for first, last in FILMS[path.name]):
            continue
        text = lettering.detect(frame.luma(lettering.WIDTH))
        measured = replace(quality.measure(frame.rgb()), title_lines=subtitles.title_lines(text))
        reason = rejection(measured, params.dedup, film_frame=True)
        found["letters" if inside else "pictures"] += 1
        if inside and reason is not None:
            found["dropped"] += 1
        if not inside and reason in ("credits", "title"):
            found["false"] += 1
    if found["letters"]:
        yield "true", found["dropped"], found["letters"]
    yield "false", found["false"], found["pictures"]


def burnt_subtitles(path: Path) -> tuple[int, int]:
    """Count the frames whose burnt-in subtitle is wholly covered, and all, in every style; each style is a film of its own."""
    spans = FILMS[path.name]
    pictures = [
        frame.rgb()
        for frame in video.sample_frames(path, 2 * _BURNT_FRAMES)
        if not any(first - _BORDER_S < frame.time_s < last + _BORDER_S for first, last in spans)
    ][:_BURNT_FRAMES]
    covered = 0
    for style in STYLES:
        made = [burn(picture, [*TEXTS, "No!", "I see."][index % 8], style) for index, picture in enumerate(pictures)]
        texts = [lettering.detect(frame_luma(picture)) for picture, _ in made]
        lines = [subtitles.base_lines(text) for text in texts]
        film = subtitles.film_base_lines(lines)
        for (picture, (x, y, width, height)), text, own in zip(made, texts, lines, strict=True):
            scale = text.size[0] / picture.shape[1]
            box = (round(x * scale) + 1, round(y * scale) + 1, round(width * scale) - 2, round(height * scale) - 2)
            covered += any(inside(box, found) for found in subtitles.covered_boxes(text, film + own))
    return covered, len(STYLES) * len(pictures)


def sample_film() -> Iterator[tuple[str, int, int]]:
    """Count in the sample film what `film_frames` counts: frames of its finished title, and frames without any lettering."""
    film = film_of(640, 24, seed=1)
    truth = film.truth()
    found: Counter[str] = Counter()
    for shot in truth["shots"]:
        for index in range(shot["first_frame"] + 2, shot["end_frame"], 8):
            if shot["kind"] == "title" and index < shot["end_frame"] - 24:
                continue  # strokes are still being drawn
            spans = [(one["first_frame"] - 12, one["end_frame"] + 12) for one in truth["subtitle"]]
            if shot["kind"] == "credits" or any(first <= index < end for first, end in spans):
                continue
            text = lettering.detect(frame_luma(film.framed(film.draw((index, index + 1))[0])))
            name = "title" if shot["kind"] == "title" else "false"
            found[f"{name} frames"] += 1
            found[name] += bool(subtitles.title_lines(text) or (name == "false" and subtitles.base_lines(text)))
    for name in ("title", "false"):
        yield name, found[name], found[f"{name} frames"]


def report(metric: str, value: int | None, unit: str, notes: str) -> None:
    """Print one result."""
    baseline = BEFORE.get(metric.removeprefix("lettering/"), value)
    print_result(metric, value, unit, baseline, notes=notes)


def main() -> None:
    """Print one line for each measure; a folder that is missing is named in its line."""
    shared = Path(os.environ.get("GENGA_SHARED", "../shared"))
    params = schema.load()
    for folder in ("openbiblestories", "peppercarrot"):
        try:
            for name, value, total in drawings(shared / "drawn" / folder, params):
                what = "pages of credits, dropped" if name == "true" else "false"
                report(f"lettering/{folder}/{name}", value, "drawings", f"{what}, of {total}")
        except UserError as error:
            report(f"lettering/{folder}", None, "drawings", f"skipped: {error}")
    for file in FILMS:
        try:
            for name, value, total in film_frames(shared / "films" / file, params):
                what = "with credits or a title, dropped" if name == "true" else "without, dropped as credits or title"
                report(f"lettering/{Path(file).stem}/{name}", value, "frames", f"{what}, of {total}")
            covered, total = burnt_subtitles(shared / "films" / file)
            report(f"lettering/{Path(file).stem}/subtitles", covered, "frames", f"burnt in, wholly covered, of {total}")
        except UserError as error:
            report(f"lettering/{Path(file).stem}", None, "frames", f"skipped: {error}")
    for name, value, total in sample_film():
        what = "of its title, found" if name == "title" else "without lettering, taken for title or subtitled"
        report(f"lettering/sample/{name}", value, "frames", f"{what}, of {total}")


if __name__ == "__main__":
    main()
