"""Decoding a stranger's picture in a process of its own, within limits of time and memory: no decoder can be stopped midway."""

import multiprocessing
import resource
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from pipeline.core.errors import UserError
from pipeline.media import images
from pipeline.media.images import Photo

_BYTES_PER_PIXEL = 40  # of a picture while it is decoded, turned and converted
_BASE_MB = 300  # for the libraries' own use meanwhile

# A server that has imported everything starts a process in milliseconds; none is forked from one that has threads.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload([__name__])


def read_photo(path: Path, max_megapixels: float, data: bytes, limit_s: float) -> Photo:
    """Decode a picture with its transparency, but without its metadata (`exif` is None), in a process of its own.

    Args:
        path: serves messages only.
        data: the file's content.
        limit_s: seconds after which the process is killed.

    Raises:
        UserError: it cannot be decoded, is larger than `max_megapixels`, takes more than `limit_s`, or more memory than
            pictures of that size take.
    """
    receiver, sender = _PROCESSES.Pipe(duplex=False)
    memory_mb = _BASE_MB + _BYTES_PER_PIXEL * max_megapixels
    process = _PROCESSES.Process(target=_decode, args=(sender, path, max_megapixels, data, memory_mb), daemon=True)
    process.start()
    sender.close()
    try:
        if not receiver.poll(limit_s):
            raise UserError(f"{path} takes more than {limit_s:g} s to decode: save it anew as an ordinary JPEG or PNG")
        decoded: Photo | str = receiver.recv()
    except EOFError:
        raise UserError(f"{path} cannot be decoded in {memory_mb:.0f} MB: save it anew as an ordinary JPEG or PNG") from None
    finally:
        process.kill()
        process.join()
        receiver.close()
    if isinstance(decoded, str):
        raise UserError(decoded)
    return decoded


def _decode(sender: Connection, path: Path, max_megapixels: float, data: bytes, memory_mb: float) -> None:
    # Besides what the process has from its start: the server of processes may have been started by something larger.
    limit = psutil.Process().memory_info().data + int(memory_mb * 1e6)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    try:
        photo = images.read_photo(path, max_megapixels, data)
        sender.send(photo._replace(exif=None))
    except UserError as error:
        sender.send(str(error))
