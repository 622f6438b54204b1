"""Hostile files, made with a seed: damaged, cut off, misnamed, of absurd size, or made to run, fetch or overwrite things."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from tests.conftest import scene, write_film

FORMATS = {"png": "PNG", "jpg": "JPEG", "gif": "GIF", "webp": "WEBP", "avif": "AVIF", "tif": "TIFF", "bmp": "BMP", "ppm": "PPM"}
FILMS = [
    *(
        ("mp4", "libx264", "yuv420p"),
        ("mkv", "libx264", "yuv420p10le"),
        ("mov", "mjpeg", "yuvj420p"),
        ("avi", "mpeg4", "yuv420p"),
    ),
    *(("ts", "mpeg2video", "yuv420p"), ("webm", "libvpx", "yuv420p"), ("mov", "qtrle", "rgb24"), ("flv", "flv", "yuv420p")),
]
NAMES = [
    b"caf\xe9.png",
    b"\x1b[2J\x1b]0;x\x07.png",
    "写".encode() * 80 + b".png",
    b"a" * 251 + b".png",
    b"new\nline.png",
    b"-o.png",
]
TEXTS = {
    "concat.mkv": "ffconcat version 1.0\nfile 'secret.mp4'\n",
    "list.ts": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://192.0.2.1/a.ts\n#EXT-X-ENDLIST\n",
    "session.mp4": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "script.png": "%!PS\n(canary) (w) file closefile\n",
    "vector.png": '<svg xmlns="http://www.w3.org/2000/svg"><image href="http://192.0.2.1/a.png"/></svg>',
    "page.jpg": "<html><script>alert(1)</script></html>",
    "empty.png": "", "empty.mp4": "", "text.jpg": "no picture\n", "text.mp4": "no film\n",
    "comments.ppm": "P6\n" + "#\n" * 200_000 + "4 4\n255\n", "values.ppm": "P3\n4 4\n255\n" + "#a\n" * 100_000 + "1 " * 48,
}  # fmt: skip


def mutated(content: bytes, rng: random.Random) -> bytes:
    """A copy that is cut off, or has some bytes changed: anywhere, near its start, or near its end."""
    kind, data = rng.randrange(5), bytearray(content)
    if kind == 0:
        return content[: rng.randrange(1, len(content))]
    if kind == 1:
        middle = rng.randrange(len(content))
        return content[:middle] + rng.randbytes(rng.randrange(1, 200)) + content[middle:]
    reach = {2: len(data), 3: min(len(data), 400), 4: min(len(data), 1500)}[kind]
    for _ in range(rng.choice((1, 3, 10, 40))):
        place = rng.randrange(reach)
        data[-1 - place if kind == 4 else place] = rng.choice((0, 127, 128, 255, rng.randrange(256)))
    return bytes(data)


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that states a size and holds a byte."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def write_pictures_and_films(folder: Path, seed: int, pictures: int = 240, films: int = 100) -> int:
    """Write hostile pictures and films, and things that are neither; return how many."""
    rng = random.Random(seed)
    folder.mkdir(parents=True)
    whole: dict[str, bytes] = {}
    for suffix, format in FORMATS.items():
        buffer = io.BytesIO()
        Image.fromarray(scene(seed, 96, 64)).save(buffer, format, **({"progressive": True} if suffix == "jpg" else {}))
        whole[suffix] = buffer.getvalue()
    for index in range(pictures):
        suffix = rng.choice(list(whole))
        named = rng.choice([suffix, suffix, suffix, *whole])
        (folder / f"picture{index}.{named}").write_bytes(mutated(whole[suffix], rng))
    sources = []
    for index, (container, codec, pixels) in enumerate(FILMS):
        path = folder / f"whole{index}.{container}"
        sources.append(write_film(path, (scene(seed, 64, 48, shift=shift) for shift in range(12)), codec=codec, pix_fmt=pixels))
    for index in range(films):
        source = rng.choice(sources)
        (folder / f"film{index}{source.suffix}").write_bytes(mutated(source.read_bytes(), rng))
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    for odd in NAMES:
        (folder / os.fsdecode(odd)).write_bytes(whole["png"])
    for width, height in ((2**31 - 1, 2**31 - 1), (65_535, 65_535), (0, 0), (1, 2**31 - 1)):
        (folder / f"size{width}x{height}.png").write_bytes(png_of_size(width, height))
    last = whole["jpg"][whole["jpg"].rindex(b"\xff\xda") : -2]
    (folder / "scans.jpg").write_bytes(whole["jpg"][:-2] + last * 300_000 + b"\xff\xd9")
    (folder / "film_named.png").write_bytes(sources[0].read_bytes())
    (folder / "picture_named.mp4").write_bytes(whole["jpg"])
    (folder / "folder.png").mkdir()
    (folder / "dangling.png").symlink_to("nowhere.png")
    (folder / "circle").symlink_to(".", target_is_directory=True)
    os.mkfifo(folder / "pipe.png")
    return sum(1 for path in folder.iterdir())


class _Runs:
    """What pickles of this would do when they are loaded."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.system, (f"touch '{self.canary}'",)


def weights(good: bytes, canary: Path, seed: int) -> list[bytes]:
    """Files of weights: `good` damaged, with absurd headers, and pickles that run something."""
    rng = random.Random(seed)
    length = struct.unpack("<Q", good[:8])[0]
    header = json.loads(good[8 : 8 + length])
    body = good[8 + length :]

    def with_header(value: object) -> bytes:
        encoded = json.dumps(value).encode()
        return struct.pack("<Q", len(encoded)) + encoded + body

    name = next(key for key in header if key != "__metadata__")
    metadata = dict(header.get("__metadata__", {}))
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("/etc/canary"))
    return [
        *(mutated(good, rng) for _ in range(20)),
        *(pickle.dumps(_Runs(canary), protocol) for protocol in (0, 2, 5)),
        b"", b"PK\x03\x04" + bytes(60), archive.getvalue(), struct.pack("<Q", 2**63) + b"{}", struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 200_000) + b"[" * 200_000,
        with_header({**header, name: {**header[name], "dtype": "F99"}}),
        with_header({**header, name: {**header[name], "shape": [2**40, 2**40]}}),
        with_header({**header, name: {**header[name], "data_offsets": [0, 2**60]}}),
        with_header({**header, name: {**header[name], "data_offsets": [-8, 4]}}),
        *(with_header({**header, "__metadata__": {**metadata, key: value}})
          for key in metadata for value in ("", "../../etc/passwd", "[" * 5000, "1e999", "nan", "{}", "10" * 400)),
    ]  # fmt: skip


def params(good: str) -> list[str]:
    """Files of parameters: nested, aliased, infinite, enormous, of the wrong types, and with tags that would run something."""
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    changes = [
        *(("workers: 0", f"workers: {value}")
          for value in ("1000000000", ".inf", "-1", "'0'", "[]", "null", "!!python/name:os.system")),
        *(("  seed: 1", f"  seed: {value}") for value in (".nan", "1e400", "99999999999999999999", "0x10", "on")),
        *(("  sample: data", f"  {name}: data")
          for name in ("../x", "a/b", "x" * 5000, "''", "1", "null", "\"\\e[2J\"", "photos")),
        ("photos: data/sample/photos", f"photos: {'a/' * 5000}"),
        ("photos: data/sample/photos", "photos: [*a39]"),
        ("films:", "films: &films\n  again: *films\nothers:"),
    ]  # fmt: skip
    return [
        *(good.replace(before, after, 1) for before, after in changes),
        *("[" * 3000, "{a: " * 3000, "- " * 3000 + "x", bomb + good, "&a [*a]"),
        *("!!python/object/apply:os.system ['touch canary']", "", "null", "1", "[]", "\0", "a: b: c", "\t"),
        *("%YAML 9.9\n---\n", "x" * 2_000_000, good + "\nunknown: 1\n", good[:500], "\ufeff\x01", "? [a]\n: b", "1: {}"),
    ]
