"""How many cuts and places are found in films of which both are known, here and by PySceneDetect; one JSON object a line.

    python -m benchmarks.shots [--kinds cuts dissolves] [--rates 12 24] [--methods adaptive AdaptiveDetector] [--seed 0]

Draws films (tests/support/shot_films.py) of hard cuts between moving, held, repeated, panned, short, dark and pale shots,
flashes, dissolves, wipes, irises, fades, slides and one that never cuts, each at four frame rates, and encodes them (H.264).
- genga, with each of its detectors: `detect_shots` on the frames that are decoded by default; a place is represented if a key
  frame shows it.
- PySceneDetect's four detectors as they are: `detect`, and three pictures of each scene as its `save_images` chooses them.

Values are shares of hard cuts found and of places represented; the notes tell how many boundaries and pictures there were.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import NamedTuple

import scenedetect
from scenedetect import detect

from benchmarks.output import print_result
from pipeline.frames.cut_detectors import make_detector
from pipeline.frames.shot_detection import detect_shots
from pipeline.media import video
from pipeline.params import schema
from tests.conftest import write_film
from tests.support import shot_films

_DEFAULTS = Path(__file__).parent.parent / "params.yaml"
PEERS = ("AdaptiveDetector", "ContentDetector", "HistogramDetector", "HashDetector")
OWN = ("adaptive", "content", "histogram", "hash")


class Found(NamedTuple):
    """What a method makes of a film, in seconds."""

    boundaries: list[float]
    pictures: list[float]


def by_genga(path: Path, detector: str) -> Found:
    """Detect shots and choose key frames as stage keyframes does."""
    params = schema.load(_DEFAULTS).keyframes.model_copy(update={"detector": detector})
    frames = video.frames(path, lambda missing: None, params.decode)
    shots = list(detect_shots(frames, make_detector(params.detector, params.threshold, params.min_shot_s)))
    best = (shot.best(params.per_shot, params.min_gap_s, params.cut_margin_s) for shot in shots)
    return Found([shot.start_s for shot in shots[1:]], [one.frame.time_s for chosen in best for one in chosen])


def by_scenedetect(path: Path, detector: str) -> Found:
    """Detect scenes as PySceneDetect does by itself; three pictures each, in the middle of each third."""
    scenes = [(a.seconds, b.seconds) for a, b in detect(str(path), getattr(scenedetect, detector)(), start_in_scene=True)]
    pictures = [start + (end - start) * share for start, end in scenes for share in (1 / 6, 1 / 2, 5 / 6)]
    return Found([start for start, _ in scenes[1:]], pictures)


class Tally:
    """Counts of one method and kind of film."""

    def __init__(self) -> None:
        self.cuts = self.cuts_found = self.places = self.represented = self.boundaries = self.pictures = 0

    def add(self, film: shot_films.ShotFilm, found: Found) -> None:
        """Compare what was found with what is true."""
        self.cuts += len(film.cuts)
        self.cuts_found += film.cuts_found(found.boundaries)
        self.places += len(film.places)
        self.represented += film.places_represented(found.pictures)
        self.boundaries += len(found.boundaries)
        self.pictures += len(found.pictures)

    def report(self, name: str) -> None:
        """Print the shares."""
        if self.cuts:
            note = f"{self.cuts_found} of {self.cuts}; {self.boundaries} boundaries in all"
            print_result(f"shots/{name}/hard_cuts", self.cuts_found / self.cuts, "share", notes=note)
        note = f"{self.represented} of {self.places}; {self.pictures} pictures in all"
        print_result(f"shots/{name}/places", self.represented / self.places, "share", notes=note)


def main() -> None:
    """Draw the films one by one, let each method look, print shares by method and kind, then by method."""
    parser = argparse.ArgumentParser(description="recall of hard cuts and of places, here and by PySceneDetect")
    kinds = {kind.__name__: kind for kind in shot_films.KINDS}
    parser.add_argument("--kinds", nargs="+", choices=list(kinds), default=list(kinds), help="kinds of films")
    parser.add_argument("--rates", nargs="+", type=int, default=[12, 24, 30, 60], help="frames per second")
    parser.add_argument("--methods", nargs="+", choices=OWN + PEERS, default=OWN + PEERS, help="detectors")
    parser.add_argument("--seed", type=int, default=0, help="other seeds draw other places")
    arguments = parser.parse_args()
    methods = arguments.methods
    totals = {method: Tally() for method in methods}
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.kinds:
            own = {method: Tally() for method in methods}
            for rate in arguments.rates:
                film = shot_films.draw(kinds[name], rate, arguments.seed)
                path = write_film(Path(folder) / "film.mp4", film.pictures, rate, options={"crf": "20", "bf": "3"})
                for method in methods:
                    found = (by_genga if method in OWN else by_scenedetect)(path, method)
                    own[method].add(film, found)
                    totals[method].add(film, found)
            for method in methods:
                own[method].report(f"{method}/{name}")
    for method in methods:
        totals[method].report(method)


if __name__ == "__main__":
    main()
