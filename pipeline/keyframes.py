"""Stage: the sharp frames of every shot of one film (or of each episode of a folder), bars cut off, in one decoding pass.

python -m pipeline.keyframes NAME        NAME as under films: or footage: in params.yaml
"""

from __future__ import annotations

import csv
import functools
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.core import files, manifest, stage
from pipeline.core.errors import UserError
from pipeline.core.manifest import Domain, Row
from pipeline.frames import film_report, letterbox, overlays, quality, shot_detection
from pipeline.media import arrays, decoding, images, interlacing, sheets, video
from pipeline.media.frame import Frame
from pipeline.params.data import KeyframesParams
from pipeline.params.schema import Params, load

_BORDER_PROBES, _PROBE_S = 96, 6.0  # frames spread over a film that tell of its bars, at most, and seconds between them
_LEAST_PROBES = 24
_WRITERS = 2
_SHEET_FRAMES = 96
_WITNESSES = 6  # frames of a shot, its key frames among them, that are asked about bars and subtitles
_BORDERS_SHOWN = 24
_THUMB_PX = 400


@dataclass(frozen=True)
class Episode:
    """One film file of a source, and where its key frames go."""

    source: str
    domain: Domain
    path: Path
    name: str  # distinguishes the episodes of a source; empty for a single film
    out: Path
    home: Path  # what `out` will be called once the stage is done


@dataclass(frozen=True)
class Harvest:
    """What an episode gave."""

    findings: film_report.Findings
    shots: list[tuple[str, float, float, int]]  # name, start and end in seconds, frames kept
    warnings: list[str]

    @property
    def rows(self) -> list[Row]:
        """The rows of its key frames."""
        return self.findings.rows


def harvest(episode: Episode, params: KeyframesParams, quiet: bool = False) -> Harvest:
    """Decode an episode once and write its key frames.

    Raises:
        UserError: the file is missing, no film, or lacks more of its pictures than `params.max_lost_s`.
    """
    info = video.probe(episode.path)
    probes = min(_BORDER_PROBES, max(_LEAST_PROBES, round((info.duration_s or 0) / _PROBE_S)))
    bars, combed = _probed(video.sample_frames(episode.path, probes), params)
    losses: list[decoding.MissingFrames] = []
    frames: Iterator[Frame] = video.frames(episode.path, losses.append, params.decode, combed)
    if not quiet:
        frames = _shown(frames, f"keyframes {episode.source} {episode.name}".strip(), info.duration_s)
    cutter = shot_detection.detector(params.detector, params.threshold, params.min_shot_s)
    film = film_report.FilmReport(bars)
    spans: list[tuple[str, float, float, int]] = []
    with ThreadPoolExecutor(_WRITERS) as writers:
        pending: deque[Future[tuple[list[film_report.Seen], list[overlays.Lettering]]]] = deque()
        for shot in shot_detection.find(frames, cutter):
            name = f"{episode.source}{'.' + episode.name if episode.name else ''}-{shot.index:05d}"
            chosen = shot.best(params.per_shot, params.min_gap_s, params.cut_margin_s)
            spans.append((name, shot.start_s, shot.end_s, len(chosen)))
            pending.append(writers.submit(_take, chosen, _witnesses(shot, chosen), name, bars, episode, params))
            while len(pending) > 2 * _WRITERS:
                film.add(*pending.popleft().result())
        for future in pending:
            film.add(*future.result())
    lost_s = sum(loss.seconds for loss in losses)
    if lost_s > params.max_lost_s:
        texts = "; ".join(loss.text for loss in losses)
        raise UserError(
            f"{texts}: get a whole copy, or raise keyframes.max_lost_s (now {params.max_lost_s:g}) to take what there is"
        )
    findings = film.judge(f"{episode.source} {episode.name}".strip(), params.logo == "avoid")
    told = [f"{episode.path} is interlaced or telecined and does not say so: all of its frames are made whole"] * combed
    return Harvest(findings, spans, [loss.text for loss in losses] + told + findings.warnings)


def _probed(frames: Iterable[Frame], params: KeyframesParams) -> tuple[letterbox.Bars, bool]:
    """What frames spread over a film tell: its bars, and whether it is interlaced without saying so."""
    views, combed = [], []
    for frame in frames:
        luma = frame.luma()
        views.append(letterbox.view(luma, params.bar_luma))
        combed.append(not frame.raw.interlaced_frame and interlacing.is_combed(luma))
    return letterbox.of_film([one for one in views if one is not None]), interlacing.is_interlaced(combed)


def _shown(frames: Iterable[Frame], what: str, duration_s: float | None) -> Iterator[Frame]:
    """The frames, with a progress bar in seconds of the film."""
    with stage.bar(what, "s of film", round(duration_s) if duration_s else None) as bar:
        for frame in frames:
            yield frame
            bar.update(int(frame.time_s) - bar.n)


def _views(frames: Iterable[Frame], params: KeyframesParams) -> list[letterbox.View]:
    views = (letterbox.view(frame.luma(), params.bar_luma) for frame in frames)
    return [one for one in views if one is not None]


def _witnesses(shot: shot_detection.Shot, chosen: Sequence[shot_detection.Look]) -> list[shot_detection.Look]:
    """Some more frames of a shot, spread over it."""
    others = [look for look in shot.looks if not any(look is one for one in chosen)]
    return others[:: -(-len(others) // (_WITNESSES - len(chosen)))] if len(chosen) < _WITNESSES and others else []


def _take(
    chosen: list[shot_detection.Look],
    others: list[shot_detection.Look],
    shot: str,
    bars: letterbox.Bars,
    episode: Episode,
    params: KeyframesParams,
) -> tuple[list[film_report.Seen], list[overlays.Lettering]]:
    """Write the key frames of a shot; with the others, they tell of its bars and show its subtitles."""
    # A mixture of two shots may have the bars of both.
    clean = [look for look in (*chosen, *others) if not look.mixed]
    box = letterbox.of_shot(_views((look.frame for look in clean), params), bars)
    seen = [_write(look, shot, box, episode, params) for look in chosen]
    shown = [overlays.lettering(one.luma) for one in seen]
    seen = [replace(one, row=_titled(one.row, lettering)) for one, lettering in zip(seen, shown, strict=True)]
    if params.subtitles == "ignore":
        return seen, []
    return seen, shown + [overlays.lettering(look.frame.luma(overlays.WIDTH)) for look in others]


def _titled(row: Row, shown: overlays.Lettering) -> Row:
    return row.model_copy(update={"scores": {**row.scores, "title_lines": overlays.title_lines(shown)}})


def _write(
    look: shot_detection.Look, shot: str, box: letterbox.Box | None, episode: Episode, params: KeyframesParams
) -> film_report.Seen:
    whole = look.frame.rgb()
    x, y, width, height = box or (0, 0, whole.shape[1], whole.shape[0])
    picture = arrays.shrink(whole[y : y + height, x : x + width], params.max_side_px)
    name = f"{shot}-{round(look.frame.time_s * 1000):08d}"
    digest = images.write(episode.out / f"{name}.{params.format}", picture)
    measured = quality.measure(picture)
    row = Row(
        id=name,
        domain=episode.domain,
        source=episode.source,
        file=(episode.home / f"{name}.{params.format}").as_posix(),
        digest=digest,
        width_px=picture.shape[1],
        height_px=picture.shape[0],
        time_s=round(look.frame.time_s, 3),
        shot=shot,
        parent=episode.path.as_posix(),
        box=(x, y, width, height),
        hashes=measured.hashes,
        scores={"motion": round(look.motion, 3)} | measured.scores,
    )
    luma = look.frame.luma(overlays.WIDTH).copy()
    return film_report.Seen(row, (whole.shape[1], whole.shape[0]), luma, look.frame.thumbnail(_THUMB_PX))


def run(params: Params, out: Path, source: str) -> dict[str, float]:
    """Key frames of one source into `out`: pictures/, manifest.jsonl, shots.csv, sheet.jpg, borders.json, borders.jpg."""
    path, domain = _source(params, source)
    episode_files = video.find(path)
    root = path if path.is_dir() else path.parent
    names = [_slug(file.relative_to(root)) if path.is_dir() else "" for file in episode_files]
    if len(set(names)) < len(names):
        raise UserError(f"{path}: two episodes have nearly the same name; rename one")
    frames, home = out / stage.PICTURES, stage.DATA / "keyframes" / stage.PICTURES / source
    episodes = [Episode(source, domain, file, name, frames, home) for file, name in zip(episode_files, names, strict=True)]
    if len(episodes) == 1:
        harvests = [harvest(episodes[0], params.keyframes)]
    else:
        work = functools.partial(harvest, params=params.keyframes, quiet=True)
        harvests = list(stage.parallel(work, episodes, params.workers, f"keyframes {source}", "episodes"))
    for warning in (text for one in harvests for text in one.warnings):
        stage.log.warning("warning: %s", warning)
    rows = [row for one in harvests for row in one.rows]
    spans = [span for one in harvests for span in one.shots]
    manifest.write(out, rows)
    with (out / "shots.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["shot", "start_s", "end_s", "frames_kept"])
        table.writerows([name, f"{start:.3f}", f"{end:.3f}", kept] for name, start, end, kept in spans)
    shown = rows[:: max(1, -(-len(rows) // _SHEET_FRAMES))]
    pictures = (images.read(frames / f"{row.id}.{params.keyframes.format}") for row in shown)
    images.write(out / "sheet.jpg", sheets.contact_sheet(pictures, [f"{row.time_s:.1f} s" for row in shown]))
    found = [one.findings for one in harvests]
    files.write_json(out / "borders.json", [one.summary for one in found])
    drawn = [picture for one in found for picture in one.pictures]
    drawn = drawn[:: max(1, -(-len(drawn) // _BORDERS_SHOWN))]
    images.write(
        out / "borders.jpg",
        sheets.contact_sheet(
            (picture for picture, _ in drawn), [caption for _, caption in drawn], columns=4, cell_px=_THUMB_PX
        ),
    )
    return {
        "episodes": len(episodes),
        "shots": len(spans),
        "frames": len(rows),
        "shots_reframed": sum(one.reframed for one in found),
        "subtitle_frames": sum(one.subtitled for one in found),
        "logos": sum(one.logo for one in found),
        "seconds": round(sum(end - start for _, start, end, _ in spans), 3),
        "warnings": sum(len(one.warnings) for one in harvests),
    }


def _source(params: Params, name: str) -> tuple[Path, Domain]:
    if name in params.films:
        return Path(params.films[name]), "anime"
    if name in params.footage:
        return Path(params.footage[name]), "photo"
    known = ", ".join([*params.films, *params.footage])
    raise UserError(f"{name} is neither under films: nor under footage: in params.yaml ({known})")


def _slug(path: Path) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", path.with_suffix("").as_posix()).strip("-").lower() or "episode"


if __name__ == "__main__":
    stage.main_of_source("keyframes", run, load, "a name under films: or footage: in params.yaml")
