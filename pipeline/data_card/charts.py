"""The charts of the data card, by matplotlib: each drawn for a light and for a dark page.

Colors are those of Okabe and Ito (2008), which people with any colour vision tell apart; where one chart has more of them
than two, a table beside it says the same in numbers. Same facts, same bytes: no date, no state of pyplot, the font that
matplotlib carries.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from pipeline.core.manifest import Domain
from pipeline.data_card.facts import DOMAINS, Episode, Facts, Palette, Source, Total, in_order, mean

_DPI = 200
_SOURCES = 40  # the largest, where there are more
_BARS = 60  # bins of a histogram of levels
_BINS = 150  # of a timeline, about
_BIN_SECONDS = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300)

KEPT = "kept"
# Each name's colour on a light and on a dark page.
_COLOURS: dict[str, tuple[str, str]] = {
    KEPT: ("#009e73", "#1fb58a"),
    "near_duplicate": ("#e69f00", "#e69f00"),
    "credits": ("#cc79a7", "#cc79a7"),
    "title": ("#1b4f9c", "#6f9be0"),
    "dark": ("#4d5560", "#8b95a3"),
    "blank": ("#c9b800", "#f0e442"),
    "blurred": ("#56b4e9", "#56b4e9"),
    "too_small": ("#d55e00", "#d55e00"),
    "flat": ("#8c6d46", "#b9986c"),
    "covered": ("#3f7f7f", "#5fb0b0"),
    "by_hand": ("#7b4fb5", "#a98ae0"),
    "unreadable": ("#a33a3a", "#e07070"),
    "anime": ("#d55e00", "#f0813a"),
    "photo": ("#0072b2", "#56b4e9"),
}
_OTHERS = ("#6a7f2a", "#a05ea0", "#2f6f9f")  # reasons that have no colour of their own


@dataclass(frozen=True)
class Theme:
    """A page's ground and ink."""

    name: str
    paper: str
    ink: str
    faint: str
    dark: bool

    def colour(self, name: str) -> str:
        return colours(name)[self.dark]


LIGHT = Theme("charts", "#ffffff", "#1d2733", "#c9d1da", False)
DARK = Theme("charts_dark", "#1a1f26", "#dfe5ec", "#424c58", True)

Draw = Callable[[Theme], Figure]


def colours(name: str) -> tuple[str, str]:
    """The colour of a reason, of what is kept, or of a domain, on a light and on a dark page."""
    if name in _COLOURS:
        return _COLOURS[name]
    other = _OTHERS[sum(name.encode()) % len(_OTHERS)]
    return other, other


def words(name: str) -> str:
    """A reason as people say it."""
    return "near-duplicate" if name == "near_duplicate" else name.replace("_", " ")


def save(folder: Path, name: str, draw: Draw) -> tuple[int, int]:
    """Write a chart for both pages: `folder`/charts/`name`.png and `folder`/charts_dark/`name`.png.

    Returns:
        Width and height in pixels.
    """
    size = (0, 0)
    for theme in (LIGHT, DARK):
        (folder / theme.name).mkdir(exist_ok=True)
        drawn, size = png(draw, theme)
        (folder / theme.name / f"{name}.png").write_bytes(drawn)
    return size


def png(draw: Draw, theme: Theme) -> tuple[bytes, tuple[int, int]]:
    """A chart as a PNG file's bytes, and its width and height in pixels."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user's own matplotlibrc says
        for key, value in _style(theme).items():
            matplotlib.rcParams[key] = value
        figure = draw(theme)
        file = io.BytesIO()
        FigureCanvasAgg(figure).print_figure(file, dpi=_DPI, metadata={"Software": None})
        return file.getvalue(), (round(figure.get_figwidth() * _DPI), round(figure.get_figheight() * _DPI))


def _style(theme: Theme) -> dict[Any, Any]:
    return {
        "figure.facecolor": theme.paper,
        "savefig.facecolor": theme.paper,
        "axes.facecolor": theme.paper,
        "axes.edgecolor": theme.faint,
        "axes.labelcolor": theme.ink,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "axes.titlecolor": theme.ink,
        "text.color": theme.ink,
        "xtick.color": theme.faint,
        "ytick.color": theme.faint,
        "xtick.labelcolor": theme.ink,
        "ytick.labelcolor": theme.ink,
        "grid.color": theme.faint,
        "grid.linewidth": 0.5,
        "grid.alpha": 0.6,
        "font.size": 9,
        "legend.frameon": False,
        "legend.fontsize": 8.5,
        "figure.constrained_layout.use": True,
    }


def _grouped(value: float, _: object = None) -> str:
    return f"{value:,.0f}"


def pictures(sources: Sequence[Source], theme: Theme) -> Figure:
    """What became of the pictures of each source: a bar a source, one colour a reason."""
    figure = Figure(figsize=(5.4, 1.2 + 0.34 * len(sources)))
    axes = figure.subplots()
    parts = [KEPT, *in_order(reason for source in sources for reason in source.reasons)]
    left = np.zeros(len(sources))
    places = np.arange(len(sources))
    for part in parts:
        width = np.array([source.kept if part == KEPT else source.reasons[part] for source in sources], float)
        axes.barh(places, width, 0.66, left, color=theme.colour(part), edgecolor=theme.paper, linewidth=0.8, label=words(part))
        left += width
    for place, source in zip(places, sources, strict=True):
        share = source.kept / source.pictures if source.pictures else 0
        axes.annotate(f" {share:.0%} kept", (left[place], place), va="center", fontsize=8.5)
    axes.set_yticks(places, [source.name for source in sources])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(_grouped))
    axes.set_xlabel("key frames, photographs")
    figure.legend(loc="outside upper left", ncols=min(len(parts), 5), columnspacing=1.2, handlelength=1.2)
    return figure


def crops(totals: dict[Domain, Total], theme: Theme) -> Figure:
    """Crops of each domain, by split."""
    figure = Figure(figsize=(5.4, 1.7))
    axes = figure.subplots()
    for place, domain in enumerate(DOMAINS):
        total = totals[domain]
        train, val = total.splits["train"], total.splits["val"]
        rest = total.crops - train - val
        start = 0
        for count, alpha in ((train, 1.0), (val, 0.6), (rest, 0.25)):
            axes.barh(place, count, 0.6, start, color=theme.colour(domain), alpha=alpha, edgecolor=theme.paper, linewidth=0.8)
            start += count
        text = f" {train:,} train, {val:,} val" + (f", {rest:,} in neither" if rest else "")
        axes.annotate(text, (start, place), va="center", fontsize=8.5)
    axes.set_yticks([0, 1], list(DOMAINS))
    axes.invert_yaxis()
    axes.set_xlim(0, 1.9 * max(total.crops for total in totals.values()))
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(_grouped))
    axes.set_xlabel("crops")
    return figure


def timeline(episodes: Sequence[Episode], theme: Theme) -> Figure:
    """Key frames over the seconds of each film, kept ones upwards and dropped ones downwards; under them the shots."""
    figure = Figure(figsize=(11, 0.9 + 1.25 * len(episodes)))
    grid = figure.subplots(2 * len(episodes), 1, sharex=True, squeeze=False, height_ratios=[4, 0.55] * len(episodes))[:, 0]
    end = max((shot.end_s for episode in episodes for shot, _ in episode.shots), default=1.0)
    step = next((seconds for seconds in _BIN_SECONDS if end / seconds <= _BINS), end / _BINS)
    edges = np.arange(0, end + step, step)
    parts = in_order(reason for episode in episodes for _, reason in episode.marks if reason is not None)
    for index, episode in enumerate(episodes):
        _marks(grid[2 * index], episode, edges, parts, theme)
        _shots(grid[2 * index + 1], episode, theme)
        if len(episodes) > 1:
            grid[2 * index].set_title(episode.name, fontsize=9)
    grid[-1].tick_params(axis="x", length=3, labelbottom=True)
    grid[-1].spines["bottom"].set_visible(True)
    grid[-1].set_xlabel("seconds of the film")
    grid[-1].set_xlim(0, end)
    grid[-1].xaxis.set_major_locator(MaxNLocator(12))
    grid[-1].xaxis.set_major_formatter(FuncFormatter(_grouped))
    keys = [Patch(color=theme.colour(part), label=words(part)) for part in [KEPT, *parts]]
    keys.append(Patch(facecolor=theme.faint, label="shot of which nothing is kept"))
    figure.legend(handles=keys, loc="outside upper left", ncols=len(keys))
    return figure


def _marks(axes: Axes, episode: Episode, edges: NDArray[np.float64], parts: Sequence[str], theme: Theme) -> None:
    width = edges[1] - edges[0]
    counts = {
        part: np.histogram([time for time, reason in episode.marks if (reason or KEPT) == part], edges)[0]
        for part in [KEPT, *parts]
    }
    axes.bar(edges[:-1], counts[KEPT], width, align="edge", color=theme.colour(KEPT))
    below = np.zeros(len(edges) - 1)
    for part in parts:
        axes.bar(edges[:-1], -counts[part], width, below, align="edge", color=theme.colour(part))
        below -= counts[part]
    axes.axhline(0, color=theme.paper, linewidth=1)
    axes.set_ylim(min(-1.0, float(below.min())) * 1.08, max(1.0, float(counts[KEPT].max())) * 1.08)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(value):g}"))
    axes.set_ylabel(f"in {width:g} s", fontsize=8)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="x", length=0, labelbottom=False)


def _shots(axes: Axes, episode: Episode, theme: Theme) -> None:
    for kept, colour in ((True, theme.colour(KEPT)), (False, theme.faint)):
        # Neighbours in two tones, so that cuts show.
        for odd, alpha in ((0, 1.0), (1, 0.55)):
            spans = [
                (shot.start_s, shot.end_s - shot.start_s)
                for index, (shot, shown) in enumerate(episode.shots)
                if shown == kept and index % 2 == odd
            ]
            axes.broken_barh(spans, (0, 1), color=colour, alpha=alpha, linewidth=0)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.set_ylabel("shots", fontsize=8, rotation=0, ha="right", va="center")
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(axis="x", length=0, labelbottom=False)


def levels(palettes: dict[Domain, Palette], which: str, label: str, theme: Theme) -> Figure:
    """Spread of luma or saturation over the pixels of both domains."""
    figure = Figure(figsize=(4.6, 3.0))
    axes = figure.subplots()
    for domain in DOMAINS:
        counts: NDArray[np.int64] = getattr(palettes[domain], which)
        edges = np.linspace(0, 256, _BARS + 1)
        share, _ = np.histogram(np.arange(256), edges, weights=counts / counts.sum())
        share = share / np.diff(np.ceil(edges))  # bins hold four levels or five
        axes.stairs(share * 100, edges, color=theme.colour(domain), fill=True, alpha=0.22)
        axes.stairs(share * 100, edges, color=theme.colour(domain), linewidth=1.6)
        place = mean(counts)
        axes.axvline(place, color=theme.colour(domain), linewidth=1.2, linestyle="--" if domain == "photo" else "-")
        axes.plot([], [], color=theme.colour(domain), linewidth=2, label=f"{domain}, mean {place:.0f}")
    axes.set_xlim(0, 255)
    axes.set_ylim(0, None)
    axes.set_xlabel(label)
    axes.set_ylabel("% of pixels a level")
    axes.grid(axis="y")
    figure.legend(loc="outside upper left", ncols=2)
    return figure


def plane(palettes: dict[Domain, Palette], domain: Domain, theme: Theme) -> Figure:
    """Mean colour of each measured crop in CIELAB's a/b plane, in that colour; both domains' means."""
    figure = Figure(figsize=(4.6, 4.3))
    axes = figure.subplots()
    reach = max(12.0, *(float(np.abs(one.lab[:, 1:]).max(initial=0)) for one in palettes.values())) * 1.08
    own = palettes[domain]
    axes.axhline(0, color=theme.faint, linewidth=0.8)
    axes.axvline(0, color=theme.faint, linewidth=0.8)
    axes.scatter(own.lab[:, 1], own.lab[:, 2], 34, np.clip(own.rgb / 255, 0, 1), edgecolors=theme.faint, linewidths=0.5)
    for each, marker in zip(DOMAINS, ("o", "D"), strict=True):
        _, a, b = palettes[each].mean_lab
        axes.plot(
            a, b, marker, markersize=9, color=theme.colour(each), markeredgecolor=theme.paper, markeredgewidth=1.6,
            linestyle="none", label=f"mean of {each}",
        )  # fmt: skip
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel="a: green to red", ylabel="b: blue to yellow", aspect="equal")
    figure.legend(loc="outside upper left", ncols=2, title=f"{own.pictures} {domain} crops", alignment="left")
    return figure


def spreads(
    values: dict[Domain, NDArray[np.float64]], label: str, mark: float, mark_label: str, percent: bool, theme: Theme
) -> Figure:
    """Spread of a number over the crops of both domains, and a line at a limit."""
    figure = Figure(figsize=(4.6, 3.0))
    axes = figure.subplots()
    finite = {domain: one[np.isfinite(one)] for domain, one in values.items()}
    top = max((float(np.quantile(one, 0.995)) for one in finite.values() if len(one)), default=mark) * 1.02
    edges = np.linspace(0, max(top, mark * 1.1), 41)
    for domain, one in finite.items():
        if len(one) == 0:
            continue
        share = np.histogram(np.minimum(one, edges[-1]), edges)[0] / len(one) * 100
        axes.stairs(share, edges, color=theme.colour(domain), fill=True, alpha=0.22)
        axes.stairs(share, edges, color=theme.colour(domain), linewidth=1.6, label=domain)
    axes.axvline(mark, color=theme.ink, linewidth=1, linestyle=":", label=mark_label)
    axes.set_xlim(0, edges[-1])
    axes.set_ylim(0, None)
    if percent:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.set_xlabel(label)
    axes.set_ylabel("% of crops")
    axes.grid(axis="y")
    figure.legend(loc="outside upper left", ncols=3)
    return figure


def draw_all(
    facts: Facts, films: Sequence[tuple[str, Sequence[Episode]]], size_px: int, min_edge_share: float, out: Path
) -> dict[str, tuple[int, int]]:
    """Write every chart of the card; width and height of each in pixels, by name.

    Args:
        films: names of the timelines, and the episodes in each.
    """
    largest = sorted(facts.sources, key=lambda source: -source.pictures)[:_SOURCES]
    listed = [source for source in facts.sources if source in largest]
    sides = {domain: facts.scales[domain].sides for domain in DOMAINS}
    edges = {domain: facts.scales[domain].edge_shares for domain in DOMAINS}
    draws: dict[str, Draw] = {
        "pictures": partial(pictures, listed),
        "crops": partial(crops, facts.totals),
        **{f"timeline_{name}": partial(timeline, episodes) for name, episodes in films},
        "luma": partial(levels, facts.palettes, "luma", "luma, 0 black to 255 white"),
        "saturation": partial(levels, facts.palettes, "saturation", "saturation, 0 grey to 255 pure"),
        **{f"colour_{domain}": partial(plane, facts.palettes, domain) for domain in DOMAINS},
        "side": partial(spreads, sides, "side of a crop before scaling, pixels", size_px, f"stored at {size_px}", False),
        "edges": partial(spreads, edges, "share of edge pixels", min_edge_share, "least allowed", True),
    }
    return {name: save(out, name, draw) for name, draw in draws.items()}
