"""Gets onnxruntime-web for the static demo: from npm, at a pinned version with a known digest, or from an unpacked package."""

import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from pipeline.core.errors import UserError, log

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
# One build for the processor and one that can also use WebGPU; a browser loads one of them.
FILES = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)


def cache_folder() -> Path:
    """Return the user's cache folder, in which the package is kept; it may not exist yet."""
    return platformdirs.user_cache_path("genga")


def fetch(folder: Path) -> Path:
    """Return the package's archive in `folder`, fetched by npm unless it is there with the right digest.

    Raises:
        UserError: npm is not installed or failed, or brought something else.
    """
    archive = folder / f"{PACKAGE}-{VERSION}.tgz"
    alternative = f"or give --runtime FOLDER, an unpacked {PACKAGE} {VERSION}"
    if archive.is_file():
        if _is_genuine(archive):
            return archive
        log.warning("%s is damaged: fetching it again", archive)
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(f"{PACKAGE} is fetched by npm, which is not installed: install Node.js, {alternative}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        log.info("fetching %s %s", PACKAGE, VERSION)
        command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--silent", "--ignore-scripts"]
        done = subprocess.run(command, cwd=temporary, capture_output=True, text=True, check=False)
        fetched = Path(temporary) / archive.name
        if done.returncode or not fetched.is_file():
            output = " ".join((done.stderr or done.stdout).split())[:200] or "without a message"
            raise UserError(f"npm could not fetch {PACKAGE} {VERSION} ({output}): connect to the network, {alternative}")
        if not _is_genuine(fetched):
            raise UserError(f"npm brought something else as {PACKAGE} {VERSION}: use another registry, {alternative}")
        os.replace(fetched, archive)
    return archive


def _is_genuine(archive: Path) -> bool:
    return base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() == SHA512


def read_archive(archive: Path) -> dict[str, bytes]:
    """Read `FILES` from npm's archive: name -> content."""
    with tarfile.open(fileobj=io.BytesIO(archive.read_bytes())) as tar:
        members = {name: tar.extractfile(f"package/dist/{name}") for name in FILES}
        return {name: file.read() for name, file in members.items() if file is not None}


def read_package(folder: Path) -> dict[str, bytes]:
    """Read `FILES` from an unpacked package: name -> content.

    Raises:
        UserError: the folder holds no such package, or another version.
    """
    try:
        package: Mapping[str, str] = json.loads((folder / "package.json").read_text("utf-8"))
        contents = {name: (folder / "dist" / name).read_bytes() for name in FILES}
    except (OSError, ValueError):
        raise UserError(f"{folder} is no unpacked {PACKAGE}: give the folder with its package.json and dist") from None
    if (package.get("name"), package.get("version")) != (PACKAGE, VERSION):
        raise UserError(f"{folder} is {package.get('name')} {package.get('version')}: give {PACKAGE} {VERSION}")
    return contents
