"""Parameters of pretraining, training and the loss."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.params.section import Count, Fraction, NotNegative, Positive, Section, Seed, Target


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
        description="validation photos, and four times as many film crops, by which the style score, the content similarity "
        "and their harmonic mean (score) are followed as often as samples are drawn (docs/metrics.md); 0: not followed"
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
    content_weight: NotNegative = Field(description="weight of the difference from the target in VGG features")
    content_layer: str = Field(description="the VGG layer compared, e.g. conv4_4")
    content_distance: Literal["l1", "mse"] = Field(description="mean absolute (CartoonGAN) or squared (Johnson) difference")
    style_weight: NotNegative = Field(
        description="weight of the difference of Gram matrices from those of the film crops, or of style_images: a mean over "
        "style_layers"
    )
    style_layers: Annotated[list[str], Field(min_length=1)] = Field(description="the VGG layers compared")
    style_layer_weights: list[Positive] = Field(description="what each of style_layers counts among them; []: all the same")
    style_distance: Literal["l1", "mse"] = Field(description="mean absolute or mean squared difference of Gram matrices")
    style_grayscale: bool = Field(description="compare style without colour (AnimeGAN)")
    style_images: str = Field(
        description="whose look style is compared with: a folder of pictures, a random one for each photo; a picture, that one "
        "alone (Johnson); an empty folder: the batch's film crops"
    )
    color_weight: NotNegative = Field(description="weight of the difference of colour from the target")
    color_space: Literal["yuv", "lab"] = Field(
        description="where colours are compared: yuv (AnimeGAN: L1 of Y, Huber of U and V) or CIE L*a*b*, in hundredths (L1)"
    )
    tv_weight: NotNegative = Field(description="total variation of the output")
    tv_distance: Literal["l1", "mse"] = Field(
        description="l1 flattens and keeps borders; mse is the squared form of AnimeGAN, which softens them too"
    )
    superpixel_weight: NotNegative = Field(
        description="weight of the difference of the output from itself with each region of even colour in its mean colour, at "
        "content_layer: areas without texture (structure loss of White-box Cartoonization, where it counts as much as content)"
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
