"""The reasons for which pictures are dropped: how each is called and shown, and the limit that decides, if one does.

A new reason is a line here, and a score in `frames/quality.py` and a key of `dedup:` if it has a limit.
"""

from collections.abc import Mapping
from typing import NamedTuple

from pipeline.core.manifest import Domain


class Limit(NamedTuple):
    """A score and the parameter of `dedup:` that it is compared with."""

    score: str
    key: str
    at_least: bool  # dropped at or above the limit, of which 0 keeps all; else at or below it
    domain: Domain | None = None  # the only one it applies to


class Reason(NamedTuple):
    """What people read about a reason, and its color on a light and on a dark page."""

    title: str
    text: str
    colors: tuple[str, str]
    limit: Limit | None = None


# In the order they are shown, and tried.
REASONS: Mapping[str, Reason] = {
    "near_duplicate": Reason(
        "Near-duplicates", "Each beside the sharper picture that is kept instead.", ("#e69f00", "#e69f00")
    ),
    "exact_copy": Reason("Exact copies", "The same picture is there already.", ("#a86f00", "#c98a1a")),
    "credits": Reason(
        "Credits", "Nearly all edges are thin bright lettering.", ("#cc79a7", "#cc79a7"),
        Limit("lettering", "credits_lettering", True, "anime"),
    ),
    "title": Reason(
        "Titles", "Lettering covers the middle of the picture.", ("#1b4f9c", "#6f9be0"),
        Limit("title_lines", "title_lines", True, "anime"),
    ),
    "dark": Reason(
        "Dark", "Even the brightest parts are dark.", ("#4d5560", "#8b95a3"), Limit("luma_p95", "dark_luma", False)
    ),
    "blank": Reason("Blank", "Hardly anything to see.", ("#c9b800", "#f0e442"), Limit("luma_std", "blank_std", False)),
    "over_exposed": Reason(
        "Over-exposed", "Even the darkest parts are bright.", ("#b07aa1", "#d4a6c8"), Limit("luma_p5", "bright_luma", True)
    ),
    "gray": Reason("Gray", "Hardly any color.", ("#79706e", "#bab0ac"), Limit("chroma", "gray_chroma", False)),
    "odd_aspect": Reason(
        "Odd aspect", "A strip or a banner.", ("#4e79a7", "#a0cbe8"), Limit("aspect", "max_aspect", True)
    ),
    "screenshot": Reason(
        "Screenshots", "Long straight lines, across and down, as windows and tables have.", ("#2f6f4f", "#63b58c"),
        Limit("straight_lines", "screenshot_lines", True, "photo"),
    ),
    "blurred": Reason("Blurred", "No sharp edge.", ("#56b4e9", "#56b4e9"), Limit("sharpness", "blur_sharpness", False)),
    "by_hand": Reason("Dropped by hand", "Listed in data/drop.txt when dedup last ran.", ("#7b4fb5", "#a98ae0")),
    "unreadable": Reason("Unreadable", "No picture, or a damaged one.", ("#a33a3a", "#e07070")),
    "too_small": Reason("Too small", "A crop would have to be enlarged too much.", ("#d55e00", "#d55e00")),
    "covered": Reason("Covered", "Subtitles or a logo leave no room for a crop.", ("#3f7f7f", "#5fb0b0")),
    "flat": Reason("Flat", "No part has enough edges for a crop.", ("#8c6d46", "#b9986c")),
}  # fmt: skip
