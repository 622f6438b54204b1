"""What `genga sweep` found, as a page: one file that opens from disk, pictures within. Jinja escapes every value."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, StrictUndefined

from pipeline.web.evaluation_page import LEGEND, Column, number
from pipeline.web.theme import STYLE

MARK = '<meta name="generator" content="genga sweep">'
"""Tells the page from any other file: nothing else is ever overwritten."""


def said(value: Any) -> str:
    """A parameter's value as people write it."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value, default=str) if isinstance(value, list | dict) else str(value)


@dataclass(frozen=True)
class Row:
    """An experiment that was measured."""

    name: str
    values: Sequence[Any]  # of the varied parameters
    metrics: Mapping[str, float]
    note: str = ""


@dataclass(frozen=True)
class Waiting:
    """One of which there are no numbers, what is varied in it, and why."""

    name: str
    values: str
    trouble: str


@dataclass(frozen=True)
class Chart:
    """A PNG for a light page and one for a dark page."""

    light: bytes
    dark: bytes
    width_px: int
    height_px: int
    alt: str


@dataclass(frozen=True)
class Cell:
    """What an experiment made of a photo, as JPEG; empty where it did not redraw this one."""

    name: str
    picture: bytes


@dataclass(frozen=True)
class Shot:
    """A photo, and what each experiment made of it."""

    name: str
    photo: bytes
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Sweep:
    """Everything that is said."""

    params: Sequence[str]  # the varied ones that have columns
    more_params: Sequence[str]
    columns: Sequence[Column]
    rows: Sequence[Row]
    waiting: Sequence[Waiting]
    best: Row | None
    apply: str  # the command that fetches the best
    close: int  # others whose style score lies within the best one's error
    charts: Sequence[Chart]
    shots: Sequence[Shot]
    left_out: int = 0  # experiments whose pictures are not shown


def page(sweep: Sweep) -> str:
    """The page's HTML."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = number
    environment.filters["said"] = said
    environment.filters["jpeg"] = lambda data: _embed(data, "jpeg")
    environment.filters["png"] = lambda data: _embed(data, "png")
    return environment.from_string(_PAGE).render(it=sweep, rows={row.name: row for row in sweep.rows})


def _embed(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64," + base64.b64encode(data).decode()


_OWN_STYLE = """\
:root{--ours:#d55e00}
@media (prefers-color-scheme:dark){:root{--ours:#f0813a}}
code{font:.92em ui-monospace,SFMono-Regular,Menlo,monospace;background:var(--paper);padding:.1rem .35rem;border-radius:.25rem;
overflow-wrap:anywhere}
figure img{display:block;width:100%;max-width:48rem;height:auto;border-radius:.3rem}
.pan{overflow-x:auto}
.pan img.wide{max-width:none;min-width:44rem}
th,td{padding:.35rem .7rem;border-bottom:1px solid var(--line);text-align:right;font-variant-numeric:tabular-nums;
white-space:nowrap}
th:first-child,.waiting th,.waiting td{text-align:left}
.waiting td,.waiting th{white-space:normal;overflow-wrap:break-word;min-width:8rem;max-width:30rem;vertical-align:top}
#numbers th:first-child{position:sticky;left:0;background:var(--card)}
tbody th{font-weight:600}
tbody th small{display:block;font-weight:400;color:var(--soft);white-space:normal;min-width:8rem;max-width:18rem}
thead th{color:var(--soft);font-weight:600;vertical-align:bottom}
thead small{display:block;font-weight:400}
thead button{all:unset;cursor:pointer;color:inherit}
thead button:focus-visible{outline:3px solid var(--accent);outline-offset:2px;border-radius:.2rem}
th[aria-sort=ascending] button::after{content:" \\2191"}
th[aria-sort=descending] button::after{content:" \\2193"}
th.param,td.param{background:var(--paper)}
tr.best th,tr.best td{font-weight:700;color:var(--ours)}
dl.said{display:grid;grid-template-columns:auto 1fr;gap:.2rem 1rem;font-size:.9rem}
dl.said dt{font-weight:600}
dl.said dd{margin:0;color:var(--soft)}
.flip{display:flex;flex-wrap:wrap;gap:.5rem 1rem;align-items:center;margin:.8rem 0;font-size:.92rem;
position:sticky;top:0;z-index:2;background:var(--card)}
.flip[hidden]{display:none}
.flip input[type=range]{flex:1 1 12rem;max-width:30rem;min-height:2rem}
.flip label{display:flex;gap:.4rem;align-items:center;min-height:2rem}
.flip output{flex-basis:100%;font-weight:600;overflow-wrap:anywhere}
.grid{width:auto;--cell:clamp(8rem,26vw,16rem)}
.grid th,.grid td{padding:.2rem;border:0;text-align:left;vertical-align:bottom;white-space:normal}
.grid thead th{font-size:.82rem;line-height:1.35;color:var(--ink);overflow-wrap:anywhere;max-width:var(--cell)}
.grid thead small{color:var(--soft)}
.grid img{display:block;width:var(--cell);height:auto;border-radius:.3rem}
.grid tbody th{font-weight:400}
.grid .photo{position:sticky;left:0;z-index:1;background:var(--card);padding-right:.4rem}
.grid.one{--cell:min(44vw,28rem)}
@media (max-width:40rem){section{padding:1rem .9rem}header,main,footer{padding-left:.8rem;padding-right:.8rem}
.grid.one{--cell:40vw}.grid{--cell:34vw}}
"""

_SCRIPT = """\
const table = document.querySelector("#numbers table");
const value = (row, place) => row.cells[place].dataset.value ?? "";
for (const button of table.tHead.querySelectorAll("button"))
  button.addEventListener("click", () => {
    const head = button.parentElement, place = head.cellIndex;
    // Numbers are first sorted so that the best come first.
    const start = head.dataset.better === "higher" ? "descending" : "ascending";
    const other = { ascending: "descending", descending: "ascending" };
    const way = head.ariaSort ? other[head.ariaSort] : start;
    for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", way);
    const turn = way === "ascending" ? 1 : -1;
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const [x, y] = [value(a, place), value(b, place)];
      if (x === "" || y === "") return (x === "") - (y === "");  // what is not there comes last, either way
      const both = x.trim() && y.trim() && !isNaN(x) && !isNaN(y);
      return turn * (both ? x - y : x.localeCompare(y));
    });
    table.tBodies[0].append(...rows);
  });
const grid = document.querySelector(".grid");
if (grid && grid.tHead.rows[0].cells.length > 2) {
  const flip = document.querySelector(".flip");
  const [one, which] = flip.querySelectorAll("input");
  const heads = grid.tHead.rows[0].cells;
  which.max = heads.length - 1;
  const show = () => {
    grid.classList.toggle("one", one.checked);
    which.disabled = !one.checked;
    for (const row of grid.rows)
      for (let place = 1; place < row.cells.length; place++)
        row.cells[place].hidden = one.checked && place !== +which.value;
    const said = one.checked ? heads[which.value].innerText.replaceAll("\\n", ", ") : "";
    which.setAttribute("aria-valuetext", said);
    flip.querySelector("output").textContent = said;
  };
  flip.hidden = false;
  one.addEventListener("change", () => { show(); if (one.checked) which.focus(); });
  which.addEventListener("input", show);
  show();
}
"""

_PAGE = (
    """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
"""
    + MARK
    + """
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Sweep: {{ it.params|join(", ") or "experiments" }}</title>
<style>
"""
    + STYLE
    + _OWN_STYLE
    + """\
</style>
</head>
<body>
<header>
<p class="kind">Sweep</p>
<h1>{{ it.params|join(", ") or "Experiments" }}</h1>
<p class="lead">{{ it.rows|length }} ways to train, each measured on photos that it never saw\
{{ "; " ~ it.waiting|length ~ " without numbers" if it.waiting }}.</p>
<ul class="tiles">
{% if it.best %}
<li><b>{{ it.best.name }}</b><span>best by score</span></li>
{% for name in ("score", "style_score", "content_similarity") %}
{% if name in it.best.metrics %}
<li><b>{{ it.best.metrics[name]|number }}</b><span>its {{ name }}</span></li>
{% endif %}
{% endfor %}
{% endif %}
</ul>
{% if it.best %}
<p>To take it: <code>{{ it.apply }}</code>. \
{% if "style_score_error" in it.best.metrics %}
Its style score is known to ± {{ it.best.metrics["style_score_error"]|number }}: differences below that decide little\
{{ " (" ~ it.close ~ " of the others lie within)" if it.close }}, so go by the pictures too.
{% endif %}
</p>
{% endif %}
</header>
<main>
{% if it.charts %}
<section id="chart">
<h2>Against what was varied</h2>
{% for chart in it.charts %}
<figure><div class="pan" tabindex="0" role="group" aria-label="chart"><picture>
<source srcset="{{ chart.dark|png }}" media="(prefers-color-scheme: dark)">
<img{{ " class=wide" if chart.width_px > 1600 }} src="{{ chart.light|png }}" alt="{{ chart.alt }}; the table below has the \
numbers" width="{{ chart.width_px }}" height="{{ chart.height_px }}">
</picture></div></figure>
{% endfor %}
<p>1 is the film (style_score) and the photo itself (content_similarity); score is their harmonic mean. \
Bars: one standard error of style_score.</p>
</section>
{% endif %}
<section id="numbers">
<h2>Numbers</h2>
{% if it.more_params %}
<p>Varied too, and not shown: {{ it.more_params|join(", ") }}.</p>
{% endif %}
<div class="scroll" tabindex="0" role="group" aria-label="table">
<table>
<thead><tr><th scope="col"><button type="button">experiment</button></th>
{% for name in it.params %}
<th scope="col" class="param"><button type="button">{{ name }}</button></th>
{% endfor %}
{% for column in it.columns %}
<th scope="col" data-better="{{ column.better }}"><button type="button">{{ column.name }}</button>\
<small>{{ column.better }}</small></th>
{% endfor %}
</tr></thead>
<tbody>
{% for row in it.rows %}
<tr{{ " class=best" if it.best and row.name == it.best.name }}><th scope="row" data-value="{{ row.name }}">{{ row.name }}\
{% if row.note %}<small>{{ row.note }}</small>{% endif %}</th>\
{% for value in row.values %}<td class="param" data-value="{{ value|said }}">{{ value|said }}</td>{% endfor %}\
{% for column in it.columns %}{% set value = row.metrics.get(column.name) %}\
<td data-value="{{ value if value is not none }}">{{ value|number }}</td>{% endfor %}</tr>
{% endfor %}
</tbody>
</table>
</div>
"""
    + LEGEND
    + """\
</section>
{% if it.shots %}
<section id="pictures">
<h2>Pictures</h2>
<p>A row a photo, in the order of what was varied.\
{{ " Shown are the best by score; " ~ it.left_out ~ " more have no room here." if it.left_out }}</p>
<div class="flip" hidden><label><input type="checkbox"> One at a time</label>
<input type="range" min="1" max="1" step="1" value="1" aria-label="which experiment is shown"><output></output></div>
<div class="scroll" tabindex="0" role="group" aria-label="pictures">
<table class="grid">
<thead><tr><th scope="col" class="photo">photo</th>
{% for cell in it.shots[0].cells %}
<th scope="col">{{ cell.name }}<small>{% for name in it.params %}{{ name.split(".")[-1] }} \
{{ rows[cell.name]["values"][loop.index0]|said }}{{ ", " if not loop.last }}{% endfor %}</small>\
<small>score {{ rows[cell.name].metrics.get("score")|number }}</small></th>
{% endfor %}
</tr></thead>
<tbody>
{% for shot in it.shots %}
<tr><th scope="row" class="photo"><img src="{{ shot.photo|jpeg }}" alt="photo {{ shot.name }}" title="{{ shot.name }}"></th>
{% for cell in shot.cells %}
<td>{% if cell.picture %}<img src="{{ cell.picture|jpeg }}" alt="{{ cell.name }}">{% endif %}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table>
</div>
</section>
{% endif %}
{% if it.waiting %}
<section id="waiting">
<h2>Without numbers</h2>
<div class="scroll" tabindex="0" role="group" aria-label="experiments without numbers">
<table class="waiting">
<thead><tr><th scope="col">experiment</th><th scope="col">what is varied</th><th scope="col"></th></tr></thead>
<tbody>
{% for one in it.waiting %}
<tr><th scope="row">{{ one.name }}</th><td>{{ one["values"] }}</td><td>{{ one.trouble }}</td></tr>
{% endfor %}
</tbody></table>
</div>
</section>
{% endif %}
</main>
<footer><p>Written by genga sweep from what dvc exp show knows. Run it again when more experiments are done.</p></footer>
<script>
"""
    + _SCRIPT
    + """\
</script>
</body>
</html>
"""
)
