"""What is known to go wrong with a data set, each as a number, its limit and advice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pipeline.core.manifest import Domain
from pipeline.data_card.facts import Facts
from pipeline.params.schema import Params

Level = Literal["good", "caution", "bad"]

# Users of the published systems report that 150 pictures fail.
FAILING_CROPS = 150
# The crops of one shot show one place and one light. Under 50 shots, a tenth for validation are no five of them.
FEW_SHOTS = 50
# The same for photographs, of which a share more is kept whole.
FEW_PHOTOGRAPHS = 100
# Photographs are what is redrawn: with fewer than half as many crops as the film they are the first to be learnt by heart.
PHOTOS_TO_ANIME = 0.5
# Half of what one would see at a glance in a large field (about 20 units), and well over what two halves of one film differ by.
COLOUR_GAP = 10.0
# Where several films are given, a mixed look is wanted; beyond this it is one film's look.
DOMINANT_SHARE = 0.7
# So many dark, blank or blurred pictures are no longer the odd fade: the film, or a threshold, is to be looked at.
WORTHLESS_SHARE = 0.3
# More repeats than pictures: the same could be had from fewer key frames a shot.
REPEATED_SHARE = 0.5
# Means over fewer crops than this wander by a fifth of their spread from one draw to the next (1 / sqrt(30)).
VAL_CROPS = 30
# A crop cut smaller than it is stored is soft; a few add variety, many teach softness.
UPSCALED_SHARE = 0.25

_NAMES: dict[Domain, tuple[str, str, str]] = {
    "anime": ("Anime", "films", "another film or episode, or raise keyframes.per_shot or crop.per_frame"),
    "photo": ("Photo", "photographs", "more photographs or footage, or raise crop.per_photo"),
}


@dataclass(frozen=True)
class Check:
    """One thing looked at."""

    level: Level
    title: str
    number: str
    limit: str
    advice: str  # empty where all is well


def checks(facts: Facts, params: Params) -> list[Check]:
    """Everything looked at, the worst first."""
    found = [*_sizes(facts, params), *_colours(facts, params), *_culls(facts), *_squares(facts, params)]
    return sorted(found, key=lambda check: ("bad", "caution", "good").index(check.level))


def _check(title: str, number: str, limit: str, advice: str, fails: bool, level: Level = "caution") -> Check:
    return Check(level if fails else "good", title, number, limit, advice if fails else "")


def _sizes(facts: Facts, params: Params) -> Iterator[Check]:
    enough = params.report.enough_crops
    for domain, total in facts.totals.items():
        name, _, remedy = _NAMES[domain]
        train, val = total.splits["train"], total.splits["val"]
        yield _check(
            f"{name} crops to train on",
            f"{train:,}",
            f"{enough:,} are enough, {FAILING_CROPS} are known to fail",
            f"Give {remedy}.",
            train < enough,
            "bad" if train <= FAILING_CROPS else "caution",
        )
        yield _check(
            f"{name} crops to judge by",
            f"{val:,}",
            f"at least {VAL_CROPS}",
            "Losses and scores on so few wander: raise split.val, or give more pictures.",
            val < VAL_CROPS,
        )
        groups = sum(total.groups.values())
        what, few = ("Shots", FEW_SHOTS) if domain == "anime" else ("Photographs (and shots of footage)", FEW_PHOTOGRAPHS)
        yield _check(
            f"{what} in use",
            f"{groups:,}",
            f"at least {few}",
            "Many crops of few scenes are learnt by heart: variety counts, not the number of crops. Give more "
            f"{'of the film, or another' if domain == 'anime' else 'photographs of different places and light'}.",
            groups < few,
        )
    ratio = share(facts.totals["photo"].splits["train"], facts.totals["anime"].splits["train"])
    yield _check(
        "Photo crops for each anime crop",
        f"{ratio:.2f}",
        f"at least {PHOTOS_TO_ANIME:g}",
        "The photographs will be learnt by heart before the film is: give more of them, or raise crop.per_photo.",
        ratio < PHOTOS_TO_ANIME,
    )
    films = [source for source in facts.sources if source.domain == "anime"]
    if len(films) > 1:
        largest = max(films, key=lambda source: source.crops)
        part = share(largest.crops, facts.totals["anime"].crops)
        yield _check(
            "Share of the largest film",
            f"{part:.0%} ({largest.name})",
            f"at most {DOMINANT_SHARE:.0%}",
            f"What is learnt is the look of {largest.name}: give more of the others, or leave them out.",
            part > DOMINANT_SHARE,
        )


def _colours(facts: Facts, params: Params) -> Iterator[Check]:
    gap, limit = facts.brightness_gap, params.report.max_brightness_gap
    brighter = "brighter" if gap > 0 else "darker"
    wanted = "brighter" if gap > 0 else "darker (evening, shade, rooms)"
    yield _check(
        "Brightness, anime against photos",
        f"{gap:+.1f} levels of 255",
        f"within {limit:g} either way",
        f"The film is {brighter} than the photographs, and results will drift that way: give photographs that are {wanted}, "
        "leave out the film's scenes that differ most, or hold results to the photo's colours harder (loss.color_weight).",
        abs(gap) > limit,
    )
    yield _check(
        "Colour cast, anime against photos",
        f"{facts.colour_gap:.1f} in the a/b plane",
        f"at most {COLOUR_GAP:g}",
        "Results will take on the film's cast: give photographs of like light, or hold results to the photo's colours harder "
        "(loss.color_weight).",
        facts.colour_gap > COLOUR_GAP,
    )


def _culls(facts: Facts) -> Iterator[Check]:
    for domain, total in facts.totals.items():
        name = "key frames" if domain == "anime" else "photographs"
        worthless = share(sum(total.reasons[reason] for reason in ("dark", "blank", "blurred")), total.pictures)
        yield _check(
            f"Dark, blank or blurred {name}",
            f"{worthless:.0%}",
            f"at most {WORTHLESS_SHARE:.0%}",
            "Look at the sheets of what was dropped. If good pictures are among them, loosen dedup.dark_luma, dedup.blank_std "
            "or dedup.blur_sharpness; if not, this source gives little.",
            worthless > WORTHLESS_SHARE,
        )
        repeated = share(total.reasons["near_duplicate"], total.pictures)
        yield _check(
            f"Near-duplicate {name}",
            f"{repeated:.0%}",
            f"at most {REPEATED_SHARE:.0%}",
            "Long still shots, or material given twice. Costs only time; "
            + ("keyframes.per_shot may be lowered." if domain == "anime" else "clear out the repeats to save it."),
            repeated > REPEATED_SHARE,
        )
    yield _check(
        "Warnings while films were read",
        f"{facts.warnings}",
        "none",
        "The log of keyframes names them: seconds that are cut off or damaged are missing from the data set; get a whole copy.",
        facts.warnings > 0,
    )


def _squares(facts: Facts, params: Params) -> Iterator[Check]:
    for domain, scale in facts.scales.items():
        part = share(float((scale.sides < params.crop.size_px).sum()), len(scale.sides))
        yield _check(
            f"{_NAMES[domain][0]} crops that were enlarged",
            f"{part:.0%}",
            f"at most {UPSCALED_SHARE:.0%}",
            f"They are soft. Give {_NAMES[domain][1]} of higher resolution, raise crop.side_min, or lower crop.size_px or "
            "crop.max_upscale.",
            part > UPSCALED_SHARE,
        )


def share(part: float, whole: float) -> float:
    """A part of the whole; 0 where there is nothing."""
    return part / whole if whole else 0.0
