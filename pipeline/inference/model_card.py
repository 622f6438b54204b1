"""The model card: what a model is, what it learned from, how good it is, and what it may be used for."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.core.errors import UserError
from pipeline.core.text import repro_command
from pipeline.networks.weights import INIT_FROM

# Metrics of the stage `evaluate` that the card shows, and what they mean.
METRICS = {
    "score": "harmonic mean of style_score and content_similarity; higher is better",
    "style_score": "0 for the untouched photos, 1 as close to the film as the film is to itself",
    "content_similarity": "1 for the photo itself",
    "color_shift": "mean CIEDE2000 from the photo",
    "flicker": "in a slow pan; 0 is none",
}
FILES = {
    "generator.safetensors": "the weights as trained, in float32: for `genga stylize --model` and further training",
    "generator.onnx": "any ONNX runtime, float32",
    "generator-half.onnx": "the same with weights in float16: half the download, for web pages",
    "generator-int8.onnx": "8-bit convolutions except the first and the last: the smallest",
    "generator-nchw.onnx": "chaiNNer, vs-mlrt and other image programs: float32 RGB in 0..1, 1 x 3 x height x width",
    "generator.pt2": "`torch.export.load`, without this project's code",
}
RIGHTS = """\
The weights were learned from a film and from photographs, and what they produce resembles the style of the film. The rights in
the film and the photographs belong to their holders and may extend to the weights and to pictures made with them: clear it
with the holders before you share either. The code that trained the model is under the MIT license, which does not cover the
weights."""
USAGE = """\
```sh
genga stylize photo.jpg -o redrawn --model generator.onnx      # does not need torch
```

```python
import numpy as np, onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession("generator.onnx")
photo = Image.open("photo.jpg").convert("RGB")
long_side = int(session.get_modelmeta().custom_metadata_map["working_px"])
small = photo.copy()
small.thumbnail((long_side, long_side))                        # larger photos would hardly change
(picture,) = session.run(None, {"photo": np.asarray(small)[None]})  # uint8 RGB in and out, batch x height x width x 3
Image.fromarray(picture[0]).resize(photo.size, Image.Resampling.LANCZOS).save("redrawn.png")
```

```python
import torch

redraw = torch.export.load("generator.pt2").module()           # same input and output; open only files that you trust
```"""


@dataclass(frozen=True)
class Difference:
    """How much an exported file's pictures differ from those of the trained generator."""

    psnr_db: float | None
    """Peak signal-to-noise ratio; None if there is no difference."""
    color_shift: float
    """Mean CIEDE2000."""
    max_levels: int
    """Largest difference of a value, in levels of 255."""


@dataclass(frozen=True)
class TrainingFacts:
    """What is known about a model besides what its file states."""

    title: str
    learned_from: str = ""
    data: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """From the stage `evaluate`."""


def training_facts(data: Path, films: Sequence[str]) -> TrainingFacts:
    """Collect what the stages `report` and `evaluate` wrote about the data and the trained generator.

    Args:
        data: the folder data/.
        films: names of the films it was trained on.

    Raises:
        UserError: `report` or `evaluate` has not run yet.
    """
    names = ", ".join(films)
    try:
        paragraphs = (data / "report" / "card.md").read_text("utf-8").split("\n\n")
        metrics = json.loads((data / "evaluate" / "metrics.json").read_text("utf-8"))
    except FileNotFoundError as missing:
        raise UserError(f"{missing.filename} is missing: run {repro_command(Path(missing.filename))}, which makes it") from None
    return TrainingFacts(f"Genga: {names}", names, paragraphs[1] if len(paragraphs) > 1 else "", metrics)


def model_card(
    facts: TrainingFacts, metadata: Mapping[str, str], sizes: Mapping[str, int], differences: Mapping[str, Difference | None],
    samples: Sequence[str], picture_count: int, sha256: str,
) -> str:  # fmt: skip
    """Return the card as Markdown, with the front matter that model hubs read.

    Args:
        metadata: what the generator's file states about itself.
        sizes: bytes of each file, by its name (a key of `FILES`).
        differences: from the trained generator, by exported file's name; None if it was not measured.
        samples: paths, relative to the card, of pictures with the photo to the left of the result.
        picture_count: number of pictures on which differences were measured.
        sha256: digest of the trained generator's file.
    """
    parts = [
        "---\nlicense: other\nlibrary_name: genga\npipeline_tag: image-to-image\ntags: [onnx, photo-to-anime]\n---",
        f"# {facts.title}",
        f"Redraws photographs in the style of a film. Generator `{metadata.get('generator', '?')}`, trained on "
        f"{metadata.get('images_seen', '?')} images.",
        *(f"![photo and result, side by side]({name})" for name in samples),
        "## Rights",
        RIGHTS,
        *([f"The file itself states: {metadata['licence']}"] if metadata.get("licence") else []),
        *([f"Its training began with {metadata[INIT_FROM]}"] if INIT_FROM in metadata else []),
        "## Source",
        f"Trained and exported with Genga, a pipeline from film to photo-to-anime model. SHA-256 `{sha256}` of "
        "`generator.safetensors`, from which the other files are made."
        + (f" It learned from: {facts.learned_from}." if facts.learned_from else ""),
        "## Files",
        _file_table(sizes, differences),
        f"Differences from the trained generator, on {picture_count} pictures of several sizes that it was not trained on: "
        "peak signal-to-noise ratio, mean color difference (CIEDE2000; 1 is just visible), and the largest difference of a "
        "value in levels of 255."
        if picture_count
        else "Differences were not measured: there were no photos.",
        "## Usage",
        USAGE,
    ]  # fmt: skip
    if facts.metrics:
        parts += [
            "## Quality",
            f"On {facts.metrics.get('photos', 0):.0f} validation crops of photos:",
            _table(
                ["Metric", "Value", "Meaning"],
                [[name, f"{facts.metrics[name]:.3f}", text] for name, text in METRICS.items() if name in facts.metrics],
            ),
        ]
    if facts.learned_from or facts.data:
        parts += ["## Training data", f"Film: {facts.learned_from}. {facts.data}".strip()]
    if metadata.get("recipe"):
        recipe = json.dumps(json.loads(metadata["recipe"]), indent=2)
        parts += ["## Recipe", "Parameters of the training, as in params.yaml:", f"```json\n{recipe}\n```"]
    stated = [f"- {key}: {value}" for key, value in sorted(metadata.items()) if value and key not in ("recipe", "licence")]
    return "\n\n".join([*parts, "## Metadata of the file", "\n".join(stated)]) + "\n"


def _file_table(sizes: Mapping[str, int], differences: Mapping[str, Difference | None]) -> str:
    rows = []
    for name, size in sizes.items():
        difference = differences.get(name)
        if difference is None:
            measured = ["", "", ""] if name in differences else ["as trained", "", ""]
        else:
            psnr = "same" if difference.psnr_db is None else f"{difference.psnr_db:.1f} dB"
            measured = [psnr, f"{difference.color_shift:.2f}", f"{difference.max_levels}"]
        rows.append([f"`{name}`", f"{size / 1e6:.2f}", FILES[name], *measured])
    return _table(["File", "MB", "For", "PSNR", "Color", "Largest"], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])
