"""Stage: draw the embedded sample film by code, and copy photographs from the scikit-image package.

    python -m pipeline.sample

They let a fresh clone run the whole pipeline. As all about the film is known, `truth.json` is the ground truth of the tests.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from skimage import data as skimage_data

from pipeline.core.errors import log
from pipeline.core.files import write_json
from pipeline.core.stage import main, parallel
from pipeline.media import encoding, images, sheets
from pipeline.params.schema import Params, load
from pipeline.sample_film.canvas import Pixels
from pipeline.sample_film.storyboard import Film

CRF = 17  # no visible loss, in less than 12 MB

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
    """Return the sample film at a width; its height is 9/16 of that, made even. Nothing is drawn yet."""
    return Film(width_px, 2 * round(width_px * 9 / 32), fps, seed)


def draw_frames(film: Film, workers: int) -> Iterator[Pixels]:
    """Draw every frame of the film in order, in worker processes: uint8 RGB HxWx3."""
    for frames in parallel(film.draw, film.spans(), workers, "sample", "spans"):
        yield from map(film.framed, frames)


def load_photos() -> dict[str, Pixels]:
    """Load the color photographs that the scikit-image wheel contains: name -> uint8 RGB HxWx3."""
    found = {name: getattr(skimage_data, name)() for name in PHOTOS if name != "motorcycle"}
    found["motorcycle"] = skimage_data.stereo_motorcycle()[0]  # type: ignore[no-untyped-call]
    return {name: np.asarray(found[name][..., :3], np.uint8) for name in PHOTOS}


def middle_frames(film: Film) -> Iterator[tuple[str, Pixels]]:
    """Draw the middle frame of each shot with its bars; yield the shot's name and the frame, uint8 RGB HxWx3."""
    for shot in film.truth()["shots"]:
        middle = (shot["first_frame"] + shot["end_frame"]) // 2
        yield shot["name"], film.framed(film.draw((middle, middle + 1))[0])


def run(params: Params, out: Path) -> dict[str, float]:
    """Write film.mp4, truth.json, photos/ and a contact sheet of the shots; nothing if `sample.draw` is false."""
    if not params.sample.draw:
        log.info("sample.draw is false: the embedded film is not drawn")
        return {}
    film = film_of(params.sample.width_px, params.sample.fps, params.sample.seed)
    encoding.write_film(out / "film.mp4", draw_frames(film, params.workers), fps=film.fps, crf=CRF)
    truth = film.truth()
    write_json(out / "truth.json", truth)
    folder = out / "photos"
    folder.mkdir()
    for name, picture in load_photos().items():
        images.write(folder / f"{name}.png", picture)
    notes = "\n".join(f"{name}.png: {text}" for name, text in PHOTOS.items())
    (folder / "README.txt").write_text(f"Photographs that the scikit-image package carries.\n\n{notes}\n", "utf-8")
    names, shown = zip(*middle_frames(film), strict=True)
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
