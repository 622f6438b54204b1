"""Photo files through a stylizer: decoded ahead of it and encoded behind it on other threads."""

import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.core.errors import UserError
from pipeline.inference.render_options import RenderOptions
from pipeline.inference.stylizer import Stylizer, batch_size
from pipeline.media import arrays, images
from pipeline.media.images import Photo, Picture

MAX_WAITING = 3  # photos decoded before their turn, and results waiting to be encoded
MAX_WAITING_MEGAPIXELS = 60.0


@dataclass
class Result:
    """Outcome for one file: a result with its digest, or an error."""

    source: Path
    target: Path
    digest: str | None = None
    """Digest of the file written; None if there is none."""
    error: str | None = None
    """Why nothing was written; names the source."""
    width_px: int = 0
    height_px: int = 0
    thumbnails: tuple[Picture, Picture] | None = None
    """Photo and result, shrunk, if asked for."""

    def fail(self, error: object) -> None:
        """Set `error` to why there is no result, with the source in front unless the text names it."""
        text = str(error)
        self.error = text if str(self.source) in text else f"{self.source}: {text}"


def stylize_photos(
    plan: Sequence[tuple[Path, Path]],
    stylizer: Stylizer,
    options: RenderOptions,
    thumbnail_px: int = 0,
    before_visible: Callable[[Path, Path, str], None] | None = None,
) -> Iterator[Result]:
    """Redraw photos and yield a result for each, in order; of a photo that cannot be read or redrawn, an error.

    Neighbors of one size go through the network together. Missing target folders are created.

    Args:
        plan: pairs of a photo and the file to write.
        thumbnail_px: longer side of the thumbnails to return; 0 for none.
        before_visible: called with source, target and digest before a result appears under its name, on another thread.

    Raises:
        UserError: the target folder cannot be written to.
    """
    with ThreadPoolExecutor(2, "photos") as pool:
        encoding: deque[Future[Result]] = deque()
        for batch in _batches(_decode(plan, pool, stylizer.max_megapixels)):
            drawings = _stylize(batch, stylizer)
            for (result, photo), drawing in zip(batch, drawings, strict=True):
                encoding.append(pool.submit(_encode, result, photo, drawing, options, thumbnail_px, before_visible))
            large = any(photo and photo.picture.size > 3e6 * MAX_WAITING_MEGAPIXELS / MAX_WAITING for _, photo in batch)
            while len(encoding) > (0 if large else MAX_WAITING):
                yield encoding.popleft().result()
        while encoding:
            yield encoding.popleft().result()


_Decoded = tuple[Result, Photo | None]  # None: the result holds the error


def _decode(plan: Sequence[tuple[Path, Path]], pool: ThreadPoolExecutor, max_megapixels: float) -> Iterator[_Decoded]:
    """Decode photos in order, as many of them ahead as memory easily holds."""
    waiting: deque[tuple[Path, Path, float, Future[Photo]]] = deque()

    def take() -> _Decoded:
        source, target, _, future = waiting.popleft()
        result = Result(source, target)
        try:
            return result, future.result()
        except UserError as error:
            result.fail(error)
            return result, None

    for source, target in plan:
        megapixels = min(images.megapixels_of(source), max_megapixels)
        while waiting and (
            len(waiting) >= MAX_WAITING or sum(item[2] for item in waiting) + megapixels > MAX_WAITING_MEGAPIXELS
        ):
            yield take()
        waiting.append((source, target, megapixels, pool.submit(images.read_photo, source, max_megapixels)))
    while waiting:
        yield take()


def _batches(decoded: Iterator[_Decoded]) -> Iterator[list[_Decoded]]:
    for size, group in itertools.groupby(decoded, lambda item: item[1].picture.shape[:2] if item[1] else None):
        while batch := list(itertools.islice(group, batch_size(*size) if size else 1)):
            yield batch


def _stylize(batch: list[_Decoded], stylizer: Stylizer) -> list[Picture | None]:
    """Redraw the photos of a batch; if that fails, record the error in each of their results."""
    pictures = [
        photo.picture if photo.alpha is None else arrays.fill_transparent(photo.picture, photo.alpha)
        for _, photo in batch
        if photo
    ]
    if not pictures:
        return [None] * len(batch)
    try:
        return [*stylizer.stylize_batch(pictures)]
    except UserError as error:
        for result, _ in batch:
            result.fail(error)
        return [None] * len(batch)


def _encode(
    result: Result,
    photo: Photo | None,
    drawing: Picture | None,
    options: RenderOptions,
    thumbnail_px: int,
    before_visible: Callable[[Path, Path, str], None] | None,
) -> Result:
    if photo is None or drawing is None:
        return result
    picture = options.render(photo, drawing)
    result.height_px, result.width_px = picture.shape[:2]
    record = functools.partial(before_visible, result.source, result.target) if before_visible else None
    try:
        result.target.parent.mkdir(parents=True, exist_ok=True)
        result.digest = images.write(result.target, picture, options.exif(photo), record)
    except (OSError, ValueError) as error:
        # Encoders have limits of their own, such as 65,535 pixels a side for JPEG: errors without an errno.
        if getattr(error, "errno", None) is None:
            result.fail(f"{result.source}: {result.target} cannot be encoded ({error}): choose another format")
            return result
        # A full or read-only disk would refuse the next photo too.
        assert isinstance(error, OSError)
        raise UserError(f"{result.target} cannot be written ({error.strerror}): make room, or give another folder") from None
    if thumbnail_px:
        opaque = np.ascontiguousarray(picture[..., :3])
        result.thumbnails = (arrays.shrink(photo.picture, thumbnail_px), arrays.shrink(opaque, thumbnail_px))
    return result
