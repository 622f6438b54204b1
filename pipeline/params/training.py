"""Parameters of pretraining, training and the loss."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.params.section import Batch, Count, FileStem, Fraction, NotNegative, Positive, Repeats, Section, Seed

Distance = Literal["l1", "mse"]
FeatureDistance = Literal["l1", "mse", "cosine", "patch_nce"]


class EngineParams(Section):
    """What pretraining and training have in common: length, batches, optimizer, checkpoints."""

    seed: Seed = Field(description="random seed of the initial weights and of the order of pictures")
    images: Count = Field(description="length of the run: photos shown to the generator in all")
    batch: Batch = Field(description="photos per step")
    crop_px: Annotated[int, Field(ge=32, multiple_of=4)] = Field(
        description="side of the random part of each crop that is trained on, in pixels; at most crop.size_px"
    )
    resize_min: Annotated[float, Field(gt=0, le=2)] = Field(
        description="smallest side of that part before it is resized to crop_px, as a multiple of crop_px; width and height "
        "are drawn independently (mnicnc404: 0.9 to 1.1)"
    )
    resize_max: Annotated[float, Field(gt=0, le=2)] = Field(
        description="largest side of that part before it is resized; 1 for both: no resizing"
    )
    lr: Positive = Field(description="learning rate of the generator (Adam)")
    beta1: Annotated[float, Field(ge=0, lt=1)] = Field(description="Adam's decay of the first moment")
    precision: Literal["float32", "bfloat16"] = Field(
        description="arithmetic of forward passes; bfloat16 is faster on recent GPUs, and float32 on CPUs without AVX512"
    )
    log_every_images: Count = Field(description="photos between two log lines of the losses")
    lr_warmup_images: Annotated[int, Field(ge=0)] = Field(
        description="photos over which learning rates rise from near 0; 0: no warm-up"
    )
    lr_decay: Literal["constant", "linear", "cosine"] = Field(
        description="how learning rates fall to 0 by the end of the run; constant: not at all"
    )
    accumulate: Count = Field(
        description="parts in which a batch is processed to save memory; gradients are accumulated, and the step is the same"
    )
    save_memory: bool = Field(
        description="activation checkpointing: recompute the activations of residual blocks in the backward pass"
    )
    compile: bool = Field(description="torch.compile the trained networks; where that fails, training continues without it")
    checkpoint_every_s: Positive = Field(
        description="seconds between two checkpoints, which is what a killed run loses at most"
    )
    checkpoint_every_images: Count | None = Field(
        description="write a checkpoint after this many photos too; null: by time alone"
    )
    keep_checkpoints: Count = Field(description="number of checkpoints kept during a run, the newest")

    @model_validator(mode="after")
    def _valid_sizes(self) -> Self:
        if self.resize_min > self.resize_max:
            raise ValueError(f"resize_min ({self.resize_min}) must not exceed resize_max ({self.resize_max})")
        if self.batch % self.accumulate:
            raise ValueError(f"accumulate ({self.accumulate}) must divide batch ({self.batch})")
        return self


class PretrainParams(EngineParams):
    """The initialization phase: the generator alone learns to reproduce the target (CartoonGAN, section 3.3)."""

    images: Annotated[int, Field(ge=0)] = Field(
        description="length of the run: photos shown to the generator in all; 0: none, training starts from the initial weights"
    )
    init_from: FileStem | None = Field(
        description="a generator in the folder pretrained/, by its file's name without .safetensors, whose weights pretraining "
        "begins with; null: random ones"
    )
    content_layer: str = Field(
        description="VGG layer whose features are compared, e.g. conv4_4 (before the ReLU) or relu2_2 (after it)"
    )
    pixel_weight: NotNegative = Field(description="weight of the mean absolute difference of pixels")
    target: Literal["photo", "teacher"] = Field(
        description="what the generator learns to reproduce: the photo, or what the teacher makes of it"
    )


class DiagnosticsParams(Section):
    """When training warns. (A loss that is not finite always stops it.)"""

    one_color_levels: NotNegative = Field(
        description="warn when the standard deviation of an output (levels, 0-255) is below this: it is of one color"
    )
    same_levels: NotNegative = Field(
        description="warn when, in the second half of a run, outputs differ from the photos by less than this (mean, levels)"
    )
    discriminator_accuracy: Fraction = Field(
        description="warn that the discriminator has won when it classifies this share of patches correctly"
    )
    discriminator_loss: NotNegative = Field(
        description="warn that the discriminator has collapsed when its loss is at or below this"
    )
    discriminator_share: Fraction = Field(description="share of the run for which either must hold before it is reported")


class TrainParams(EngineParams):
    """The adversarial phase."""

    processes: Annotated[int, Field(ge=1, le=1024)] = Field(
        description="processes that train together, each on its share of the batch: one per GPU"
    )
    beta2: Annotated[float, Field(ge=0, lt=1)] = Field(description="Adam's decay of the second moment")
    max_gradient_norm: Positive | None = Field(
        description="gradients of each network are scaled down to this norm where they exceed it; null: never"
    )
    discriminator_lr: Positive = Field(description="learning rate of the discriminator (Adam)")
    discriminator_steps: Repeats = Field(
        description="discriminator steps per generator step, each on a new batch; images counts the generator's photos only"
    )
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = Field(
        description="decay per step of the generator's exponential moving average, which is what is sampled, evaluated and "
        "exported; 0: no averaging"
    )
    ema_warmup: bool = Field(
        description="the average's decay rises as (1 + steps) / (10 + steps) up to ema_decay, so that initial weights are soon "
        "forgotten"
    )
    view_margin_px: Annotated[int, Field(ge=0, le=64)] = Field(
        description="VGG and the discriminator see this many pixels less than crop_px of each output, at an offset drawn for "
        "each batch, so that the grid of their pools does not show in the output; 0: all of it"
    )
    sample_every_images: Count = Field(description="photos between two sample grids of validation photos")
    sample_count: Annotated[int, Field(ge=1, le=64)] = Field(description="photos in a sample grid")
    augment: list[Literal["color", "translation", "cutout"]] = Field(
        description="random augmentations of what the discriminator sees, for few film crops (DiffAugment, Zhao et al. 2020)"
    )
    probe_photos: Annotated[int, Field(ge=0)] = Field(
        description="validation photos, and four times as many film crops, on which the style score and content similarity are "
        "measured whenever samples are drawn (docs/metrics.md); 0: not measured"
    )
    best_by: Literal["content", "style", "color", "tv", "score"] | None = Field(
        description="keep the best generator so far as best.safetensors, by this validation term (lowest) or by score "
        "(highest); null: keep only the last"
    )
    stop_after_images: Count | None = Field(
        description="end the run when best_by has not improved for this many photos; null: never"
    )
    diagnostics: DiagnosticsParams

    @model_validator(mode="after")
    def _measures_what_it_needs(self) -> Self:
        if self.stop_after_images is not None and self.best_by is None:
            raise ValueError("stop_after_images needs a measure to go by: set best_by")
        if self.crop_px - self.view_margin_px < 24:
            raise ValueError(f"view_margin_px ({self.view_margin_px}) must leave 24 of crop_px ({self.crop_px})")
        if self.best_by == "score" and not self.probe_photos:
            raise ValueError("best_by: score is not measured while probe_photos is 0: set it, e.g. to 16")
        return self


class LossParams(Section):
    """Loss weights. Terms are means, never sums; features are divided by their mean magnitude on photos; 0 disables a term."""

    target: Literal["photo", "recolored", "teacher"] = Field(
        description="what content and color are compared with: the photo, the photo with its colors moved towards the films' "
        "(recolored, by recolor), or what the teacher makes of it"
    )
    recolor: Fraction = Field(
        description="for target recolored: how far the photos' lightness, colorfulness and tint move to the films': 0 not at "
        "all, 1 all the way"
    )
    content_weight: NotNegative = Field(description="weight of the difference from the target in VGG features")
    content_layer: str = Field(description="VGG layer compared, e.g. conv4_4")
    content_distance: FeatureDistance = Field(
        description="mean absolute (CartoonGAN) or mean squared (Johnson et al.) difference, 1 minus the cosine similarity, or "
        "patch_nce: each position is to be distinguished from the others of its photo (CUT, Park et al. 2020)"
    )
    content_grayscale: bool = Field(description="compare content in grayscale")
    style_weight: NotNegative = Field(
        description="weight of the difference of Gram matrices from the film's, or from those of style_images"
    )
    style_layers: Annotated[list[str], Field(min_length=1)] = Field(description="VGG layers whose Gram matrices are compared")
    style_layer_weights: list[Positive] = Field(description="relative weight of each of style_layers; []: all equal")
    style_distance: Distance = Field(description="mean absolute or mean squared difference of Gram matrices")
    style_grayscale: bool = Field(description="compare style in grayscale (AnimeGAN)")
    style_images: str = Field(
        description="pictures whose style is learned: a folder (a random one for each photo), one picture (Johnson et al.), or "
        "an empty folder: the film crops of the batch"
    )
    color_weight: NotNegative = Field(description="weight of the difference from the target in color")
    color_space: Literal["yuv", "lab"] = Field(
        description="where colors are compared: yuv (AnimeGAN: L1 of Y, Huber of U and V) or CIE L*a*b* (L1, in hundredths)"
    )
    area_color_weight: NotNegative = Field(
        description="weight of the difference from the target in color between blurred pictures, which leaves lines free"
    )
    area_color_line_px: Annotated[int, Field(ge=1, le=15)] = Field(
        description="dark lines narrower than this are removed before that comparison, else they ask for halos; odd; 1: none"
    )
    chroma_variation_weight: NotNegative = Field(
        description="weight of the total variation of the output's chroma, against speckles of color"
    )
    flat_areas_weight: NotNegative = Field(
        description="weight of the total variation of the output's luma where the photo is flat, against strokes in skies"
    )
    flat_threshold: Positive = Field(
        description="standard deviation of the photo's luma (0 to 1, Gaussian of 4 px) up to which an area counts as flat"
    )
    tv_weight: NotNegative = Field(description="weight of the output's total variation")
    tv_distance: Distance = Field(
        description="l1 flattens areas and keeps edges; mse, the squared form of AnimeGAN, softens edges too"
    )
    superpixel_weight: NotNegative = Field(
        description="weight of the difference, in features of content_layer, between the output and itself with each "
        "superpixel in its mean color: untextured areas (structure loss of White-box Cartoonization)"
    )
    superpixel_px: Annotated[int, Field(ge=4, le=1024)] = Field(
        description="approximate width of a superpixel, in pixels (White-box: 200 in 256 x 256, which is 18)"
    )
    identity_weight: NotNegative = Field(
        description="weight of the mean absolute difference between film crops and what the generator makes of them (CycleGAN)"
    )
    adversarial_weight: NotNegative = Field(description="weight of the adversarial loss; 0 trains without a discriminator")
    adversarial_form: Literal["bce", "hinge", "lsgan", "relativistic"] = Field(
        description="form of the adversarial loss; relativistic: film crops and outputs are compared in pairs (R3GAN, Huang et "
        "al. 2024, which needs r1_weight and r2_weight)"
    )
    adversarial_grayscale: bool = Field(
        description="show everything to the discriminator in grayscale, so that it cannot reward the film's colors out of place"
    )
    textured_only: bool = Field(
        description="gradients from VGG and the discriminator count only where the photo is not flat (flat_threshold), so that "
        "no grain is asked for in skies and walls"
    )
    edge_weight: NotNegative = Field(
        description="weight of edge-smoothed film crops among the discriminator's negatives (CartoonGAN's edge-promoting loss)"
    )
    edge_grayscale: bool = Field(description="show the edge-smoothed crops in grayscale (AnimeGAN)")
    grayscale_weight: NotNegative = Field(
        description="weight of grayscale film crops among the discriminator's negatives, so that color matters (AnimeGAN)"
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        description="the discriminator's label for film crops is 1 minus this (bce and lsgan; Salimans et al. 2016)"
    )
    r1_weight: NotNegative = Field(
        description="gamma of the R1 penalty, gamma/2 times the squared gradient at film crops (Mescheder et al. 2018)"
    )
    r2_weight: NotNegative = Field(description="the same at the generator's outputs: R2")

    @model_validator(mode="after")
    def _terms_agree(self) -> Self:
        if self.area_color_line_px % 2 == 0:
            raise ValueError(f"area_color_line_px must be odd, not {self.area_color_line_px}")
        weights, layers = len(self.style_layer_weights), len(self.style_layers)
        if weights not in (0, layers):
            raise ValueError(f"style_layer_weights has {weights} values for {layers} style_layers: give one for each, or []")
        if len(set(self.style_layers)) < layers:
            raise ValueError("style_layers names a layer twice: name it once, with a larger weight")
        if self.grayscale_weight and self.adversarial_grayscale:
            raise ValueError(
                "adversarial_grayscale makes film crops and their grayscale copies the same: set it to false, or "
                "grayscale_weight to 0"
            )
        if self.label_smoothing and self.adversarial_form in ("hinge", "relativistic"):
            raise ValueError(
                f"label_smoothing has no effect with adversarial_form {self.adversarial_form}: set it to 0, or use bce or lsgan"
            )
        return self
