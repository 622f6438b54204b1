"""`genga demo --static`: writes a web page that redraws in the visitor's browser, for any static host. Nothing is uploaded.

The folder holds the page, ONNX models and onnxruntime-web.
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from pipeline.commands import onnxruntime_web
from pipeline.core import files
from pipeline.core.errors import UserError
from pipeline.inference.onnx_stylizer import SUFFIX, OnnxStylizer
from pipeline.inference.scaled_stylizer import stated_working_px
from pipeline.web.render import STATIC, render

DEFAULT_MAX_MEGAPIXELS, MAX_MEGAPIXELS = 16.0, 50.0  # Safari's largest canvas; a browser lends a page 4 GB at most
PAGE_FILES = ("style.css", "demo.js", "demo_worker.js", "upscaling.js")
MODELS = "models.json"
# For hosts that read such a file (Netlify, Cloudflare): these headers let a page use all cores.
HEADERS = "/*\n  Cross-Origin-Opener-Policy: same-origin\n  Cross-Origin-Embedder-Policy: require-corp\n"


def write(
    out: Path,
    models: Sequence[Path],
    runtime: Path | None = None,
    max_megapixels: float = DEFAULT_MAX_MEGAPIXELS,
    overwrite: bool = False,
) -> None:
    """Write the page's folder, whole or not at all.

    Args:
        models: ONNX files; the first one is selected when the page opens.
        runtime: an unpacked onnxruntime-web; None to fetch it with npm.
        max_megapixels: the page offers to shrink larger photos.
        overwrite: replace an earlier page in `out`.

    Raises:
        UserError: there is no model, a file is none, `out` exists and is not to be replaced, `max_megapixels` is over
            `MAX_MEGAPIXELS`, or onnxruntime-web cannot be had.
    """
    if max_megapixels > MAX_MEGAPIXELS:
        limit = f"give {MAX_MEGAPIXELS:g} or less"
        raise UserError(f"--max-megapixels {max_megapixels:g} is more than a browser's memory can hold: {limit}")
    files.check_replaceable(out, MODELS, "genga demo", overwrite)
    if not models:
        raise UserError("no model: name at least one ONNX file (--model), as genga export writes them")
    if others := [path for path in models if path.suffix.lower() != SUFFIX]:
        raise UserError(f"{others[0]} is no ONNX file: make one with genga export {others[0]}")
    names = name_models(models)
    metadata = {name: OnnxStylizer(path, "cpu").metadata for name, path in names.items()}
    rights = [f"{name}: {facts.get('licence', 'nothing.')}" for name, facts in metadata.items()]
    if runtime is None:
        runtime_files = onnxruntime_web.read_archive(onnxruntime_web.fetch(onnxruntime_web.cache_folder()))
    else:
        runtime_files = onnxruntime_web.read_package(runtime)
    with files.replacing_folder(out) as temporary:
        (temporary / "models").mkdir()
        (temporary / "ort").mkdir()
        (temporary / "index.html").write_text(render("demo.html"), "utf-8")
        for name in PAGE_FILES:
            shutil.copyfile(STATIC / name, temporary / name)
        for name, content in runtime_files.items():
            (temporary / "ort" / name).write_bytes(content)
        for name, path in names.items():
            shutil.copyfile(path, temporary / "models" / f"{name}{SUFFIX}")
        listed = [
            {"name": name, "file": f"models/{name}{SUFFIX}", "working_px": stated_working_px(facts)}
            for name, facts in metadata.items()
        ]
        files.write_json(temporary / MODELS, {"max_megapixels": max_megapixels, "models": listed})
        licenses = render("static_demo_licenses.txt", models="\n".join(rights), version=onnxruntime_web.VERSION)
        (temporary / "licenses.txt").write_text(licenses, "utf-8")
        (temporary / "_headers").write_text(HEADERS, "utf-8")


def name_models(models: Sequence[Path]) -> dict[str, Path]:
    """Give each model a name that is fit for a URL: its file's, without folders; numbered if it is taken in any case."""
    names: dict[str, Path] = {}
    for path in models:
        name = stem = re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem).strip("-") or "model"
        number = 2
        while name.lower() in {taken.lower() for taken in names}:
            name, number = f"{stem}-{number}", number + 1
        names[name] = path
    return names
