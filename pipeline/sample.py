"""Stage `sample`: the embedded film, drawn by code, and photographs from the scikit-image package.

It lets a fresh clone run whole, and it is the oracle of the tests: `truth.json` says what the film holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from skimage import data as skimage_data

from pipeline.core.files import write_json
from pipeline.core.stage import main, parallel
from pipeline.media import encoding, images, sheets
from pipeline.params.schema import Params, load
from pipeline.sample_film.canvas import Pixels
from pipeline.sample_film.storyboard import Film

CRF = 17  # nothing to see is lost, and the file stays under 12 MB

# Name -> what it shows, and its licence as scikit-image's documentation gives it. All are in the wheel: none is downloaded.
PHOTOS = {
    "astronaut": "Eileen Collins, astronaut. NASA Great Images; no known copyright restrictions, public domain.",
    "chelsea": "Chelsea the cat. Stefan van der Walt; CC0.",
    "coffee": "A cup of coffee. Rachel Michetti, courtesy of Pikolo Espresso Bar; CC0.",
    "rocket": "Falcon 9 carrying DSCOVR, Cape Canaveral. SpaceX; public domain.",
    "motorcycle": "A motorcycle, left of a stereo pair. Middlebury 2014 stereo data sets; no licence stated, the authors ask "
    "to cite Scharstein et al., High-resolution stereo datasets with subpixel-accurate ground truth, GCPR 2014.",
}


def film_of(width_px: int, fps: int, seed: int) -> Film:
    """The film at a width; its height is 9/16 of it, made even."""
    return Film(width_px, 2 * round(width_px * 9 / 32), fps, seed)


def pictures(film: Film, workers: int) -> Iterator[Pixels]:
    """Every frame of the film in order, drawn in processes: uint8 RGB HWC."""
    for frames in parallel(film.draw, film.spans(), workers, "sample", "spans"):
        yield from map(film.framed, frames)


def photos() -> dict[str, Pixels]:
    """The colour photographs that the scikit-image wheel carries."""
    found = {name: getattr(skimage_data, name)() for name in PHOTOS if name != "motorcycle"}
    found["motorcycle"] = skimage_data.stereo_motorcycle()[0]  # type: ignore[no-untyped-call]
    return {name: np.asarray(found[name][..., :3], np.uint8) for name in PHOTOS}


def middles(film: Film) -> Iterator[tuple[str, Pixels]]:
    """Name and middle frame of each shot, bars and all."""
    for shot in film.truth()["shots"]:
        middle = (shot["first_frame"] + shot["end_frame"]) // 2
        yield shot["name"], film.framed(film.draw((middle, middle + 1))[0])


def run(params: Params, out: Path) -> dict[str, float]:
    """Write film.mp4, truth.json, photos/ and a contact sheet of the shots."""
    film = film_of(params.sample.width_px, params.sample.fps, params.sample.seed)
    encoding.write_film(out / "film.mp4", pictures(film, params.workers), fps=film.fps, crf=CRF)
    truth = film.truth()
    write_json(out / "truth.json", truth)
    folder = out / "photos"
    folder.mkdir()
    for name, picture in photos().items():
        images.write(folder / f"{name}.png", picture)
    notes = "\n".join(f"{name}.png: {text}" for name, text in PHOTOS.items())
    (folder / "README.txt").write_text(f"Photographs that the scikit-image package carries.\n\n{notes}\n", "utf-8")
    names, shown = zip(*middles(film), strict=True)
    images.write(out / "sheet.jpg", sheets.contact_sheet(shown, names, columns=4, cell_px=320))
    return {
        "frames": film.count,
        "seconds": film.count / film.fps,
        "shots": len(truth["shots"]),
        "cuts": len(truth["cuts_s"]),
        "photos": len(PHOTOS),
    }


if __name__ == "__main__":
    main("sample", run, load)
