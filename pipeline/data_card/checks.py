"""Checks of a data set: each compares a number with a limit and gives advice if it is exceeded."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.core.manifest import Domain
from pipeline.data_card.facts import Facts
from pipeline.params.data import ReportParams

# Users of published systems report that training on 150 pictures fails.
FAILING_CROPS = 150
# All crops of a shot show one place and one light. Of fewer than 50 shots, a tenth for validation is fewer than five.
MIN_SHOTS = 50
# The same for photographs, of which some are kept whole as well.
MIN_PHOTOGRAPHS = 100
# Where people are rare on one side, the discriminator tells the sides by them. Below a tenth on both it hardly matters.
MAX_FACE_RATIO, MIN_FACE_SHARE = 3.0, 0.1
# With fewer than half as many photo crops as anime crops, the generator memorizes the photos first.
MIN_PHOTOS_PER_ANIME = 0.5
# Half of what is obvious in a large field (about 20 units), and well over the difference between two halves of a film.
MAX_COLOR_GAP = 10.0
# Several films are given for a mixed style; beyond this share it is the style of one film.
MAX_FILM_SHARE = 0.7
# So many dark, blank or blurred pictures are not just a few fades: something is wrong with the film or a threshold.
MAX_UNUSABLE_SHARE = 0.3
# With more repeats than pictures, fewer key frames per shot would give the same crops.
MAX_DUPLICATE_SHARE = 0.5
# Means over fewer crops vary by a fifth of their standard deviation (1 / sqrt(30)) between samples.
MIN_VAL_CROPS = 30
# Crops smaller than their stored size are soft; a few add variety, many teach softness.
MAX_ENLARGED_SHARE = 0.25


@dataclass(frozen=True)
class Check:
    """The outcome of a check."""

    level: Literal["bad", "caution", "good"]
    title: str
    value: str
    target: str
    advice: str  # empty if the check passed


def run_checks(facts: Facts, params: ReportParams, crop_size_px: int) -> list[Check]:
    """Run all checks and return their outcomes, the worst first; comparisons of anime and photos only where there are both."""
    checks = [
        *_crop_counts(facts, params.enough_crops),
        *_balance(facts),
        *(_people(facts) if facts.comparable else ()),
        *(_colors(facts, params.max_brightness_gap) if facts.comparable else ()),
        *_dropped_pictures(facts),
        *_sizes(facts, crop_size_px),
    ]
    return sorted(checks, key=lambda check: ("bad", "caution", "good").index(check.level))


def _check(title: str, value: str, target: str, advice: str, failed: bool, bad: bool = False) -> Check:
    return Check("bad" if failed and bad else "caution" if failed else "good", title, value, target, advice if failed else "")


def _crop_counts(facts: Facts, enough_crops: int) -> Iterator[Check]:
    more: dict[Domain, str] = {
        "anime": "another film or episode, or raise keyframes.per_shot or crop.per_frame",
        "photo": "photographs or footage, or raise crop.per_photo",
    }
    for domain in facts.domains:
        total = facts.totals[domain]
        train, val = total.splits["train"], total.splits["val"]
        yield _check(
            f"{domain.capitalize()} crops for training",
            f"{train:,}",
            f"{enough_crops:,} are enough, {FAILING_CROPS} are known to fail",
            f"Add {more[domain]}.",
            train < enough_crops,
            bad=train <= FAILING_CROPS,
        )
        yield _check(
            f"{domain.capitalize()} crops for validation",
            f"{val:,}",
            f"at least {MIN_VAL_CROPS}",
            "Losses and scores of so few crops are unreliable: raise split.val, or add pictures.",
            val < MIN_VAL_CROPS,
        )
        groups = sum(total.groups.values())
        name, least = ("Shots", MIN_SHOTS) if domain == "anime" else ("Photographs (and shots of footage)", MIN_PHOTOGRAPHS)
        yield _check(
            f"{name} in use",
            f"{groups:,}",
            f"at least {least}",
            "Many crops of few scenes are memorized: variety matters, not the number of crops. Add "
            + ("more of the film, or another film." if domain == "anime" else "photographs of other places and other light."),
            groups < least,
        )


def _balance(facts: Facts) -> Iterator[Check]:
    if facts.comparable:
        ratio = share(facts.totals["photo"].splits["train"], facts.totals["anime"].splits["train"])
        yield _check(
            "Photo crops per anime crop",
            f"{ratio:.2f}",
            f"at least {MIN_PHOTOS_PER_ANIME:g}",
            "The photographs will be memorized before the film is learned: add photographs, or raise crop.per_photo.",
            ratio < MIN_PHOTOS_PER_ANIME,
        )
    films = [source for source in facts.sources if source.domain == "anime"]
    if len(films) > 1:
        largest = max(films, key=lambda source: source.crops)
        largest_share = share(largest.crops, facts.totals["anime"].crops)
        yield _check(
            "Share of the largest film",
            f"{largest_share:.0%} ({largest.name})",
            f"at most {MAX_FILM_SHARE:.0%}",
            f"The model will learn the style of {largest.name}: add more of the other films, or leave them out.",
            largest_share > MAX_FILM_SHARE,
        )


def _people(facts: Facts) -> Iterator[Check]:
    """Compare how many crops show faces; no check where stage crop has not looked for them."""
    shares = {domain: share(float((sizes.faces > 0).sum()), len(sizes.faces)) for domain, sizes in facts.sizes.items()}
    if any(np.isnan(sizes.faces).any() for sizes in facts.sizes.values()):
        return
    fewest, most = sorted(shares, key=lambda domain: shares[domain])
    yield _check(
        "Crops that show faces, the others being scenery",
        ", ".join(f"{value:.0%} ({domain})" for domain, value in shares.items()),
        f"no side {MAX_FACE_RATIO:g} times the other",
        f"People will look like scenery, or the other way around: add {'films' if fewest == 'anime' else 'photographs'} with "
        f"people, leave out some of the other side's, or raise crop.face_share.",
        shares[most] >= MIN_FACE_SHARE and shares[most] > MAX_FACE_RATIO * shares[fewest],
    )


def _colors(facts: Facts, max_gap: float) -> Iterator[Check]:
    gap = facts.brightness_gap
    yield _check(
        "Brightness of anime relative to photos",
        f"{gap:+.1f} levels of 255",
        f"within {max_gap:g} either way",
        f"The film is {'brighter' if gap > 0 else 'darker'} than the photographs, and results will shift that way: add "
        f"photographs that are {'brighter' if gap > 0 else 'darker (evening, shade, indoors)'}, leave out the scenes of the "
        "film that differ most, or raise loss.color_weight.",
        abs(gap) > max_gap,
    )
    yield _check(
        "Color cast of anime relative to photos",
        f"{facts.color_gap:.1f} in the a/b plane",
        f"at most {MAX_COLOR_GAP:g}",
        "Results will take on the color cast of the film: add photographs in similar light, or raise loss.color_weight.",
        facts.color_gap > MAX_COLOR_GAP,
    )


def _dropped_pictures(facts: Facts) -> Iterator[Check]:
    for domain in facts.domains:
        total = facts.totals[domain]
        pictures = "key frames" if domain == "anime" else "photographs"
        unusable = share(sum(total.reasons[reason] for reason in ("dark", "blank", "over_exposed", "blurred")), total.pictures)
        yield _check(
            f"Dark, blank or blurred {pictures}",
            f"{unusable:.0%}",
            f"at most {MAX_UNUSABLE_SHARE:.0%}",
            "Look at the contact sheets of dropped pictures. If good ones are among them, relax dedup.dark_luma, "
            "dedup.blank_std or dedup.blur_sharpness; if not, this source is of little use.",
            unusable > MAX_UNUSABLE_SHARE,
        )
        duplicates = share(total.reasons["near_duplicate"] + total.reasons["exact_copy"], total.pictures)
        yield _check(
            f"Near-duplicate {pictures}",
            f"{duplicates:.0%}",
            f"at most {MAX_DUPLICATE_SHARE:.0%}",
            "Long still shots, or sources given twice. This costs time, not quality: "
            + ("lower keyframes.per_shot." if domain == "anime" else "remove the repeats."),
            duplicates > MAX_DUPLICATE_SHARE,
        )
    yield _check(
        "Warnings while reading films",
        f"{facts.warnings}",
        "none",
        "The log of stage keyframes has them. Parts of a film that are cut off or damaged are missing from the data set: get "
        "a complete copy.",
        facts.warnings > 0,
    )


def _sizes(facts: Facts, crop_size_px: int) -> Iterator[Check]:
    for domain in facts.domains:
        sizes = facts.sizes[domain]
        enlarged = share(float((sizes.sides < crop_size_px).sum()), len(sizes.sides))
        yield _check(
            f"{domain.capitalize()} crops that were enlarged",
            f"{enlarged:.0%}",
            f"at most {MAX_ENLARGED_SHARE:.0%}",
            f"They are soft. Use {'films' if domain == 'anime' else 'photographs'} of higher resolution, raise crop.side_min, "
            "or lower crop.size_px or crop.max_upscale.",
            enlarged > MAX_ENLARGED_SHARE,
        )


def share(part: float, whole: float) -> float:
    """Return part / whole, or 0 if the whole is 0."""
    return part / whole if whole else 0.0
