"""The card that travels with a model: what it is, what it learned from, what it does well, what it may be used for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.core.errors import UserError
from pipeline.params.schema import Params

# What is worth a line of what `evaluate` measured, and how it is to be read.
TOLD = {
    "score": "harmonic mean of style_score and content_similarity; higher is better",
    "style_score": "0 the untouched photos, 1 as near to the film as the film is to itself",
    "content_similarity": "1 the photo",
    "color_shift": "mean CIEDE2000 from the photo",
    "flicker": "of a slow pan; 0 is none",
}
SAID = {
    "generator.safetensors": "the weights as trained, float32: `genga stylize --model`, further training",
    "generator.onnx": "any ONNX runtime, float32",
    "generator-half.onnx": "the same with weights stored in float16: half the download, for web pages",
    "generator-int8.onnx": "8-bit convolutions, but the first and last: the smallest",
    "generator.pt2": "`torch.export.load`, without this project's code",
}
RIGHTS = """\
The weights learned from a film and from photographs, and what they make resembles the film's look. Rights in the film and in
the photographs stay with those who hold them, and may bear on the weights and on pictures made with them: sharing either is
between you and them. The code that trained it is under the MIT licence, which says nothing about the weights."""
USE = """\
```sh
genga stylize photo.jpg -o redrawn --model generator.onnx      # torch is not needed
```

```python
import numpy as np, onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession("generator.onnx")
photo = np.asarray(Image.open("photo.jpg").convert("RGB"))
(picture,) = session.run(None, {"photo": photo[None]})         # uint8 RGB in and out, batch x height x width x 3, any size
Image.fromarray(picture[0]).save("redrawn.png")
```

```python
import torch

redraw = torch.export.load("generator.pt2").module()           # the same bytes in and out; open only files that you trust
```
"""


@dataclass(frozen=True)
class Loss:
    """How far an exported file's pictures are from those of the generator as trained."""

    psnr_db: float | None
    """None where there is no difference."""
    color_shift: float
    max_levels: int


@dataclass(frozen=True)
class Card:
    """What is known of a model besides what its own file says."""

    title: str
    learned_from: str = ""
    data: str = ""
    measured: Mapping[str, float] = field(default_factory=dict)


def gather(data: Path, params: Params) -> Card:
    """What the stages before know of the generator that they trained."""
    films = ", ".join(params.films)
    card = data / "report" / "card.md"
    try:
        told = card.read_text("utf-8").split("\n\n")
        measured = json.loads((data / "evaluate" / "metrics.json").read_text("utf-8"))
    except FileNotFoundError as missing:
        raise UserError(f"{missing.filename} is missing: run dvc repro, which makes it") from None
    return Card(f"Genga: {films}", films, told[1] if len(told) > 1 else "", measured)


def write(
    card: Card, metadata: Mapping[str, str], sizes: Mapping[str, int], losses: Mapping[str, Loss | None],
    samples: Sequence[str], judged: int,
) -> str:  # fmt: skip
    """The card as Markdown, with the head that model hubs read.

    Args:
        sizes: bytes of each file.
        losses: of each file that is another than the one trained; None where there was nothing to judge by.
        samples: pictures, photo left, result right.
        judged: number of pictures that losses were measured on.
    """
    parts = [
        "---\nlicense: other\nlibrary_name: genga\npipeline_tag: image-to-image\ntags: [onnx, photo-to-anime]\n---",
        f"# {card.title}",
        f"Redraws photographs in the look of a film. Network `{metadata.get('generator', '?')}`, "
        f"{metadata.get('images_seen', '?')} pictures seen in training.",
        *(f"![photo and result, side by side]({name})" for name in samples),
        "## Rights",
        RIGHTS,
        *([f"Of itself the file says: {metadata['licence']}"] if metadata.get("licence") else []),
        "## Files",
        _files(sizes, losses),
        _measured(judged),
        "## Use",
        USE.strip(),
    ]  # fmt: skip
    if card.measured:
        lines = [f"| {name} | {card.measured[name]:.3f} | {said} |" for name, said in TOLD.items() if name in card.measured]
        table = "\n".join(["| What | Value | Meaning |", "|---|---:|---|", *lines])
        parts += ["## How good it is", f"On {card.measured.get('photos', 0):.0f} crops of photos it never saw:", table]
    if card.learned_from or card.data:
        parts += ["## What it learned from", f"Film: {card.learned_from}. {card.data}".strip()]
    if recipe := _recipe(metadata.get("recipe", "")):
        parts += ["## Recipe", "Parameters of its training, as in params.yaml:", f"```json\n{recipe}\n```"]
    known = {key: metadata[key] for key in sorted(metadata) if key not in ("recipe", "licence") and metadata[key]}
    parts += ["## What the file says of itself", "\n".join(f"- {key}: {value}" for key, value in known.items())]
    return "\n\n".join(parts) + "\n"


def _measured(judged: int) -> str:
    if not judged:
        return "Not measured: there were no photos to measure by."
    return (
        f"Measured on {judged} pictures of several sizes, none of which it was trained on, against the generator as trained: "
        "peak signal-to-noise ratio, mean colour difference (CIEDE2000; 1 is just visible), and the largest step of any value "
        "in levels of 255."
    )


def _files(sizes: Mapping[str, int], losses: Mapping[str, Loss | None]) -> str:
    lines = ["| File | MB | For | PSNR | Colour | Largest |", "|---|---:|---|---:|---:|---:|"]
    for name, size in sizes.items():
        loss = losses.get(name)
        if loss is None:
            told = "| | | |" if name in losses else "| as trained | | |"
        else:
            similarity = "same" if loss.psnr_db is None else f"{loss.psnr_db:.1f} dB"
            told = f"| {similarity} | {loss.color_shift:.2f} | {loss.max_levels} |"
        lines.append(f"| `{name}` | {size / 1e6:.2f} | {SAID[name]} {told}")
    return "\n".join(lines)


def _recipe(text: str) -> str:
    try:
        tree: Any = json.loads(text)
    except ValueError:
        return ""
    return json.dumps(tree, indent=2)
