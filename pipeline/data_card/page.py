"""The data card as a page and as Markdown: the same facts twice. Jinja escapes every value of the page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, StrictUndefined

from pipeline.data_card.charts import DARK, LIGHT, colours
from pipeline.data_card.checks import Check
from pipeline.web.theme import STYLE


@dataclass(frozen=True)
class Step:
    """A step of the way from the film to the training set."""

    label: str
    number: int
    note: str = ""
    part: bool = False  # a part of the step above


@dataclass(frozen=True)
class Table:
    """A table; `numbers`: all columns but the first are numbers."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: bool = True


@dataclass(frozen=True)
class Picture:
    """A chart (drawn for a light and a dark page) or a sheet, with its words."""

    name: str
    caption: str
    alt: str
    width_px: int
    height_px: int
    wide: bool = False

    @property
    def chart(self) -> bool:
        return "/" not in self.name


@dataclass(frozen=True)
class Section:
    """A part of the card. What it holds is shown in the order of these fields."""

    anchor: str
    title: str
    text: str = ""
    funnels: Mapping[str, Sequence[Step]] | None = None
    table: Table | None = None
    pictures: Sequence[Picture] = ()
    after: Table | None = None


@dataclass(frozen=True)
class Card:
    """Everything that is said."""

    title: str
    summary: str
    tiles: Sequence[tuple[str, str]]
    checks: Sequence[Check]
    sections: Sequence[Section]
    reasons: Mapping[str, str]  # reason as people say it -> its name
    rights: str
    footer: str

    @property
    def troubles(self) -> list[Check]:
        return [check for check in self.checks if check.level != "good"]

    @property
    def passed(self) -> list[Check]:
        return [check for check in self.checks if check.level == "good"]


def page(card: Card) -> str:
    """The card as a page that opens from disk."""
    swatches = {said: colours(name) for said, name in card.reasons.items()}
    return _environment(True).from_string(_PAGE).render(card=card, swatches=swatches, light=LIGHT, dark=DARK)


def markdown(card: Card) -> str:
    """The card as Markdown."""
    text = _environment(False).from_string(_MARKDOWN).render(card=card, light=LIGHT)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _environment(escaped: bool) -> Environment:
    environment = Environment(autoescape=escaped, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["md"] = plain
    environment.filters["count"] = lambda value: f"{value:,}"
    return environment


def plain(text: object) -> str:
    """A value that Markdown takes for nothing but its letters."""
    flat = " ".join(str(text).split()).replace("&", "&amp;")
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", flat)


_MARKDOWN = """\
# Data card: {{ card.title|md }}

{{ card.summary|md }}

**Rights.** {{ card.rights|md }}

## Advice

{% if card.troubles %}
| | What | Found | Wanted | Advice |
|---|---|---:|---|---|
{% for check in card.troubles %}
| {{ "**bad**" if check.level == "bad" else "caution" }} | {{ check.title|md }} | {{ check.number|md }} | {{ check.limit|md }} \
| {{ check.advice|md }} |
{% endfor %}
{% else %}
Nothing to complain of.
{% endif %}

{% if card.passed %}
Fine:
{% for check in card.passed %}
- {{ check.title|md }}: {{ check.number|md }} ({{ check.limit|md }})
{% endfor %}
{% endif %}
{% macro table(it) %}

| {% for name in it.head %}{{ name|md }} | {% endfor %}

|---|{% for _ in it.head[1:] %}{{ "---:|" if it.numbers else "---|" }}{% endfor %}

{% for row in it.rows %}
| {% for value in row %}{{ value|md }} | {% endfor %}

{% endfor %}
{% endmacro %}
{% for section in card.sections %}

## {{ section.title|md }}

{{ section.text|md }}
{% for name, steps in (section.funnels or {}).items() %}

**{{ name|md }}**

{% for step in steps %}
{{ "  " if step.part }}- {{ step.label|md }}: **{{ step.number|count }}**{{ " (" ~ step.note|md ~ ")" if step.note }}
{% endfor %}
{% endfor %}
{% if section.table %}{{ table(section.table) }}{% endif %}
{% for picture in section.pictures %}

![{{ picture.alt|md }}]({{ light.name ~ "/" ~ picture.name ~ ".png" if picture.chart else picture.name }})

*{{ picture.caption|md }}*
{% endfor %}
{% if section.after %}{{ table(section.after) }}{% endif %}
{% endfor %}

{{ card.footer|md }}
"""

_OWN_STYLE = """\
:root{--bar-anime:#d55e00;--bar-photo:#0072b2}
@media (prefers-color-scheme:dark){:root{--bar-anime:#f0813a;--bar-photo:#56b4e9}}
html{scroll-behavior:smooth;scroll-padding-top:4rem}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
a{color:var(--accent)}
nav{position:sticky;top:0;z-index:2;background:var(--paper);border-bottom:1px solid var(--line);margin-top:1.2rem}
nav ul{display:flex;gap:1.1rem;max-width:75rem;margin:0 auto;padding:.6rem 1.25rem;list-style:none;overflow-x:auto;
white-space:nowrap}
nav a{text-decoration:none;font-size:.92rem}
nav a:hover{text-decoration:underline}
.checks{display:grid;gap:.7rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,27rem),1fr));
margin:.8rem 0 0;padding:0;list-style:none}
.checks li{border-left:.3rem solid var(--caution);background:var(--caution-ground);border-radius:.4rem;padding:.6rem .9rem}
.checks li.bad{border-color:var(--bad);background:var(--bad-ground)}
.checks p{margin:.15rem 0 0}
.level{font-size:.75rem;font-weight:700;letter-spacing:.06em;text-transform:uppercase;color:var(--caution);margin-right:.4rem}
.limit{color:var(--soft);font-size:.9rem}
details{margin-top:.9rem}
.good{color:var(--good);font-weight:600}
th,td{padding:.35rem .7rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
thead th{color:var(--soft);font-weight:600;white-space:nowrap}
tbody th{font-weight:600}
.numbers td,.numbers thead th:not(:first-child){text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.swatch{display:inline-block;width:.7em;height:.7em;border-radius:.15em;margin-right:.35em;background:var(--on-light)}
@media (prefers-color-scheme:dark){.swatch{background:var(--on-dark)}}
.funnels{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:0 2rem}
.funnel{display:grid;grid-template-columns:auto auto 1fr;gap:.3rem .8rem;align-items:center;margin:0;font-size:.92rem}
.funnel dt{grid-column:1;font-weight:600}
.funnel .part{padding-left:1.1rem;font-weight:400;color:var(--soft)}
.funnel .part+.n{font-weight:400}
.funnel .n{text-align:right;font-weight:700;font-variant-numeric:tabular-nums;margin:0}
.funnel .bar{margin:0;color:var(--soft);font-size:.82rem}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:1.2rem;margin-top:.8rem;align-items:start}
figure.wide{grid-column:1/-1}
figure img{display:block;width:100%;height:auto;border-radius:.3rem}
figure.wide .pan{overflow-x:auto}
figure.wide .pan img{min-width:44rem}
figcaption{color:var(--soft);font-size:.86rem;margin-top:.35rem}
.rights{border-left:.3rem solid var(--accent);padding-left:.9rem;color:var(--ink)}
@media (max-width:40rem){section{padding:1rem .9rem}
header,main,footer{padding-left:.8rem;padding-right:.8rem}nav ul{padding:.6rem .8rem}}
@media print{nav{display:none}section{break-inside:avoid}}
"""

_PAGE = (
    """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Data card: {{ card.title }}</title>
<style>
"""
    + STYLE
    + _OWN_STYLE
    + """\
</style>
</head>
<body>
{% macro table(it) %}
<div class="scroll" tabindex="0" role="group" aria-label="table">
<table{{ " class=numbers" if it.numbers }}>
<thead><tr>{% for name in it.head %}<th scope="col">{{ swatch(name) }}{{ name }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in it.rows %}
<tr>{% for value in row %}{% if loop.first %}<th scope="row">{{ value }}</th>{% else %}<td>{{ value }}</td>{% endif %}\
{% endfor %}</tr>
{% endfor %}
</tbody>
</table>
</div>
{% endmacro %}
{% macro swatch(name) %}
{% if name in swatches %}
<span class="swatch" style="--on-light:{{ swatches[name][0] }};--on-dark:{{ swatches[name][1] }}"></span>\
{% endif %}
{% endmacro %}
{% macro figure(it) %}
<figure{{ " class=wide" if it.wide }}>
{% if it.chart %}
<div class="pan"{% if it.wide %} tabindex="0" role="group" aria-label="chart"{% endif %}><picture>
<source srcset="{{ dark.name }}/{{ it.name }}.png" media="(prefers-color-scheme: dark)">
<img src="{{ light.name }}/{{ it.name }}.png" alt="{{ it.alt }}" width="{{ it.width_px }}" height="{{ it.height_px }}" \
loading="lazy">
</picture></div>
{% else %}
<a href="{{ it.name }}"><img src="{{ it.name }}" alt="{{ it.alt }}" width="{{ it.width_px }}" height="{{ it.height_px }}" \
loading="lazy"></a>
{% endif %}
<figcaption>{{ it.caption }}</figcaption>
</figure>
{% endmacro %}
<header>
<p class="kind">Data card</p>
<h1>{{ card.title }}</h1>
<p class="lead">{{ card.summary }}</p>
<ul class="tiles">
{% for number, label in card.tiles %}
<li><b>{{ number }}</b><span>{{ label }}</span></li>
{% endfor %}
</ul>
</header>
<nav aria-label="Contents"><ul>
<li><a href="#advice">Advice</a></li>
{% for section in card.sections %}
<li><a href="#{{ section.anchor }}">{{ section.title }}</a></li>
{% endfor %}
<li><a href="#rights">Rights</a></li>
</ul></nav>
<main>
<section id="advice">
<h2>Advice</h2>
{% if card.troubles %}
<ul class="checks">
{% for check in card.troubles %}
<li class="{{ check.level }}"><span class="level">{{ check.level }}</span><strong>{{ check.title }}: {{ check.number }}</strong>
<span class="limit">(wanted: {{ check.limit }})</span><p>{{ check.advice }}</p></li>
{% endfor %}
</ul>
{% else %}
<p class="good">Nothing to complain of.</p>
{% endif %}
{% if card.passed %}
<details{{ " open" if not card.troubles }}>
<summary>{{ card.passed|length }} of {{ card.checks|length }} checks are fine</summary>
<div class="scroll"><table>
<thead><tr><th scope="col">What</th><th scope="col">Found</th><th scope="col">Wanted</th></tr></thead>
<tbody>
{% for check in card.passed %}
<tr><th scope="row">{{ check.title }}</th><td>{{ check.number }}</td><td>{{ check.limit }}</td></tr>
{% endfor %}
</tbody></table></div></details>
{% endif %}
</section>
{% for section in card.sections %}
<section id="{{ section.anchor }}">
<h2>{{ section.title }}</h2>
{% if section.text %}
<p>{{ section.text }}</p>
{% endif %}
{% if section.funnels %}
<div class="funnels">
{% for name, steps in section.funnels.items() %}
<div><h3>{{ name }}</h3>
<dl class="funnel">
{% for step in steps %}
<dt{{ " class=part" if step.part }}>{{ step.label }}</dt>
<dd class="n">{{ step.number|count }}</dd><dd class="bar">{{ step.note }}</dd>
{% endfor %}
</dl></div>
{% endfor %}
</div>
{% endif %}
{% if section.table %}{{ table(section.table) }}{% endif %}
{% if section.pictures %}
<div class="figures">
{% for picture in section.pictures %}{{ figure(picture) }}{% endfor %}
</div>
{% endif %}
{% if section.after %}{{ table(section.after) }}{% endif %}
</section>
{% endfor %}
<section id="rights">
<h2>Rights</h2>
<p class="rights">{{ card.rights }}</p>
</section>
</main>
<footer><p>{{ card.footer }}</p></footer>
</body>
</html>
"""
)
