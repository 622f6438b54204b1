"""Parameters of evaluation, prediction and export."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.params.section import Count, Positive, Section


class EvaluateParams(Section):
    """What is measured on the validation photos."""

    max_photos: Count = Field(description="validation crops of photos measured, at most")
    max_film: Count = Field(description="crops of the film to compare with, unseen ones, and as many seen ones, at most")
    baselines: bool = Field(description="measure OpenCV's filters and the flattened photos too: three times the work")
    inception: bool = Field(
        description="distances in Inception features besides VGG19's, where torchvision has fetched the weights before"
    )
    flicker_frames: Annotated[int, Field(ge=0, le=32)] = Field(
        description="frames of the clip on which flicker is measured; 0 leaves it out"
    )
    grid: Annotated[int, Field(ge=1, le=64)] = Field(description="photos in the grid of pictures")


class PredictParams(Section):
    """The photos to redraw whole."""

    input: str = Field(
        description="a photo or a folder of photos of your own to redraw besides the pred split; the folder may be empty"
    )
    max_megapixels: Positive = Field(description="larger photos are refused, before they are decoded, megapixels")
    memory_mb: Positive | None = Field(
        description="what redrawing may take besides the photo, megabytes; larger photos go in strips, with the same result. "
        "null: 60 % of what is free"
    )
    strength: Annotated[float, Field(ge=0, le=1)] = Field(description="0 is the photo, 1 the drawing")
    keep_color: bool = Field(description="the photo's chroma with the drawing's luma")


class ExportParams(Section):
    """The trained generator as files for elsewhere."""

    files: list[Literal["onnx", "half", "int8", "program"]] = Field(
        description="what is made besides the safetensors file and the card: ONNX in float32, with weights in float16, with "
        "8-bit convolutions, torch.export's program; [] is nothing"
    )
    opset: Annotated[int, Field(ge=18, le=23)] = Field(
        description="version of ONNX's operators; 20 runs in every runtime of today, browsers' too"
    )
    photos: Count = Field(
        description="photos that files are measured by, and as many crops by which int8 sets its ranges, at most"
    )
    samples: Annotated[int, Field(ge=0)] = Field(description="photos shown in the model card, at most")
