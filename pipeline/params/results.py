"""Parameters of evaluation, prediction and export."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.params.section import Count, Fraction, Positive, Section


class EvaluateParams(Section):
    """What is measured on the validation photos."""

    max_photos: Count = Field(description="most validation crops of photos that are measured")
    max_film: Count = Field(description="most film crops to compare with: this many of validation, and as many of training")
    baselines: bool = Field(description="measure OpenCV's stylization filters too, in three times the time")
    flicker_frames: Annotated[int, Field(ge=0, le=32)] = Field(
        description="frames of the clip on which flicker is measured; 0: not measured"
    )
    size_photos: Annotated[int, Field(ge=0)] = Field(
        description="most whole photos of the pred split (if none: of the val split) that are redrawn at 512, 1024, 2048 and "
        "4096 pixels, to measure whether the look depends on the size; 0: not measured"
    )
    grid: Annotated[int, Field(ge=1, le=64)] = Field(description="photos in the grid of pictures")


class PredictParams(Section):
    """The photos that are redrawn whole."""

    input: str = Field(description="a photo, or a folder of photos (may be empty), redrawn besides the pred split")
    max_megapixels: Positive = Field(description="size above which a photo is refused before it is decoded, in megapixels")
    working_px: Literal["auto"] | Annotated[int, Field(ge=64)] | None = Field(
        description="long side at which larger photos go through the network, in pixels; the drawing is enlarged to their "
        "size. auto: as the generator's file states, by the crops it learned from; null: the photo's own size"
    )
    strength: Fraction = Field(description="blend between the photo (0) and the result (1)")
    keep_color: bool = Field(description="combine the photo's chroma with the result's luma")


class ExportParams(Section):
    """The trained generator in file formats for other programs."""

    files: list[Literal["onnx", "half", "int8", "planes", "program"]] = Field(
        description="formats written besides the safetensors file and the model card: ONNX in float32 (onnx), with float16 "
        "weights (half), with 8-bit convolutions (int8), with float planes for image programs (planes); torch.export's program"
    )
    opset: Annotated[int, Field(ge=18, le=23)] = Field(
        description="ONNX opset version; 20 runs in all current runtimes, including browsers"
    )
    photos: Count = Field(
        description="most photos on which the files are compared with PyTorch, and most crops that calibrate int8"
    )
    samples: Annotated[int, Field(ge=0)] = Field(description="most photos shown in the model card")
