"""What `evaluate` measured, as a page: one file that opens from disk, pictures within. Jinja escapes every value."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from jinja2 import Environment, StrictUndefined

from pipeline.media import images
from pipeline.media.images import Picture
from pipeline.web.theme import STYLE

_QUALITY = 82


@dataclass(frozen=True)
class Advice:
    """One thing to be said."""

    level: Literal["good", "caution", "bad"]
    title: str
    text: str


@dataclass(frozen=True)
class Bar:
    """A place on the scale from the photos (0) to the film (1)."""

    label: str
    value: float
    error: float = 0.0
    ours: bool = False


@dataclass(frozen=True)
class Pair:
    """A photo and what became of it, to be laid over each other."""

    title: str
    note: str
    photo: Picture
    result: Picture


@dataclass(frozen=True)
class Column:
    """A metric in the table."""

    name: str
    said: str  # what it is, in a few words
    better: str  # "higher", "lower", "as film", or ""


LEGEND = """\
<details><summary>What the columns mean</summary>
<dl class="said">
{% for column in it.columns %}
<dt>{{ column.name }}</dt><dd>{{ column.said }}</dd>
{% endfor %}
</dl>
<p>Source, range and blind spot of each: docs/metrics.md.</p>
</details>
"""
"""What explains `it.columns`, in a page's template."""

COLUMNS = (
    Column("score", "harmonic mean of style_score and content_similarity: choose a checkpoint by it", "higher"),
    Column("style_score", "0 the photos, 1 as near to the film as it is to itself", "higher"),
    Column("style_score_error", "standard error of style_score, over photographs and shots", ""),
    Column("lead", "how much nearer than the result, from the same photos", ""),
    Column("lead_error", "its standard error: less than that is no difference", ""),
    Column("content_similarity", "0 another photo, 1 the photo itself, to VGG19", "higher"),
    Column("from_result", "mean difference from the result, levels: of a student from its teacher", ""),
    Column("from_result_lpips", "the same in VGG19 features", ""),
    Column("kid_vgg19", "distance to unseen crops of the film", "lower"),
    Column("fid_vgg19", "the same as a Frechet distance", "lower"),
    Column("kid_inception", "the distance in Inception features", "lower"),
    Column("fid_inception", "the same as a Frechet distance", "lower"),
    Column("lpips", "distance from the photo in VGG19 features", "neither"),
    Column("ssim", "structure of luminance kept", "neither"),
    Column("edge_agreement", "borders of areas that photo and result share", "higher"),
    Column("edges_invented", "share of the result's borders that the photo has not", "lower"),
    Column("color_shift", "how far colours moved, CIEDE2000", "lower"),
    Column("color_shift_std", "the spread of that over a picture", "lower"),
    Column("lightness_shift", "brighter or darker, CIELAB units", "near flattened"),
    Column("red_shift", "redder or greener", "near flattened"),
    Column("yellow_shift", "yellower or bluer", "near flattened"),
    Column("flatness", "how few places hold the change between pixels", "as film"),
    Column("line_strength", "borders with a dark line less those with a bright one, percent", "as film"),
    Column("edge_blur_px", "how soft edges are; style_score does not count it", "as film or less"),
    Column("checkerboard", "grid of the upsampling against the photo's, 1 is none", "near 1"),
    Column("flicker", "change where only the camera moves, levels", "lower"),
    Column("input_difference", "mean difference from the photo, levels", "over 2"),
    Column("one_color", "share of pictures that lost their colours", "0"),
)


@dataclass(frozen=True)
class Evaluation:
    """Everything that is said."""

    title: str
    summary: str
    tiles: Sequence[tuple[str, str]]
    advice: Sequence[Advice]
    bars: Sequence[Bar]
    best: Sequence[Pair]
    worst: Sequence[Pair]
    others: Sequence[Pair]
    beside: Picture  # a row a photo, a column a way to redraw it
    columns: Sequence[Column]
    table: Mapping[str, Mapping[str, float]]  # row -> column -> value; what is not there has no meaning for the row
    footer: str


def page(evaluation: Evaluation) -> str:
    """The page's HTML."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["embed"] = _embed
    environment.filters["number"] = number
    return environment.from_string(_PAGE).render(it=evaluation, axis=_axis(evaluation.bars))


def number(value: float | None) -> str:
    """Three digits that matter; a dash for nothing."""
    return "–" if value is None else f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"  # noqa: RUF001


def _embed(picture: Picture) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(images.jpeg(picture, _QUALITY)).decode()


@dataclass(frozen=True)
class _Axis:
    """From values to percents of the chart's width."""

    low: float
    high: float

    def at(self, value: float) -> float:
        return round(100 * (min(max(value, self.low), self.high) - self.low) / (self.high - self.low), 2)


def _axis(bars: Sequence[Bar]) -> _Axis:
    """Both ends of the scale, and whatever lies beyond them up to as far again."""
    low = min([-0.1, *(bar.value - bar.error for bar in bars)])
    high = max([1.1, *(bar.value + bar.error for bar in bars)])
    return _Axis(max(low, -1.0), min(high, 2.0))


_OWN_STYLE = """\
:root{--ours:#d55e00}
@media (prefers-color-scheme:dark){:root{--ours:#f0813a}}
.advice{display:grid;gap:.7rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,27rem),1fr));
margin:.8rem 0 0;padding:0;list-style:none}
.advice li{border-left:.3rem solid var(--good);background:var(--good-ground);border-radius:.4rem;padding:.6rem .9rem}
.advice .caution{border-color:var(--caution);background:var(--caution-ground)}
.advice .bad{border-color:var(--bad);background:var(--bad-ground)}
.advice p{margin:.15rem 0 0}
.level{font-size:.75rem;font-weight:700;letter-spacing:.06em;text-transform:uppercase;margin-right:.4rem;color:var(--good)}
.caution .level{color:var(--caution)}
.scale{display:grid;grid-template-columns:minmax(7rem,auto) 1fr auto;gap:.35rem .9rem;align-items:center;margin:.8rem 0 0;
font-size:.92rem}
.scale dt{font-weight:600}
.scale dd{margin:0}
.track{position:relative;height:1.5rem;background:var(--paper);border-radius:.25rem}
.track i{position:absolute;top:.25rem;bottom:.25rem;background:var(--accent);border-radius:.15rem}
.track.ours i{background:var(--ours)}
.track b{position:absolute;top:50%;height:2px;margin-top:-1px;background:var(--ink)}
.track u{position:absolute;top:-.18rem;bottom:-.18rem;width:2px;margin-left:-1px;background:var(--soft);opacity:.55}
.scale .n{text-align:right;font-variant-numeric:tabular-nums}
.ends{position:relative;height:1.4rem;color:var(--soft);font-size:.82rem}
.ends span{position:absolute;transform:translateX(-50%);white-space:nowrap}
.pairs{display:grid;gap:1.2rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,20rem),1fr));margin:0}
.pair{--at:50%;position:relative;overflow:hidden;border-radius:.4rem;background:#000;line-height:0;touch-action:pan-y}
.pair img{display:block;width:100%;height:auto}
.pair img+img{position:absolute;inset:0;height:100%;clip-path:inset(0 0 0 var(--at))}
.pair::after{content:"";position:absolute;top:0;bottom:0;left:var(--at);width:2px;margin-left:-1px;background:#fff;
box-shadow:0 0 3px #000}
.pair input{position:absolute;inset:0;width:100%;height:100%;margin:0;opacity:0;cursor:ew-resize}
.pair:focus-within{outline:3px solid var(--accent);outline-offset:2px}
.pair em{position:absolute;top:.5rem;padding:.1rem .5rem;border-radius:.3rem;background:rgb(0 0 0/.6);color:#fff;
font:600 .75rem/1.5 system-ui,sans-serif;pointer-events:none}
.pair em:first-of-type{left:.5rem}
.pair em:last-of-type{right:.5rem}
.beside{display:block;max-width:none;border-radius:.4rem}
figcaption{color:var(--soft);font-size:.86rem;margin-top:.35rem;overflow-wrap:anywhere}
figcaption strong{color:var(--ink)}
th,td{padding:.35rem .7rem;border-bottom:1px solid var(--line);text-align:right;font-variant-numeric:tabular-nums;
white-space:nowrap}
th:first-child{text-align:left}
thead th{color:var(--soft);font-weight:600;vertical-align:bottom}
thead small{display:block;font-weight:400}
tr.ours th,tr.ours td{font-weight:700;color:var(--ours)}
dl.said{display:grid;grid-template-columns:auto 1fr;gap:.2rem 1rem;font-size:.9rem}
dl.said dt{font-weight:600}
dl.said dd{margin:0;color:var(--soft)}
@media (max-width:40rem){section{padding:1rem .9rem}header,main,footer{padding-left:.8rem;padding-right:.8rem}
.scale{grid-template-columns:1fr auto}.scale .wide{grid-column:1/-1;grid-row:auto}}
"""

_SCRIPT = """\
for (const slider of document.querySelectorAll(".pair input"))
  slider.addEventListener("input", () => slider.parentElement.style.setProperty("--at", slider.value + "%"));
"""

_PAGE = (
    """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Evaluation: {{ it.title }}</title>
<style>
"""
    + STYLE
    + _OWN_STYLE
    + """\
</style>
</head>
<body>
{% macro pairs(title, them) %}
{% if them %}
<h3>{{ title }}</h3>
<div class="pairs">
{% for pair in them %}
<figure><div class="pair"><img src="{{ pair.photo|embed }}" alt="photo" width="{{ pair.photo.shape[1] }}" \
height="{{ pair.photo.shape[0] }}"><img src="{{ pair.result|embed }}" alt="result">
<em>photo</em><em>result</em>
<input type="range" min="0" max="100" value="50" aria-label="{{ pair.title }}: how much of the photo is shown, percent"></div>
<figcaption><strong>{{ pair.title }}</strong> {{ pair.note }}</figcaption></figure>
{% endfor %}
</div>
{% endif %}
{% endmacro %}
<header>
<p class="kind">Evaluation</p>
<h1>{{ it.title }}</h1>
<p class="lead">{{ it.summary }}</p>
<ul class="tiles">
{% for value, label in it.tiles %}
<li><b>{{ value }}</b><span>{{ label }}</span></li>
{% endfor %}
</ul>
</header>
<main>
<section id="advice">
<h2>What to make of it</h2>
<ul class="advice">
{% for one in it.advice %}
<li class="{{ one.level }}"><span class="level">{{ one.level }}</span><strong>{{ one.title }}</strong><p>{{ one.text }}</p></li>
{% endfor %}
</ul>
</section>
<section id="pictures">
<h2>Pictures</h2>
<p>Drag across a picture, or tab to it and use the arrow keys: the photo is left of the line, the result right of it.</p>
{{ pairs("Best by the numbers", it.best) }}
{{ pairs("Worst by the numbers", it.worst) }}
{{ pairs("Others", it.others) }}
<h3>Side by side</h3>
<div class="scroll" tabindex="0" role="group" aria-label="side by side"><img class="beside" src="{{ it.beside|embed }}" \
alt="A row a photo: itself, the result, and what the other rows of the table make of it" \
width="{{ it.beside.shape[1] }}" height="{{ it.beside.shape[0] }}"></div>
</section>
{% if it.bars %}
<section id="scale">
<h2>How near to the film</h2>
<p>0 is the untouched photos, 1 is as near as the film is to itself (shots that were trained on against shots that were not). \
Black whiskers: one standard error.</p>
<dl class="scale">
{% for bar in it.bars %}
<dt>{{ bar.label }}</dt>
<dd class="wide"><div class="track{{ " ours" if bar.ours }}">
<u style="left:{{ axis.at(0) }}%"></u><u style="left:{{ axis.at(1) }}%"></u>
<i style="left:{{ [axis.at(0), axis.at(bar.value)]|min }}%;width:{{ (axis.at(bar.value) - axis.at(0))|abs }}%"></i>
{% if bar.error %}
{% set low, high = axis.at(bar.value - bar.error), axis.at(bar.value + bar.error) %}
<b style="left:{{ low }}%;width:{{ high - low }}%"></b>
{% endif %}
</div></dd>
<dd class="n">{{ "%.2f"|format(bar.value) }}{{ " ± %.2f"|format(bar.error) if bar.error }}</dd>
{% endfor %}
<dt></dt><dd class="wide"><div class="ends"><span style="left:{{ axis.at(0) }}%">photos</span>\
<span style="left:{{ axis.at(1) }}%">film</span></div></dd><dd></dd>
</dl>
</section>
{% endif %}
<section id="numbers">
<h2>Numbers</h2>
<div class="scroll" tabindex="0" role="group" aria-label="table">
<table>
<thead><tr><th scope="col"></th>
{% for column in it.columns %}
<th scope="col">{{ column.name }}<small>{{ column.better }}</small></th>
{% endfor %}
</tr></thead>
<tbody>
{% for name, row in it.table.items() %}
<tr{{ " class=ours" if name == "result" }}><th scope="row">{{ name }}</th>\
{% for column in it.columns %}<td>{{ row.get(column.name)|number }}</td>{% endfor %}</tr>
{% endfor %}
</tbody>
</table>
</div>
"""
    + LEGEND
    + """\
</section>
</main>
<footer><p>{{ it.footer }}</p></footer>
<script>
"""
    + _SCRIPT
    + """\
</script>
</body>
</html>
"""
)
