"""The `genga` command line. Heavy modules are imported inside the verbs, so that help and usage errors come at once."""

import math
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from pipeline.commands import recipes
from pipeline.core.errors import UserError
from pipeline.core.program import run_as_program
from pipeline.core.text import printable
from pipeline.inference.default_model import TRAINED
from pipeline.params.schema import PARAMS_FILE

MODEL = TRAINED

Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A generator's file.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 or mps; default: the GPU if there is one.")]

app = typer.Typer(
    no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Turn any film into a photo-to-anime model. The pipeline itself runs with `dvc repro`.",
)  # fmt: skip


def main() -> NoReturn:
    """Run the command line: status 0 when done, 1 if a part failed, 2 for an error of use, 130 if interrupted."""
    run_as_program("genga", lambda: app(prog_name="genga"))


def _echo(text: str, err: bool = False) -> None:
    typer.echo(printable(text), err=err)


def _show_version(wanted: bool) -> None:
    if wanted:
        from pipeline.commands.doctor import version

        typer.echo(f"genga {version()}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def _renamed_steady(value: str | None) -> None:
    if value is not None:
        raise UserError("--steady is now called --deflicker: use that")


@app.command()
def stylize(
    photos: Annotated[
        list[Path],
        typer.Argument(metavar="PHOTO...", help="Photos, films, folders (searched whole), or patterns ('*.jpg')."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder for the results, or a file (out.jpg); default: beside each photo, as photo-genga.png."
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            "-m",
            help="A generator's file, or an ONNX file (without torch); default: the one trained here, or the one that ships.",
        ),
    ] = None,
    format: Annotated[
        Literal["png", "jpg", "webp", "avif", "tif", "same"],
        typer.Option(help="same: as the photo if it can be written, else PNG. All but jpg keep transparency."),
    ] = "png",
    strength: Annotated[float, typer.Option(min=0.0, max=1.0, help="0 is the photo, 1 the drawing.")] = 1.0,
    keep_color: Annotated[bool, typer.Option("--keep-color", help="The photo's colors with the drawing's brightness.")] = False,
    side_by_side: Annotated[bool, typer.Option("--side-by-side", help="Put the photo to the left of the result.")] = False,
    metadata: Annotated[
        Literal["keep", "no-place", "drop"],
        typer.Option(help="EXIF of the photo: copy it, copy it without the location, or drop it."),
    ] = "drop",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Redraw and replace existing results; never a photo.")] = False,
    working_px: Annotated[
        int | None,
        typer.Option(
            "--working-px",
            min=0,
            metavar="N",
            help="Long side that the network sees of larger photos; 0: their own size; default: as the model's file states.",
        ),
    ] = None,
    max_megapixels: Annotated[float, typer.Option(min=0.001, help="Refuse larger photos.")] = 200.0,
    device: Device = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Redraw in float32 as in training, without OpenVINO: slower on a processor.")
    ] = False,
    deflicker: Annotated[float, typer.Option(min=0.0, max=1.0, help="Flicker to remove from films; 1 is most.")] = 0.0,
    crf: Annotated[int, typer.Option(min=0, max=51, help="Quality of films: 18 looks lossless; more is smaller.")] = 18,
    steady: Annotated[str | None, typer.Option(hidden=True, callback=_renamed_steady)] = None,
) -> None:
    """Redraw photos and films at their own size with a trained model. Results of an earlier run are kept."""
    from pipeline.commands.stylize import stylize_files
    from pipeline.film.videos import VideoOptions
    from pipeline.inference.default_model import default_model
    from pipeline.inference.open_model import open_model
    from pipeline.inference.render_options import RenderOptions
    from pipeline.inference.scaled_stylizer import WorkingPx, working_megapixels

    chosen = model or default_model()
    working: WorkingPx | None = "auto" if working_px is None else working_px or None
    report = stylize_files(
        photos,
        out,
        lambda workload: open_model(
            chosen, device, max_megapixels, exact=exact, workload_megapixels=workload, working_px=working
        ),
        network_megapixels=math.inf if working is None else working_megapixels(working),
        format=format,
        render=RenderOptions(strength, keep_color, side_by_side, metadata),
        film=VideoOptions(deflicker, crf),
        overwrite=overwrite,
    )
    _echo(report.summary(out))
    if report.failed:
        raise typer.Exit(1)


@app.command()
def export(
    model: Model = MODEL,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the files and the model card.")] = Path("export"),
    photos: Annotated[
        list[Path] | None, typer.Option(metavar="PHOTO", help="Photos or folders to measure with; default: those of data/.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
) -> None:
    """Write a generator as ONNX and torch.export files. A model card says what each (float32, half, int8) loses."""
    from pipeline.export import export_file
    from pipeline.params.schema import load

    export_file(load(), model, out, photos or [], overwrite)
    _echo(f"{out}: {', '.join(sorted(path.name for path in out.iterdir()))}")


@app.command()
def demo(
    models: Annotated[
        list[Path] | None, typer.Argument(metavar="MODEL...", help="Generators' files or ONNX files (--static: only ONNX).")
    ] = None,
    model: Annotated[
        list[Path] | None, typer.Option("--model", "-m", metavar="FILE", help="The same as MODEL; may be repeated.")
    ] = None,
    max_megapixels: Annotated[
        float | None, typer.Option(min=0.01, help="Refuse larger photos (50); with --static, offer to shrink them (16).")
    ] = None,
    host: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Where to listen; default: 127.0.0.1, only here.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: the first free one from 7860.")] = None,
    max_upload_mb: Annotated[
        float | None, typer.Option("--max-upload", min=0.001, metavar="MB", help="Refuse larger files; default: 30.")
    ] = None,
    time_limit_s: Annotated[
        float | None,
        typer.Option("--time-limit", min=0.1, metavar="SECONDS", help="Refuse photos that take longer; default: 120."),
    ] = None,
    device: Device = None,
    static: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write a page that redraws in the browser instead of serving one.")
    ] = None,
    runtime: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="With --static: an unpacked onnxruntime-web, if there is no npm.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="With --static: replace an earlier page.")] = False,
) -> None:
    """Serve a web page that redraws photos, or write a static one. That (--static) redraws in the visitor's browser."""
    files = [*(models or []), *(model or [])]
    if static is None:
        if runtime is not None or overwrite:
            raise UserError("--runtime and --overwrite go with --static FOLDER: add it, or leave them out")
        from pipeline.commands.demo import DemoOptions, serve
        from pipeline.inference.default_model import default_model

        options = DemoOptions(
            host or DemoOptions.host,
            port,
            max_megapixels or DemoOptions.max_megapixels,
            max_upload_mb or DemoOptions.max_upload_mb,
            time_limit_s or DemoOptions.time_limit_s,
            device,
        )
        serve(files or [default_model()], options)
        return
    if any(value is not None for value in (host, port, max_upload_mb, time_limit_s, device)):
        raise UserError("--host, --port, --max-upload, --time-limit and --device are for serving: leave out them or --static")
    from pipeline.commands import static_demo

    static_demo.write(static, files, runtime, max_megapixels or static_demo.DEFAULT_MAX_MEGAPIXELS, overwrite)
    _echo(f"{static}: put it on any web host, or try it: python -m http.server --directory {static} --bind 127.0.0.1")


@app.command()
def evaluate(
    model: Model,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for metrics, pictures and the page.")] = Path("evaluation"),
    against: Annotated[
        list[Path] | None, typer.Option(metavar="OTHER", help="Another generator for the same table; may be repeated.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier evaluation.")] = False,
    device: Device = None,
) -> None:
    """Measure a generator on the current data set. How similar are its pictures to the film in style, to photos in content?"""
    from pipeline.evaluation.outputs import PAGE, TABLE
    from pipeline.evaluation.runner import evaluate_files
    from pipeline.params.schema import load

    found = evaluate_files(load(), model, against or [], out, overwrite, device)
    for name in ("score", "style_score", "content_similarity"):
        if name in found:
            error = f" +- {found['style_score_error']:.3f}" if name == "style_score" else ""
            typer.echo(f"{name:<18} {found[name]:.3f}{error}")
    _echo(f"{out / PAGE}, {out / TABLE}")


@app.command()
def compare(
    ways: Annotated[
        list[str],
        typer.Argument(
            metavar="WAY...",
            help="RECIPE, RECIPE:key=value,... or NAME:key=value,... (the key recipe names one).",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the models and the page.")] = Path("comparison"),
    images: Annotated[int | None, typer.Option(min=1, help="Photos to train each on; default: as in params.yaml.")] = None,
) -> None:
    """Train other recipes on the same crops and compare all models. Writes a table and a page."""
    from pipeline.commands.compare import run
    from pipeline.evaluation.outputs import PAGE, TABLE

    run(ways, out, images)
    _echo(f"{out / 'evaluation' / PAGE}, {out / 'evaluation' / TABLE}")


@app.command()
def sweep(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME...", help="Experiments, or patterns ('grid-*'); default: all.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The page, a single file; replaces an earlier one.")] = Path(
        "sweep.html"
    ),
    every: Annotated[bool, typer.Option("--all", help="Include experiments of other commits.")] = False,
) -> None:
    """Compare DVC experiments: a table here, and a page. The page has charts and pictures of all of them."""
    from pipeline.commands.sweep import describe_best, run, terminal_table

    found = run(out, names or [], every)
    for experiment in found.missing:
        _echo(f"{experiment.name} {experiment.problem}", err=True)
    for line in terminal_table(found):
        _echo(line)
    if found.best is not None:
        _echo(describe_best(found, found.best))
    _echo(str(out))


@app.command()
def use(
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="Name of the recipe; without it, all are listed.",
            autocompletion=lambda: [*recipes.descriptions(recipes.RECIPES)],
        ),
    ] = None,
    film: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]PATH", help="Learn from this film, not from those named before; repeatable."),
    ] = None,
    photos: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Photographs to train on.")] = None,
    list_all: Annotated[bool, typer.Option("--list", help="List the recipes.")] = False,
) -> None:
    """Write a recipe's values into params.yaml. Everything else in it stays, comments too."""
    if recipe is None or list_all:
        for name, description in recipes.descriptions(recipes.RECIPES).items():
            typer.echo(f"{name:<24} {description}")
        return
    changes = recipes.use(recipe, recipes.RECIPES, PARAMS_FILE, film or [], photos)
    for change in changes:
        typer.echo(change)
    typer.echo(f"{PARAMS_FILE} now follows {recipe}: {len(changes)} values changed" + ("; next: dvc repro" if changes else ""))


@app.command()
def review(
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the page's address.")] = False,
) -> None:
    """Review and override what dedup kept and dropped. The page can be opened on this machine only; Ctrl-C ends it."""
    from pipeline.commands.review import serve
    from pipeline.core.stage import DATA
    from pipeline.params.schema import load

    serve(DATA, load().dedup, open_browser=not no_browser)


@app.command()
def watch(
    once: Annotated[bool, typer.Option("--once", help="Print the current state and exit.")] = False,
    every_s: Annotated[float, typer.Option("--every", min=0.1, metavar="SECONDS", help="Seconds between updates.")] = 2.0,
) -> None:
    """Follow a training by the files it writes. Shows speed, time left, loss terms, warnings and samples until Ctrl-C."""
    from pipeline.commands.watch import show
    from pipeline.core.stage import DATA

    show(DATA, once, every_s)


@app.command()
def pack(
    out: Annotated[Path, typer.Argument(help="Folder to write, with a folder for each set.")] = Path("shards"),
    form: Annotated[
        Literal["webdataset", "imagefolder"],
        typer.Option("--format", help="Tars, to train from here too; or pictures and metadata for Hugging Face."),
    ] = "webdataset",
    split: Annotated[Literal["train", "val", "all"], typer.Option(help="Which crops to pack.")] = "all",
    domain: Annotated[
        Literal["anime", "photo", "all"], typer.Option(help="Anime (with smoothed copies) or photos; all that there are.")
    ] = "all",
    caption: Annotated[
        str | None, typer.Option(metavar="TEMPLATE", help="With imagefolder: a caption, such as 'a scene of {source}'.")
    ] = None,
    captions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With imagefolder: captions as .jsonl or .csv (id or file_name, text).")
    ] = None,
    shard_mb: Annotated[
        float, typer.Option(min=0.001, max=8000, help="With webdataset: maximum size of a shard, in MB.")
    ] = 500.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing sets.")] = False,
) -> None:
    """Write crops as WebDataset shards or as an image folder. For sharing, or to train from (dataset: in params.yaml)."""
    from pipeline.core import manifest, stage
    from pipeline.dataset import image_folder, shards
    from pipeline.dataset import pack as packing

    if caption is not None and captions is not None:
        raise UserError("--caption and --captions exclude each other: leave one out")
    if (caption is not None or captions is not None) and form != "imagefolder":
        raise UserError("--caption and --captions go with --format imagefolder: add it, or leave them out")
    domains: list[manifest.Domain] = ["anime", "photo"] if domain == "all" else [domain]
    if domain == "all":
        there = {row.domain for row in manifest.kept(manifest.read(stage.DATA / "split"))}
        domains = [name for name in domains if name in there] or domains
    chosen: packing.Form = packing.WebDataset(shard_mb)
    if form == "imagefolder":
        template = None if caption is None else image_folder.from_template(caption)
        chosen = image_folder.ImageFolder(template if captions is None else image_folder.from_file(captions))
    for folder in packing.pack(stage.DATA, out, ["train", "val"] if split == "all" else [split], domains, chosen, overwrite):
        pictures = shards.summary(folder) if form == "webdataset" else f"{len(list(folder.glob('*.png')))} crops"
        _echo(f"{folder}: {pictures}")


@app.command()
def doctor(
    measure_s: Annotated[
        float, typer.Option("--measure", min=0.0, metavar="SECONDS", help="Measure the speed of training; 0: not at all.")
    ] = 10.0,
) -> None:
    """Check machine and project, and measure training's speed. Exits with status 1 if something is broken."""
    from pipeline.commands.doctor import examine

    broken = False
    for finding in examine(MODEL, measure_s):
        broken |= finding.state == "bad"
        mark = {"ok": "ok  ", "warn": "warn", "bad": "BAD "}[finding.state]
        typer.echo(
            f"{mark}  {finding.what:<14} {finding.text}" + (f"\n      {'':<14} -> {finding.remedy}" if finding.remedy else "")
        )
    if broken:
        raise typer.Exit(1)


if __name__ == "__main__":
    main()
