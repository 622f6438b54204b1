"""The charts of the data card. Where a chart has more than two colors, a table of the card says the same in numbers."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from pipeline.core.manifest import Domain
from pipeline.core.reasons import REASONS
from pipeline.data_card.colors import CropColors, histogram_mean
from pipeline.data_card.facts import Episode, Facts, Source, describe_reason, sort_reasons
from pipeline.web.charts import Draw, Theme

_MAX_SOURCES = 40  # in the chart of sources: the largest
_HISTOGRAM_BINS = 60
_TIMELINE_BINS = 150  # at most
_TIMELINE_BINS_S = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300)

KEPT = "kept"
# The color of kept pictures, each domain and each reason, on a light and on a dark page.
_COLORS: dict[str, tuple[str, str]] = {
    KEPT: ("#009e73", "#1fb58a"),
    "anime": ("#d55e00", "#f0813a"),
    "photo": ("#0072b2", "#56b4e9"),
    **{name: reason.colors for name, reason in REASONS.items()},
}
_OTHER_COLORS = ("#6a7f2a", "#a05ea0", "#2f6f9f")  # for reasons not listed above


def colors_of(name: str) -> tuple[str, str]:
    """Return the color (#rrggbb) of a reason, domain or `KEPT` on a light and on a dark page; unknown names have one too."""
    other = _OTHER_COLORS[sum(name.encode()) % len(_OTHER_COLORS)]
    return _COLORS.get(name, (other, other))


def _color(name: str, theme: Theme) -> str:
    return colors_of(name)[theme.dark]


def _thousands(value: float, _: object = None) -> str:
    return f"{value:,.0f}"


def pictures_by_source(sources: Sequence[Source], theme: Theme) -> Figure:
    """Draw the pictures of each source as a bar, kept and dropped by reason."""
    figure = Figure(figsize=(5.4, 1.2 + 0.34 * len(sources)))
    axes = figure.subplots()
    parts = [KEPT, *sort_reasons(reason for source in sources for reason in source.reasons)]
    left = np.zeros(len(sources))
    for part in parts:
        width = np.array([source.kept if part == KEPT else source.reasons[part] for source in sources], float)
        axes.barh(
            np.arange(len(sources)), width, 0.66, left, label=describe_reason(part),
            color=_color(part, theme), edgecolor=theme.background, linewidth=0.8,
        )  # fmt: skip
        left += width
    for index, source in enumerate(sources):
        share = source.kept / source.pictures if source.pictures else 0
        axes.annotate(f" {share:.0%} kept", (left[index], index), va="center", fontsize=8.5)
    axes.margins(x=0.12)
    axes.set_yticks(range(len(sources)), [source.name for source in sources])
    axes.invert_yaxis()  # the first on top
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.set_xlabel("key frames, photographs")
    figure.legend(loc="outside upper left", ncols=min(len(parts), 5), columnspacing=1.2, handlelength=1.2)
    return figure


def timeline(episodes: Sequence[Episode], theme: Theme) -> Figure:
    """Draw the key frames of film files over time, kept ones upwards and dropped ones downwards, and the shots below them."""
    figure = Figure(figsize=(11, 0.9 + 1.25 * len(episodes)))
    grid = figure.subplots(2 * len(episodes), 1, sharex=True, squeeze=False, height_ratios=[4, 0.55] * len(episodes))[:, 0]
    end = max((shot.end_s for episode in episodes for shot, _ in episode.shots), default=1.0)
    step = next((seconds for seconds in _TIMELINE_BINS_S if end / seconds <= _TIMELINE_BINS), end / _TIMELINE_BINS)
    edges = np.arange(0, end + step, step)
    reasons = sort_reasons(reason for episode in episodes for _, reason in episode.key_frames if reason is not None)
    for index, episode in enumerate(episodes):
        _draw_key_frames(grid[2 * index], episode, edges, reasons, theme)
        _draw_shots(grid[2 * index + 1], episode, theme)
        if len(episodes) > 1:
            grid[2 * index].set_title(episode.name, fontsize=9)
    last = grid[-1]
    last.tick_params(axis="x", length=3, labelbottom=True)
    last.spines["bottom"].set_visible(True)
    last.set_xlabel("seconds of the film")
    last.set_xlim(0, end)
    last.xaxis.set_major_locator(MaxNLocator(12))
    last.xaxis.set_major_formatter(FuncFormatter(_thousands))
    handles = [Patch(color=_color(part, theme), label=describe_reason(part)) for part in [KEPT, *reasons]]
    handles.append(Patch(facecolor=theme.faint, label="shot without a kept frame"))
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles))
    return figure


def _draw_key_frames(axes: Axes, episode: Episode, edges: NDArray[np.float64], reasons: Sequence[str], theme: Theme) -> None:
    width = edges[1] - edges[0]
    counts = {
        part: np.histogram([time for time, reason in episode.key_frames if (reason or KEPT) == part], edges)[0]
        for part in [KEPT, *reasons]
    }
    axes.bar(edges[:-1], counts[KEPT], width, align="edge", color=_color(KEPT, theme))
    below = np.zeros(len(edges) - 1)
    for reason in reasons:
        axes.bar(edges[:-1], -counts[reason], width, below, align="edge", color=_color(reason, theme))
        below -= counts[reason]
    axes.axhline(0, color=theme.background, linewidth=1)
    axes.set_ylim(min(-1.0, float(below.min())) * 1.08, max(1.0, float(counts[KEPT].max())) * 1.08)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(value):g}"))
    axes.set_ylabel(f"in {width:g} s", fontsize=8)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="x", length=0, labelbottom=False)


def _draw_shots(axes: Axes, episode: Episode, theme: Theme) -> None:
    for kept, color in ((True, _color(KEPT, theme)), (False, theme.faint)):
        # Neighbors in two tones, so that cuts show.
        for odd, alpha in ((0, 1.0), (1, 0.55)):
            spans = [
                (shot.start_s, shot.end_s - shot.start_s)
                for index, (shot, has_kept) in enumerate(episode.shots)
                if has_kept == kept and index % 2 == odd
            ]
            axes.broken_barh(spans, (0, 1), color=color, alpha=alpha, linewidth=0)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.set_ylabel("shots", fontsize=8, rotation=0, ha="right", va="center")
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(axis="x", length=0, labelbottom=False)


def level_histogram(histograms: dict[Domain, NDArray[np.int64]], label: str, theme: Theme) -> Figure:
    """Draw the distribution of luma or saturation over each domain's pixels, given as counts at 256 levels."""
    figure = Figure(figsize=(4.6, 3.0))
    axes = figure.subplots()
    edges = np.linspace(0, 256, _HISTOGRAM_BINS + 1)
    for domain, counts in histograms.items():
        color = _color(domain, theme)
        share, _ = np.histogram(np.arange(256), edges, weights=counts / counts.sum())
        share = share / np.diff(np.ceil(edges))  # bins hold four levels or five
        axes.stairs(share * 100, edges, color=color, fill=True, alpha=0.22)
        axes.stairs(share * 100, edges, color=color, linewidth=1.6)
        mean = histogram_mean(counts)
        axes.axvline(mean, color=color, linewidth=1.2, linestyle="--" if domain == "photo" else "-")
        axes.plot([], [], color=color, linewidth=2, label=f"{domain}, mean {mean:.0f}")
    axes.set(xlim=(0, 255), ylim=(0, None), xlabel=label, ylabel="% of pixels a level")
    axes.grid(axis="y")
    figure.legend(loc="outside upper left", ncols=2)
    return figure


def color_plane(colors: dict[Domain, CropColors], domain: Domain, theme: Theme) -> Figure:
    """Draw the mean color of each crop of a domain in CIELAB's a/b plane, and the means of both domains."""
    figure = Figure(figsize=(4.6, 4.3))
    axes = figure.subplots()
    reach = max(12.0, *(float(np.abs(crops.lab[:, 1:]).max(initial=0)) for crops in colors.values())) * 1.08
    own = colors[domain]
    axes.axhline(0, color=theme.faint, linewidth=0.8)
    axes.axvline(0, color=theme.faint, linewidth=0.8)
    axes.scatter(own.lab[:, 1], own.lab[:, 2], 34, np.clip(own.rgb / 255, 0, 1), edgecolors=theme.faint, linewidths=0.5)
    for each, crops in colors.items():
        _, a, b = crops.mean_lab
        marker = "o" if each == "anime" else "D"
        axes.plot(
            a, b, marker, markersize=9, color=_color(each, theme), markeredgecolor=theme.background, markeredgewidth=1.6,
            linestyle="none", label=f"mean of {each}",
        )  # fmt: skip
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel="a: green to red", ylabel="b: blue to yellow", aspect="equal")
    figure.legend(loc="outside upper left", ncols=2, title=f"{len(own.lab)} {domain} crops", alignment="left")
    return figure


def crop_histogram(
    values: dict[Domain, NDArray[np.float64]], label: str, limit: float, limit_label: str, percent: bool, theme: Theme
) -> Figure:
    """Draw the distribution of a number over each domain's crops, with a line at a limit; NaNs are left out.

    Args:
        values: 0 or more; the last bar also counts those beyond the axis.
        percent: the number is a share, shown in percent.
    """
    figure = Figure(figsize=(4.6, 3.0))
    axes = figure.subplots()
    finite = {domain: numbers[np.isfinite(numbers)] for domain, numbers in values.items()}
    top = max((float(np.quantile(numbers, 0.995)) for numbers in finite.values() if len(numbers)), default=limit) * 1.02
    edges = np.linspace(0, max(top, limit * 1.1), 41)
    for domain, numbers in finite.items():
        if len(numbers):
            share = np.histogram(np.minimum(numbers, edges[-1]), edges)[0] / len(numbers) * 100
            axes.stairs(share, edges, color=_color(domain, theme), fill=True, alpha=0.22)
            axes.stairs(share, edges, color=_color(domain, theme), linewidth=1.6, label=domain)
    axes.axvline(limit, color=theme.text, linewidth=1, linestyle=":", label=limit_label)
    axes.set(xlim=(0, edges[-1]), ylim=(0, None), xlabel=label, ylabel="% of crops")
    if percent:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.grid(axis="y")
    figure.legend(loc="outside upper left", ncols=3)
    return figure


def list_charts(
    facts: Facts, timelines: Sequence[tuple[Source, Sequence[Episode]]], size_px: int, min_edge_share: float
) -> Iterator[tuple[str, Draw, str, str]]:
    """Yield the charts of the card: name, function that draws it in a theme, caption, alternative text.

    Args:
        timelines: films with a timeline, and the episodes in it.
        size_px: side of a stored crop, in pixels.
        min_edge_share: the lowest share of edge pixels that stage crop allows, 0 to 1.
    """
    ranked = sorted(facts.sources, key=lambda source: -source.pictures)[:_MAX_SOURCES]
    sources = [source for source in facts.sources if source in ranked]
    yield (
        "pictures", partial(pictures_by_source, sources),
        "What became of each source's pictures.", "Bars: pictures of each source, kept and dropped by reason",
    )  # fmt: skip
    for film, episodes in timelines:
        total = len(film.episodes)
        some = f" {len(episodes)} of {total} episodes, evenly spread." if len(episodes) < total else ""
        yield (
            f"timeline_{film.name}", partial(timeline, episodes),
            f"{film.name}: {film.shots_kept:,} of {film.shots:,} shots have a kept frame.{some}",
            f"Timeline of {film.name}: key frames kept and dropped, and shots, over the seconds of the film",
        )  # fmt: skip
    gap = facts.brightness_gap
    yield (
        "luma",
        partial(level_histogram, {domain: facts.colors[domain].luma for domain in facts.domains}, "luma, 0 black to 255 white"),
        f"Brightness: anime is {abs(gap):.0f} levels {'brighter' if gap > 0 else 'darker'} than the photographs."
        if facts.comparable
        else "Brightness.",
        "Histograms of luma, anime and photos",
    )
    saturation = {domain: facts.colors[domain].saturation for domain in facts.domains}
    yield (
        "saturation", partial(level_histogram, saturation, "saturation, 0 gray to 255 pure"),
        "Saturation.", "Histograms of saturation, anime and photos",
    )  # fmt: skip
    for domain in facts.domains:
        yield (
            f"color_{domain}", partial(color_plane, {each: facts.colors[each] for each in facts.domains}, domain),
            f"Mean color of each {domain} crop, on the same axes in both.", f"Mean colors of {domain} crops in the a/b plane",
        )  # fmt: skip
    sides = {domain: facts.sizes[domain].sides for domain in facts.domains}
    yield (
        "side", partial(crop_histogram, sides, "side of a crop before scaling, pixels", size_px, f"stored at {size_px}", False),
        "Sides of crops; those left of the line were enlarged.", "Histograms of the sides of crops",
    )  # fmt: skip
    edges = {domain: facts.sizes[domain].edge_shares for domain in facts.domains}
    yield (
        "edges", partial(crop_histogram, edges, "share of edge pixels", min_edge_share, "least allowed", True),
        "Amount of detail in the crops.", "Histograms of the share of edge pixels",
    )  # fmt: skip
