"""What the pages of stages look like: one paper, one ink, light and dark."""

STYLE = """\
:root{color-scheme:light dark;--paper:#f4f6f8;--card:#fff;--ink:#1d2733;--soft:#5b6876;--line:#dde3e9;--accent:#0072b2;
--good:#00795a;--good-ground:#e6f5f0;--caution:#9a6200;--caution-ground:#fff6e3;--bad:#b23a00;--bad-ground:#ffece3}
@media (prefers-color-scheme:dark){:root{--paper:#12161b;--card:#1a1f26;--ink:#dfe5ec;--soft:#98a4b1;--line:#2d3540;
--accent:#6cbcf0;--good:#3ec79b;--good-ground:#14291f;--caution:#e9b44c;--caution-ground:#2a2417;--bad:#ff8f5c;
--bad-ground:#301e17}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
header,main,footer{max-width:75rem;margin:0 auto;padding:0 1.25rem}
header{padding-top:2.5rem}
.kind{margin:0;color:var(--soft);font-size:.8rem;letter-spacing:.12em;text-transform:uppercase}
h1{margin:.1rem 0 .3rem;font-size:clamp(1.6rem,5vw,2.4rem);line-height:1.15;overflow-wrap:anywhere}
h2{margin:0 0 .4rem;font-size:1.3rem}
p{max-width:48rem}
.lead{font-size:1.1rem;margin:.2rem 0 1.2rem}
.tiles li{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.7rem .9rem}
.tiles b{display:block;font-size:1.45rem;line-height:1.2;font-variant-numeric:tabular-nums}
.tiles span{color:var(--soft);font-size:.85rem}
section{background:var(--card);border:1px solid var(--line);border-radius:.8rem;padding:1.2rem 1.3rem;margin:1.2rem 0}
.bad .level{color:var(--bad)}
figure{margin:0}
.scroll{overflow-x:auto;margin:.8rem 0}
table{border-collapse:collapse;width:100%;font-size:.9rem}
summary{cursor:pointer;color:var(--accent)}
footer{color:var(--soft);font-size:.85rem;padding-bottom:2.5rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.75rem;margin:0;padding:0;list-style:none}
h3{margin:1.2rem 0 .5rem;font-size:1rem}
"""
