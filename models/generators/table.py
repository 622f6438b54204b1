"""The table of named generators, each with the paper that it comes from, and the function that builds one."""

from dataclasses import replace
from typing import cast

from models.generators.animegan import AnimeGan, AnimeGanSize
from models.generators.residual import Generator, GeneratorSize
from models.generators.vgg_decoder import DecoderSize, VggDecoder
from models.layers import Norm

AnyGenerator = Generator | AnimeGan | VggDecoder
AnySize = GeneratorSize | AnimeGanSize | DecoderSize

CARTOONGAN = GeneratorSize(
    width=64,
    blocks=8,
    kernel=7,
    scale_convs=2,
    norm="batch",
    upsample="transposed",
    padding="zeros",
    activation="relu",
    head="tanh",
)

# The genga rows start from the photo and predict a change of it, so that after minutes of training there is a picture and
# not a blur. Skips carry fine detail back to full resolution. Resizing plus convolution and reflect padding turn a flat color
# into a flat color, so there can be no checkerboard and no frame (Odena, Dumoulin, Olah 2016). Without norm a pixel depends
# on those within 52 px alone, and crops of one color do no harm.
_GENGA_S = GeneratorSize(
    width=16,
    blocks=5,
    kernel=3,
    scale_convs=1,
    norm="none",
    upsample="bilinear",
    padding="reflect",
    activation="leaky",
    head="linear",
    residual=True,
    skips=True,
)

TINY = replace(_GENGA_S, width=4, blocks=1)

_VGG_DECODER = DecoderSize(encoder="vgg16", channels=(512, 256, 128, 64, 3))

GENERATORS: dict[str, AnySize] = {
    # Chen, Lai, Liu: CartoonGAN, CVPR 2018. 11.13 M parameters.
    "cartoongan": CARTOONGAN,
    # With resizing and convolution in place of transposed convolution, as the walkthrough of 2020 (mnicnc404) has it.
    "cartoongan-bilinear": replace(CARTOONGAN, upsample="bilinear", padding="reflect"),
    # The same author's light generator: half as wide again, of shuffle units. 0.89 M.
    "mnicnc404-light": replace(
        CARTOONGAN, width=96, kernel=5, upsample="bilinear", padding="reflect", units="shuffle", norm="instance"
    ),
    # JapananimeGAN (2022), as its code has it: leaky, instance norm, no tanh (its [0, 1] is [-1, 1] here).
    "japanimation": replace(CARTOONGAN, norm="instance", activation="leaky", head="linear"),
    # Johnson, Alahi, Fei-Fei: Perceptual losses, ECCV 2016, with resizing and instance norm (Ulyanov 2016). 1.679 M.
    "transformernet": GeneratorSize(
        width=32,
        blocks=5,
        kernel=9,
        scale_convs=1,
        norm="instance",
        upsample="nearest",
        padding="reflect",
        activation="relu",
        head="linear",
    ),
    # Chen, Liu, Chen: AnimeGANv2, 2020. 2.144 M.
    "animegan-v2": AnimeGanSize(width=32, blocks=4, expansion=2, norm="layer"),
    # The VGG decoder of 2024, with its resolution corrected: 1.55 M learn, 7.6 M of VGG16 do not.
    "vgg16-decoder": _VGG_DECODER,
    # The same on VGG19, whose weights need no download.
    "vgg19-decoder": replace(_VGG_DECODER, encoder="vgg19"),
    # This project's, for two CPU cores: 0.42 M.
    "genga-s": _GENGA_S,
    # The same for a GPU: 2.55 M.
    "genga-m": replace(_GENGA_S, width=32, blocks=8),
    # To be distilled from a larger one (recipes/distill.yaml), for phones and for films on a laptop: 0.10 M.
    "genga-xs": replace(_GENGA_S, width=8),
    # For tests: every part of the family in a few thousand parameters.
    "tiny": TINY,
}


def build_generator(name: str, *, norm: str | None = None) -> AnyGenerator:
    """Build the generator of a row of `GENERATORS`, freshly initialized.

    Args:
        norm: replaces the row's norm.

    Raises:
        ValueError: unknown name or norm, or the row has no norm to replace.
    """
    if name not in GENERATORS:
        raise ValueError(f"unknown generator {name!r}: expected one of {', '.join(GENERATORS)}")
    size = GENERATORS[name]
    if isinstance(size, DecoderSize):
        if norm not in (None, "none"):
            raise ValueError(f"{name} has no norm, and none can be given to it: leave it null")
        return VggDecoder(size)
    if norm is not None:
        size = replace(size, norm=cast(Norm, norm))
    return Generator(size) if isinstance(size, GeneratorSize) else AnimeGan(size)
