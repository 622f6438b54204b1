"""The metrics of an evaluation as columns of a table: what each means, and which values are better."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Column(NamedTuple):
    """A metric: its name in table.csv, a definition in a few words, and which values are better (empty: neither)."""

    name: str
    definition: str
    better: str


class Row(NamedTuple):
    """A row of the table."""

    name: str
    metrics: Mapping[str, float]
    params: Sequence[Any] = ()  # values of the varied parameters
    note: str = ""


COLUMNS = (
    Column("score", "harmonic mean of style_score and content_similarity: choose a checkpoint by it", "higher"),
    Column("style_score", "0 the photos, 1 as close to the film as the film is to itself", "higher"),
    Column("style_score_error", "standard error of style_score, over photographs and shots", ""),
    Column("lead", "style_score above that of the result, on the same photos", ""),
    Column("lead_error", "standard error of lead: a smaller lead is no difference", ""),
    Column("content_similarity", "0 another photo, 1 the photo itself, in VGG19 features", "higher"),
    Column("from_result", "mean difference from the result, levels: for a student, from its teacher", ""),
    Column("from_result_lpips", "the same in VGG19 features", ""),
    Column("kid_vgg19", "kernel distance to crops of the film not used for training, VGG19 features", "lower"),
    Column("fid_vgg19", "the same as a Fréchet distance", "lower"),
    Column("lpips", "distance from the photo in VGG19 features", "neither"),
    Column("ssim", "structural similarity of luminance to the photo", "neither"),
    Column("edge_agreement", "edges that photo and result share", "higher"),
    Column("edges_invented", "share of the result's edges that the photo does not have", "lower"),
    Column("color_shift", "color difference from the photo, CIEDE2000", "lower"),
    Column("color_shift_std", "its standard deviation within a picture", "lower"),
    Column("lightness_shift", "brighter (+) or darker (-), CIELAB units", "near pseudo-target"),
    Column("red_shift", "redder (+) or greener (-), CIELAB units", "near pseudo-target"),
    Column("yellow_shift", "yellower (+) or bluer (-), CIELAB units", "near pseudo-target"),
    Column("flatness", "concentration of the change between pixels in few places", "as film"),
    Column("line_strength", "edges with a dark line minus edges with a bright one, percent", "as film"),
    Column("edge_blur_px", "blur of edges, pixels; style_score does not measure it", "as film or less"),
    Column("checkerboard", "upsampling grid relative to the photo, 1 is none", "near 1"),
    Column("flicker", "change between frames where only the camera moves, levels", "lower"),
    Column("input_difference", "mean difference from the photo, levels", "over 2"),
    Column("one_color", "share of pictures that are nearly of one color", "0"),
)
