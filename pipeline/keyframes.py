"""Stage: extract sharp frames of every shot of a film (or of each episode of a folder), in one pass and without black bars.

    python -m pipeline.keyframes NAME        NAME as under films: or footage: in params.yaml

A folder that holds pictures and no films is a source too: each picture is a shot of one frame.
"""

import csv
import functools
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipeline.core import files, manifest, stage
from pipeline.core.errors import UserError, log
from pipeline.core.manifest import Domain, Row
from pipeline.frames import film_report, letterbox, lettering, picture_source, quality, subtitles
from pipeline.frames.cut_detectors import make_detector
from pipeline.frames.letterbox import Box, FilmBars, LineProfile
from pipeline.frames.shot_detection import FrameScore, Shot, detect_shots
from pipeline.media import arrays, decoding, images, interlacing, sheets, video
from pipeline.media.frame import Frame
from pipeline.media.images import Picture
from pipeline.params.data import KeyframesParams
from pipeline.params.schema import Params, load

_MAX_SAMPLES, _MIN_SAMPLES, _SAMPLE_EVERY_S = 96, 24, 6.0  # frames from all of a film that tell of bars and interlacing
_WRITERS = 2
_FRAMES_PER_SHOT = 6  # analyzed for bars and subtitles, key frames included
_MAX_SHEET_FRAMES = 96
_MAX_REPORT_PICTURES = 24
_THUMBNAIL_PX = 400
_MAX_DISTORTION = 0.02  # of a frame whose aspect is not the film's: less is left as it is
_MAX_NAMED = 20  # files named in a warning

ShotFrames = tuple[list[film_report.KeyFrame], list[lettering.Lettering]]


@dataclass(frozen=True)
class Episode:
    """One film file of a source, and where its key frames go."""

    source: str
    domain: Domain
    path: Path
    name: str  # empty if the source is a single film
    out: Path
    home: Path  # where `out` will be when the stage has finished


@dataclass(frozen=True)
class EpisodeResult:
    """The key frames and shots of an episode."""

    report: film_report.FilmReport
    shots: list[tuple[str, float, float, int]]  # name, start and end in seconds, frames kept
    warnings: list[str]


def extract(episode: Episode, params: KeyframesParams, quiet: bool = False) -> EpisodeResult:
    """Decode an episode, write its key frames to `episode.out`, and return their rows, its shots and warnings.

    Args:
        quiet: show no progress bar.

    Raises:
        UserError: the file is missing, no film, or lacks more than `params.max_lost_s` of its frames.
    """
    info = video.probe(episode.path)
    title = f"{episode.source} {episode.name}".strip()
    samples = min(_MAX_SAMPLES, max(_MIN_SAMPLES, round((info.duration_s or 0) / _SAMPLE_EVERY_S)))
    bars, interlaced = _analyze_samples(video.sample_frames(episode.path, samples), params.bar_luma)
    missing: list[decoding.MissingFrames] = []
    frames: Iterator[Frame] = video.frames(episode.path, missing.append, params.decode, interlaced)
    if not quiet:
        frames = _with_progress(frames, f"keyframes {title}", info.duration_s)
    film = film_report.FilmAnalyzer(bars)
    shots: list[tuple[str, float, float, int]] = []
    with ThreadPoolExecutor(_WRITERS) as writers:
        pending: deque[Future[ShotFrames]] = deque()
        for shot in detect_shots(frames, make_detector(params.detector, params.threshold, params.min_shot_s)):
            name = f"{episode.source}{'.' + episode.name if episode.name else ''}-{shot.index:05d}"
            chosen = shot.best(params.per_shot, params.min_gap_s, params.cut_margin_s)
            shots.append((name, shot.start_s, shot.end_s, len(chosen)))
            others = _other_frames(shot, chosen)
            pending.append(writers.submit(_process_shot, chosen, others, (name, shot.take), bars, episode, params))
            while len(pending) > 2 * _WRITERS:
                film.add_shot(*pending.popleft().result())
        for future in pending:
            film.add_shot(*future.result())
    if sum(part.seconds for part in missing) > params.max_lost_s:
        texts = "; ".join(part.text for part in missing)
        limit = f"{params.max_lost_s:g}"
        raise UserError(f"{texts}: get a complete copy, or raise keyframes.max_lost_s (now {limit}) to use what there is")
    warnings = [part.text for part in missing]
    if interlaced:
        warnings.append(
            f"{episode.path} is interlaced or telecined without being marked so: all of its frames are deinterlaced"
        )
    report = film.report(title, params.logo == "avoid")
    return EpisodeResult(report, shots, warnings + report.warnings)


def _analyze_samples(frames: Iterable[Frame], bar_luma: int) -> tuple[FilmBars, bool]:
    """Detect the bars of a film, and whether it is interlaced without being marked so, from frames of all of it."""
    profiles, combed = [], []
    for frame in frames:
        luma = frame.luma()
        profiles.append(letterbox.line_profile(luma, bar_luma))
        combed.append(not frame.raw.interlaced_frame and interlacing.is_combed(luma))
    return letterbox.detect_in_film([one for one in profiles if one is not None]), interlacing.is_interlaced(combed)


def _with_progress(frames: Iterable[Frame], what: str, duration_s: float | None) -> Iterator[Frame]:
    """Yield the frames, with a progress bar in seconds of the film."""
    with stage.progress_bar(what, "s of film", round(duration_s) if duration_s else None) as bar:
        for frame in frames:
            yield frame
            bar.update(int(frame.time_s) - bar.n)


def _other_frames(shot: Shot, chosen: Sequence[FrameScore]) -> Sequence[FrameScore]:
    """Choose more frames of a shot to be analyzed, evenly spaced."""
    others = [one for one in shot.candidates if not any(one is key for key in chosen)]
    return sheets.evenly_spaced(others, max(0, _FRAMES_PER_SHOT - len(chosen)))


def _process_shot(
    chosen: Sequence[FrameScore],
    others: Sequence[FrameScore],
    shot: tuple[str, int],
    bars: FilmBars,
    episode: Episode,
    params: KeyframesParams,
) -> ShotFrames:
    """Write the key frames of a shot without its bars; return them and the text that they and other frames show.

    Args:
        shot: its name, and the index of the shot with which its take began.
    """
    # A mixture of two shots may have the bars of both.
    clean = [one.frame for one in (*chosen, *others) if not one.transition]
    profiles = (letterbox.line_profile(frame.luma(), params.bar_luma) for frame in clean)
    found: list[LineProfile] = [one for one in profiles if one is not None]
    box = letterbox.detect_in_shot(found, bars)
    key_frames, texts = [], []
    for scored in chosen:
        luma = scored.frame.luma(lettering.WIDTH).copy()
        texts.append(lettering.detect(luma))
        row, frame_px = _write(scored, shot, box, episode, params, subtitles.title_lines(texts[-1]))
        key_frames.append(film_report.KeyFrame(row, frame_px, luma, scored.frame.thumbnail(_THUMBNAIL_PX)))
    if params.subtitles == "ignore":
        return key_frames, []
    return key_frames, texts + [lettering.detect(scored.frame.luma(lettering.WIDTH)) for scored in others]


def _write(
    scored: FrameScore, named: tuple[str, int], box: Box | None, episode: Episode, params: KeyframesParams, title_lines: int
) -> tuple[Row, tuple[int, int]]:
    """Write a key frame; return its row, and the width and height of the decoded frame."""
    shot, take = named
    whole = scored.frame.rgb()
    frame_px = whole.shape[1], whole.shape[0]
    x, y, width, height = box or (0, 0, *frame_px)
    picture = whole[y : y + height, x : x + width]
    if abs(scored.frame.stretch - 1) > _MAX_DISTORTION:
        picture = arrays.resize(picture, round(width * scored.frame.stretch), height)
    picture = arrays.shrink(picture, params.max_side_px)
    name = f"{shot}-{round(scored.frame.time_s * 1000):08d}"
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
        time_s=round(scored.frame.time_s, 3),
        shot=shot,
        parent=episode.path.as_posix(),
        box=(x, y, width, height),
        hashes=measured.hashes,
        scores={"motion": round(scored.motion, 3), **measured.scores, "title_lines": title_lines, "take": take},
    )
    return row, frame_px


def run(params: Params, out: Path, source: str) -> dict[str, float]:
    """Extract the key frames of one source, or take over its pictures.

    Writes pictures/, manifest.jsonl, shots.csv, sheet.jpg, and film_report.json and film_report.jpg (bars, subtitles, logo).

    Raises:
        UserError: `source` is neither under films: nor under footage:, or its films or pictures cannot be used.
    """
    path, domain = _find_source(params, source)
    films, pictures, others = picture_source.find(path)
    if others:
        names = _name_some([picture_source.display_name(other) for other in others])
        log.info("%s: passed over, as neither films nor pictures:\n  %s", path, names)
    if films:
        if pictures:
            log.warning(
                "%s holds films, which are used, and pictures, which are not (to use them, give them a folder of their own, "
                "named in params.yaml too):\n  %s",
                path,
                _name_some([picture_source.display_name(picture) for picture in pictures]),
            )
        return _extract_films(params, out, source, domain, path, films)
    return _extract_pictures(params, out, source, domain, path, pictures)


def _extract_films(
    params: Params, out: Path, source: str, domain: Domain, path: Path, paths: Sequence[Path]
) -> dict[str, float]:
    """Write what `run` writes, for a film or a folder of episodes."""
    names = [picture_source.episode_name(file.relative_to(path)) if path.is_dir() else "" for file in paths]
    for name, count in Counter(names).items():
        if count > 1:
            same = " and ".join(str(file) for file, other in zip(paths, names, strict=True) if other == name)
            raise UserError(f"{same} have nearly the same name: rename one")
    _check_films(paths)
    pictures, home = out / stage.PICTURES, stage.DATA / "keyframes" / stage.PICTURES / source
    episodes = [Episode(source, domain, file, name, pictures, home) for file, name in zip(paths, names, strict=True)]
    if len(episodes) == 1:
        results = [extract(episodes[0], params.keyframes)]
    else:
        work = functools.partial(extract, params=params.keyframes, quiet=True)
        results = list(stage.parallel(work, episodes, params.workers, f"keyframes {source}", "episodes"))
    warnings = [text for result in results for text in result.warnings]
    for text in warnings:
        log.warning("warning: %s", text)
    reports = [result.report for result in results]
    rows = [row for report in reports for row in report.rows]
    shots = [shot for result in results for shot in result.shots]
    manifest.write(out, rows)
    _write_shots(out, shots)
    shown = sheets.evenly_spaced(rows, _MAX_SHEET_FRAMES)
    _write_sheet(out, shown, [f"{row.time_s:.1f} s" for row in shown])
    summaries = [report.summary for report in reports]
    drawn = sheets.evenly_spaced([item for report in reports for item in report.pictures], _MAX_REPORT_PICTURES)
    _write_report(out, summaries, drawn)
    return {
        "episodes": len(episodes),
        "shots": len(shots),
        "frames": len(rows),
        "shots_reframed": sum(summary["shots_reframed"] for summary in summaries),
        "subtitle_frames": sum(summary["subtitle_frames"] for summary in summaries),
        "logos": sum(summary["logo"] is not None for summary in summaries),
        "seconds": round(sum(end - start for _, start, end, _ in shots), 3),
        "warnings": len(warnings),
    }


def _check_films(paths: Iterable[Path]) -> None:
    """Open each episode before any is decoded, which takes minutes.

    Raises:
        UserError: some cannot be; all of these are named.
    """
    errors = []
    for path in paths:
        try:
            video.probe(path)
        except UserError as error:
            errors.append(str(error))
    if errors:
        raise UserError("\n  ".join(errors))


def _extract_pictures(
    params: Params, out: Path, source: str, domain: Domain, path: Path, paths: Sequence[Path]
) -> dict[str, float]:
    """Write what `run` writes, for a folder of pictures; shots.csv lists nothing, as pictures last no time.

    Raises:
        UserError: no picture can be read, or some cannot and dedup.on_bad_photo is stop.
    """
    home = stage.DATA / "keyframes" / stage.PICTURES / source
    folder = picture_source.PictureSource(source, domain, path, out / stage.PICTURES, home)
    work = functools.partial(picture_source.extract, source=folder, params=params.keyframes)
    results = list(stage.parallel(work, paths, params.workers, f"keyframes {source}", "pictures"))
    rows = [row for row, _ in results if row.reason is None]
    errors = [text for _, text in results if text is not None]
    if errors and (not rows or params.dedup.on_bad_photo == "stop"):
        remedy = ", or set dedup.on_bad_photo to skip" if rows else ""
        raise UserError(f"{len(errors)} of {len(results)} pictures cannot be read: fix them{remedy}\n  {_name_some(errors)}")
    if errors:
        text = _name_some(errors)
        log.warning("%d of %d pictures cannot be read and are left out:\n  %s", len(errors), len(results), text)
    manifest.write(out, [*rows, *(row for row, _ in results if row.reason is not None)])
    _write_shots(out, [])
    shown = sheets.evenly_spaced(rows, _MAX_SHEET_FRAMES)
    _write_sheet(out, shown, [row.id.removeprefix(f"{source}-") for row in shown])
    cut = [(row, file) for (row, _), file in zip(results, paths, strict=True) if row.scores.get("margins")]
    drawn = [(picture_source.draw_area(file, row, _THUMBNAIL_PX), row.id) for row, file in cut[:_MAX_REPORT_PICTURES]]
    _write_report(out, [{"pictures": len(rows), "margins_cut": len(cut), "unreadable": errors}], drawn)
    return {"frames": len(rows), "margins_cut": len(cut), "unreadable": len(errors), "warnings": 0}


def _write_shots(out: Path, shots: Iterable[tuple[str, float, float, int]]) -> None:
    with (out / "shots.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["shot", "start_s", "end_s", "frames_kept"])
        table.writerows([name, f"{start:.3f}", f"{end:.3f}", kept] for name, start, end, kept in shots)


def _write_sheet(out: Path, rows: Sequence[Row], captions: Sequence[str]) -> None:
    cells = (images.read(out / stage.PICTURES / Path(row.file or "").name) for row in rows)
    images.write(out / "sheet.jpg", sheets.contact_sheet(cells, captions))


def _write_report(out: Path, summaries: object, drawn: Sequence[tuple[Picture, str]]) -> None:
    files.write_json(out / "film_report.json", summaries)
    cells, captions = (picture for picture, _ in drawn), [caption for _, caption in drawn]
    images.write(out / "film_report.jpg", sheets.contact_sheet(cells, captions, columns=4, cell_px=_THUMBNAIL_PX))


def _name_some(texts: Sequence[str]) -> str:
    """List texts, one a line, the last ones only by their number if they are many."""
    return "\n  ".join([*texts[:_MAX_NAMED], *[f"and {len(texts) - _MAX_NAMED} more"] * (len(texts) > _MAX_NAMED)])


def _find_source(params: Params, name: str) -> tuple[Path, Domain]:
    if name in params.films:
        return Path(params.films[name]), "anime"
    if name in params.footage:
        return Path(params.footage[name]), "photo"
    known = ", ".join([*params.films, *params.footage])
    raise UserError(f"{name} is neither under films: nor under footage: in params.yaml ({known})")


if __name__ == "__main__":
    stage.main_of_source("keyframes", run, load, "a name under films: or footage: in params.yaml")
