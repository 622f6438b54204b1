"""Parameters of the stages that make the data set."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.params.section import Count, Fraction, NotNegative, Positive, Section, Seed


class SampleParams(Section):
    """The film that the project draws for itself, so that a fresh clone has something to learn from."""

    seed: Seed = Field(description="seed of everything drawn")
    width_px: Annotated[int, Field(ge=160, le=3840, multiple_of=16)] = Field(description="width of the film; height is 9/16")
    fps: Annotated[int, Field(ge=6, le=60)] = Field(description="frames a second")


class KeyframesParams(Section):
    """Which frames of a film are worth keeping."""

    detector: Literal["adaptive", "content", "histogram", "hash"] = Field(description="PySceneDetect's detector of cuts")
    threshold: Positive | None = Field(description="the detector's own threshold; null is PySceneDetect's default")
    min_shot_s: NotNegative = Field(description="a cut closer than this to the last one is not a cut, seconds")
    decode: Literal["all", "reference", "key"] = Field(
        description="frames looked at. reference: those that others are predicted from (B-frames, coded worst, are mostly left "
        "out, for half the work); all; key: those that stand alone, a quick draft that may miss most shots"
    )
    per_shot: Count = Field(description="frames kept of a shot, at most")
    min_gap_s: NotNegative = Field(description="least time between two frames kept of one shot, seconds")
    cut_margin_s: NotNegative = Field(
        description="frames nearer than this to a cut are avoided where the shot is long enough, seconds"
    )
    bar_luma: Annotated[int, Field(ge=16, le=80)] = Field(
        description="a row or column whose luma (16 black, 235 white) never exceeds this is a bar"
    )
    subtitles: Literal["avoid", "ignore"] = Field(
        description="avoid: burnt-in subtitles are looked for, and no crop touches one; ignore: they are not looked for"
    )
    logo: Literal["avoid", "report"] = Field(
        description="avoid: no crop touches a logo that stands in a corner of the film; report: it is only told of"
    )
    max_lost_s: NotNegative = Field(description="a film that lacks more than this, cut off or damaged, is refused, seconds")
    max_side_px: Annotated[int, Field(ge=256)] = Field(
        description="larger frames are shrunk so that their longer side is this, pixels"
    )
    format: Literal["png", "jpg"] = Field(
        description="how key frames are stored: png is lossless, jpg (quality 95, 4:4:4) smaller and 10 times faster"
    )


class DedupParams(Section):
    """Which frames and photos are dropped, each with a reason."""

    max_distance: Annotated[int, Field(ge=0, le=32)] = Field(
        description="near-duplicates are pictures whose 64-bit hashes (both pHash and dHash) differ in at most this many bits"
    )
    dark_luma: Annotated[float, Field(ge=0, le=255)] = Field(
        description="dropped as dark: 95th percentile of luma (0-255) at or under this"
    )
    blank_std: NotNegative = Field(description="dropped as blank: standard deviation of luma (0-255) at or under this")
    blur_sharpness: NotNegative = Field(
        description="dropped as blurred: variance of the Laplacian of luma at 480 px width at or under this"
    )
    on_bad_photo: Literal["skip", "stop"] = Field(
        description="a photograph that cannot be read (damaged, empty, HEIC): left out as unreadable and named, or a fault"
    )
    credits_lettering: Fraction = Field(
        description="film frames dropped as credits: at least this share of all edges belongs to thin bright strokes"
    )
    title_lines: Annotated[int, Field(ge=0)] = Field(
        description="film frames dropped as titles: at least so many lines of lettering stand over its middle; 0: none"
    )


class CropParams(Section):
    """Square training pictures cut out of frames and photos, never distorted."""

    seed: Seed = Field(description="seed of the places")
    size_px: Annotated[int, Field(ge=32, le=1024, multiple_of=4)] = Field(description="side of a crop, pixels")
    mode: Literal["random", "areas"] = Field(
        description="random places, or one in each of three columns x two rows (JapananimeGAN's six areas, for any frame size)"
    )
    per_frame: Count = Field(description="crops of a film frame; in mode areas: of each area")
    per_photo: Count = Field(description="crops of a photo; in mode areas: of each area")
    side_min: Annotated[float, Field(gt=0, le=1)] = Field(
        description="smallest side of a crop as a share of the picture's short side, before scaling to size_px"
    )
    side_max: Annotated[float, Field(gt=0, le=1)] = Field(
        description="largest side of a crop as a share of the picture's short side"
    )
    max_upscale: Annotated[float, Field(ge=1)] = Field(
        description="a crop is never enlarged more than this; smaller pictures are left out with a reason"
    )
    max_overlap: Fraction = Field(description="two crops of one picture share at most this fraction of the smaller one's area")
    min_edge_share: Fraction = Field(
        description="a crop with a smaller share of edge pixels (Canny 100/200) is too flat to teach anything"
    )
    tries: Count = Field(description="places tried for each crop before it is given up")

    @model_validator(mode="after")
    def _ordered(self) -> CropParams:
        if self.side_min > self.side_max:
            raise ValueError(f"side_min ({self.side_min}) must not exceed side_max ({self.side_max})")
        return self


class EdgeSmoothParams(Section):
    """The edge-smoothed twin of every anime crop, which the discriminator learns to refuse (CartoonGAN, section 3.1)."""

    variant: Literal["blend", "overlay"] = Field(
        description="blend: Gaussian inside the dilated edges, the usual one; overlay: white blurred edges laid over"
    )
    canny_low: NotNegative = Field(description="Canny's lower threshold")
    canny_high: NotNegative = Field(description="Canny's upper threshold")
    reference_px: Annotated[int, Field(ge=32, le=1024)] = Field(
        description="side of the crops that dilate_px and blur_px are meant for; others get them in proportion, odd"
    )
    dilate_px: Annotated[int, Field(ge=1, le=63)] = Field(description="side of the square that dilates the edges, pixels, odd")
    blur_px: Annotated[int, Field(ge=3, le=63)] = Field(
        description="side of the Gaussian kernel, pixels, odd; sigma follows from it as in OpenCV"
    )

    @model_validator(mode="after")
    def _odd(self) -> EdgeSmoothParams:
        for key in ("dilate_px", "blur_px"):
            if getattr(self, key) % 2 == 0:
                raise ValueError(f"{key} must be odd, got {getattr(self, key)}")
        if self.canny_low > self.canny_high:
            raise ValueError(f"canny_low ({self.canny_low}) must not exceed canny_high ({self.canny_high})")
        return self


class PseudoTargetParams(Section):
    """The flattened twin of every photo crop, which pretraining and losses may aim at."""

    filter: Literal["auto", "l0", "abstraction", "kuwahara", "none"] = Field(
        description="l0: flat areas, every shape; cel: flat areas, the larger shapes alone; brush: brushwork that keeps "
        "shading; film: whichever of these serves the films best; none: no twins, where no target asks for them"
    )
    color_transform: Fraction = Field(
        description="how far colours go towards the films': how light, colourful and warm they are; 0: they stay the photo's"
    )
    strength: Annotated[float, Field(gt=0, le=0.5)] = Field(description="strength of l0 and cel, usually 0.01")
    radius_px: Annotated[int, Field(ge=1, le=16)] = Field(
        description="radius of the brush, and of the shapes that cels leave out"
    )
    line_strength: Fraction | Literal["auto"] = Field(
        description="how dark the lines along borders are: 0 none, 1 black; film: as the films' crops of most lines have them"
    )

    @model_validator(mode="after")
    def _inks_something(self) -> PseudoTargetParams:
        if self.filter == "none" and (self.line_strength, self.color_transform) != (0, 0):
            raise ValueError("with filter none no twins are made: set line_strength and color_transform to 0, or name a filter")
        return self


class SplitParams(Section):
    """Who trains, who judges. By shot and by photo, so that neighbours never straddle."""

    seed: Seed = Field(description="seed of the draw")
    val: Annotated[float, Field(gt=0, lt=1)] = Field(description="share of shots and photos kept for evaluation")
    pred: Annotated[float, Field(ge=0, lt=1)] = Field(description="share of photos kept whole to be redrawn")

    @model_validator(mode="after")
    def _leaves_training(self) -> SplitParams:
        if self.val + self.pred >= 1:
            raise ValueError(f"val + pred must leave something to train on, got {self.val} + {self.pred}")
        return self


class ReportParams(Section):
    """The data card, and when it warns. Limits that hardly anyone would move are constants of pipeline/data_card/checks.py."""

    max_measured: Count = Field(description="crops a side whose brightness and colour are measured, evenly spread, at most")
    enough_crops: Count = Field(description="warn of fewer crops to train on, a side")
    max_brightness_gap: Positive = Field(
        description="warn where mean luma (0-255) of anime and of photographs differ by more than this"
    )
