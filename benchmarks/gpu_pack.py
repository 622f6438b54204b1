"""Carries a data set to a machine with a GPU: crops as JPEG in small tar files, of which data/ is made there.

    FOLDER/anime/FILM.tar, photo.tar, redraw.tar

Lossless crops of a useful number would not fit through a narrow link. At quality 93 without chroma subsampling a crop takes a
third of its PNG, and photos and drawings are treated alike, so that a discriminator cannot tell them by it.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import cv2
from PIL import Image

from pipeline.core import manifest, stage
from pipeline.core.manifest import Domain, Row, Split
from pipeline.edge_smooth import scale_params, smooth_edges
from pipeline.media import images
from pipeline.media.images import Picture
from pipeline.params.data import EdgeSmoothParams

QUALITY = 93
SPLITS: tuple[Split, ...] = ("train", "val")


def pack(data: Path, films: Sequence[str], count: dict[str, int], redraw: Path, out: Path) -> dict[str, int]:
    """Write crops of a project, evenly spread over its films and photos, and whole photos to redraw; return bytes by file.

    Args:
        data: the folder data/ of a project whose stage split has run.
        count: most training crops of each of `films`, and of `photo`; a tenth as many for validation are added.
        redraw: folder of photos that were not trained on.
    """
    rows = manifest.read(data / "split")
    sizes = {}
    for name in (*films, "photo"):
        domain: Domain = "photo" if name == "photo" else "anime"
        of_set = [
            row for row in rows if row.domain == domain and row.reason is None and (domain == "photo" or row.source == name)
        ]
        members: list[tuple[str, Picture]] = []
        for split in SPLITS:
            chosen = [row for row in of_set if row.split == split]
            most = count[name] if split == "train" else max(8, count[name] // 10)
            for row in chosen if len(chosen) <= most else [chosen[index * len(chosen) // most] for index in range(most)]:
                members.append((f"{split}/{row.id}.jpg", images.read(manifest.file_of(row, data.parent))))
        path = out / "photo.tar" if domain == "photo" else out / "anime" / f"{name}.tar"
        sizes[path.name] = _write_tar(path, members)
    photos = ((f"{path.stem}.jpg", images.read(path)) for path in images.find(redraw))
    sizes["redraw.tar"] = _write_tar(out / "redraw.tar", photos)
    return sizes


def unpack(packed: Path, film: str, smoothing: EdgeSmoothParams, project: Path) -> None:
    """Write data/ of a project that trains on one film: crops, edge-smoothed copies, and the manifest of data/split."""
    rows: list[Row] = []
    smoothed_folder = project / "data" / "edge_smooth" / stage.PICTURES / film
    domains: tuple[tuple[Domain, str, Path], ...] = (
        ("anime", film, packed / "anime" / f"{film}.tar"),
        ("photo", "photos", packed / "photo.tar"),
    )
    for domain, source, tar in domains:
        folder = project / "data" / "crop" / stage.PICTURES / domain / source
        folder.mkdir(parents=True)
        if domain == "anime":
            smoothed_folder.mkdir(parents=True)

        def write(member: tuple[str, bytes], source: str = source, domain: Domain = domain, folder: Path = folder) -> Row:
            name, content = member
            path, split = folder / f"{PurePosixPath(name).stem}.png", PurePosixPath(name).parts[0]
            picture = decode(content)
            _write_png(path, picture)
            if domain == "anime":
                smoothed = smooth_edges(picture, scale_params(smoothing, picture.shape[0]))
                _write_png(smoothed_folder / path.name, smoothed)
            relative = path.relative_to(project).as_posix()
            side = picture.shape[0]
            given = {"id": path.stem, "domain": domain, "source": source, "file": relative, "split": split}
            return Row.model_validate(given | {"width_px": side, "height_px": side, "shot": path.stem})

        with ThreadPoolExecutor() as pool:  # OpenCV releases the GIL
            of_domain = list(pool.map(write, read_tar(tar)))
        rows += of_domain
        if domain == "anime":
            about = project / "data" / "edge_smooth" / stage.ABOUT / film
            about.mkdir(parents=True)
            place = smoothed_folder.relative_to(project).as_posix()
            manifest.write(about, [row.model_copy(update={"file": f"{place}/{row.id}.png"}) for row in of_domain])
    (project / "data" / "split").mkdir()
    (project / "data" / "styles").mkdir()
    manifest.write_by_domain(project / "data" / "split", rows)


def read_tar(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of each file of a tar."""
    with tarfile.open(path) as tar:
        for member in tar:
            content = tar.extractfile(member)
            assert content is not None
            yield member.name, content.read()


def decode(content: bytes) -> Picture:
    """Decode a JPEG: uint8 RGB HxWx3."""
    return images.read(Path("packed.jpg"), data=content)


def encode(picture: Picture) -> bytes:
    """Encode a picture as JPEG without chroma subsampling."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    return buffer.getvalue()


def _write_tar(path: Path, pictures: Sequence[tuple[str, Picture]] | Iterator[tuple[str, Picture]]) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for index, (name, picture) in enumerate(pictures):
            content = encode(picture)
            # A plain tar header holds 100 characters.
            header = tarfile.TarInfo(name if len(name) < 100 else f"{PurePosixPath(name).parent}/{index:06d}.jpg")
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    return path.stat().st_size


def _write_png(path: Path, picture: Picture) -> None:
    cv2.imwrite(str(path), picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
