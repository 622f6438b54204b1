"""Charts for the pages, drawn by matplotlib for light and dark screens; the same data gives the same bytes.

Line and bar colors are those of Okabe and Ito (2008), which people with any color vision can tell apart.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_DPI = 200
_LAYOUT = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "grid.linewidth": 0.5,
    "grid.alpha": 0.6,
    "font.size": 9,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.constrained_layout.use": True,
}


@dataclass(frozen=True)
class Theme:
    """Colors of a chart's background, text and helper lines; `folder` is where a page's charts of this theme lie."""

    folder: str
    background: str
    text: str
    faint: str
    dark: bool


LIGHT = Theme("charts", "#ffffff", "#1d2733", "#c9d1da", False)
DARK = Theme("charts_dark", "#1a1f26", "#dfe5ec", "#424c58", True)

Draw = Callable[[Theme], Figure]


@dataclass(frozen=True)
class Chart:
    """A chart as two PNG files, for light and for dark screens."""

    light: bytes
    dark: bytes
    width_px: int
    height_px: int
    alt: str


def draw_chart(draw: Draw, alt: str) -> Chart:
    """Draw a figure in both themes, whatever matplotlibrc the user has; `alt` describes it to those who cannot see it."""
    pngs = []
    for theme in (LIGHT, DARK):
        with matplotlib.style.context(_style(theme), after_reset=True):
            figure = draw(theme)
            file = io.BytesIO()
            FigureCanvasAgg(figure).print_figure(file, dpi=_DPI, metadata={"Software": None})
            pngs.append(file.getvalue())
    width_px, height_px = (round(inches * _DPI) for inches in figure.get_size_inches())
    return Chart(pngs[0], pngs[1], width_px, height_px, alt)


def _style(theme: Theme) -> dict[Any, Any]:
    colors = {
        theme.background: ("figure.facecolor", "savefig.facecolor", "axes.facecolor"),
        theme.text: ("axes.labelcolor", "axes.titlecolor", "text.color", "xtick.labelcolor", "ytick.labelcolor"),
        theme.faint: ("axes.edgecolor", "xtick.color", "ytick.color", "grid.color"),
    }
    return _LAYOUT | {key: color for color, keys in colors.items() for key in keys}
