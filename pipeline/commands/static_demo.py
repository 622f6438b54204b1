"""The web page that redraws in the visitor's browser: a folder that any static host serves. Nothing is uploaded.

It holds the page, the ONNX models, and onnxruntime-web, which is fetched once from the npm registry at a pinned version whose
digest is checked, and kept in the user's cache.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import logging
import os
import re
import secrets
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline import web
from pipeline.core import files
from pipeline.core.errors import UserError
from pipeline.inference.onnx_stylizer import SUFFIX, OnnxStylizer

PAGES = Path(web.__file__).parent / "pages"
PAGE = {"demo.html": "index.html", "demo.css": "demo.css", "demo.js": "demo.js", "demo_worker.js": "demo_worker.js"}
PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
# The processor's build, and the one that has graphics cards too: a browser loads one of them.
RUNTIME = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)
MODELS = "models.json"
# What hosts that know such a file (Netlify, Cloudflare) then send: with them a browser lends the page all its cores.
HEADERS = "/*\n  Cross-Origin-Opener-Policy: same-origin\n  Cross-Origin-Embedder-Policy: require-corp\n"
LICENCES = """\
The models learned from films and photographs, whose rights stay with those who hold them and may bear on the models and on
pictures made with them. Of each model its file says:

{models}

The page is part of Genga (MIT licence). ort/ is onnxruntime-web {version}, copyright Microsoft Corporation, MIT licence:

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software
is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES
OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE
LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR
IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""

log = logging.getLogger("genga")


def write(
    out: Path, models: Sequence[Path], runtime: Path | None = None, max_megapixels: float = 4.0, overwrite: bool = False
) -> None:
    """Write the page's folder: whole or not at all.

    Args:
        models: ONNX files, the first is chosen at first; the page calls them by their files' names.
        runtime: an unpacked folder of onnxruntime-web, where npm is not at hand.
        max_megapixels: larger photos are offered to be redrawn smaller; a browser has 4 GB for all at most.

    Raises:
        UserError: a model is none, `out` is there already, or onnxruntime-web cannot be had.
    """
    if out.exists() and not overwrite:
        raise UserError(f"{out} exists already: give another folder, or --overwrite")
    if out.exists() and not (out / MODELS).is_file():
        raise UserError(f"{out} was not written by genga demo and stays: give another folder")
    if not models:
        raise UserError("no model: name at least one ONNX file (--model), as genga export writes them")
    names = name_models(models)
    rights = {name: _rights(path) for name, path in names.items()}
    runtime_files = read_package(runtime) if runtime else read_archive(fetch(cache()))
    aside = out.resolve().with_name(f".{out.resolve().name}.{os.getpid()}")
    try:
        (aside / "models").mkdir(parents=True)
        (aside / "ort").mkdir()
        for source, target in PAGE.items():
            shutil.copyfile(PAGES / source, aside / target)
        for name, content in runtime_files.items():
            (aside / "ort" / name).write_bytes(content)
        for name, path in names.items():
            shutil.copyfile(path, aside / "models" / f"{name}{SUFFIX}")
        listed = [{"name": name, "file": f"models/{name}{SUFFIX}"} for name in names]
        files.write_json(aside / MODELS, {"max_megapixels": max_megapixels, "models": listed})
        told = "\n".join(f"{name}: {text}" for name, text in rights.items())
        (aside / "licences.txt").write_text(LICENCES.format(models=told, version=VERSION), "utf-8")
        (aside / "_headers").write_text(HEADERS, "utf-8")
        files.replace_folder(aside, out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def name_models(models: Sequence[Path]) -> dict[str, Path]:
    """What the page calls each model: its file's name, fit for an address; no two alike."""
    names: dict[str, Path] = {}
    for path in models:
        if path.suffix.lower() != SUFFIX:
            raise UserError(f"{path} is no ONNX file: genga export {path} writes some")
        name = stem = re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem).strip("-") or "model"
        number = 2
        while name.lower() in {taken.lower() for taken in names}:
            name, number = f"{stem}-{number}", number + 1
        names[name] = path
    return names


def _rights(model: Path) -> str:
    return OnnxStylizer(model, "cpu").metadata.get("licence", "nothing.")


def cache() -> Path:
    """Where packages are kept between calls."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genga"


def fetch(folder: Path) -> Path:
    """onnxruntime-web's archive, fetched by npm into `folder` unless it is there; its digest is checked either way.

    Raises:
        UserError: npm is not installed or failed, or what came is something else.
    """
    archive = folder / f"{PACKAGE}-{VERSION}.tgz"
    remedy = f"or give --runtime FOLDER, an unpacked {PACKAGE} {VERSION}"
    if archive.is_file():
        if _is_ours(archive.read_bytes()):
            return archive
        log.warning("%s is damaged and fetched anew", archive)
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(f"{PACKAGE} is fetched by npm, which is not installed: install Node.js, {remedy}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        log.info("fetching %s %s", PACKAGE, VERSION)
        command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--silent", "--ignore-scripts"]
        done = subprocess.run(command, cwd=aside, capture_output=True, text=True, check=False)
        come = Path(aside) / archive.name
        if done.returncode or not come.is_file():
            said = " ".join((done.stderr or done.stdout).split())[:200]
            raise UserError(f"npm could not fetch {PACKAGE} {VERSION} ({said or 'it says nothing'}): connect, {remedy}")
        if not _is_ours(come.read_bytes()):
            raise UserError(f"what npm brought as {PACKAGE} {VERSION} is something else: use another registry, {remedy}")
        os.replace(come, archive)
    return archive


def _is_ours(content: bytes) -> bool:
    found = base64.b64encode(hashlib.sha512(content).digest()).decode()
    return secrets.compare_digest(found, SHA512)


def read_archive(archive: Path) -> dict[str, bytes]:
    """The runtime's files out of npm's archive; nothing is unpacked."""
    with tarfile.open(fileobj=io.BytesIO(archive.read_bytes())) as tar:
        found = {name: tar.extractfile(f"package/dist/{name}") for name in RUNTIME}
        return {name: file.read() for name, file in found.items() if file is not None}


def read_package(folder: Path) -> dict[str, bytes]:
    """The runtime's files out of an unpacked package (or its folder dist).

    Raises:
        UserError: they are not there, or of another version.
    """
    try:
        told: Mapping[str, str] = json.loads((folder / "package.json").read_text("utf-8"))
        files = {name: (folder / "dist" / name).read_bytes() for name in RUNTIME}
    except (OSError, ValueError):
        raise UserError(f"{folder} is no unpacked {PACKAGE}: give the folder that holds its package.json and dist") from None
    if (told.get("name"), told.get("version")) != (PACKAGE, VERSION):
        raise UserError(f"{folder} is {told.get('name')} {told.get('version')}: give {PACKAGE} {VERSION}")
    return files
