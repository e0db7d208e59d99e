"""The look of a page: one column, quiet colours, light and dark, wide and narrow, printable."""

from telltime.report.palette import DARK, LIGHT, variables

STYLE = f"""
:root {{ {variables(LIGHT)} color-scheme: light dark; }}
@media (prefers-color-scheme: dark) {{ :root {{ {variables(DARK)} }} }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "DejaVu Sans",
  sans-serif; }}
main {{ max-width: 71rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }}
header {{ border-bottom: 1px solid var(--line); margin-bottom: 1.75rem; padding-bottom: 1rem; }}
h1 {{ font-size: clamp(1.5rem, 4.5vw, 2.1rem); line-height: 1.2; margin: 0; letter-spacing: -.015em;
  text-wrap: balance; }}
h2 {{ font-size: 1.2rem; margin: 2.75rem 0 .35rem; letter-spacing: -.01em; }}
p {{ max-width: 44rem; margin: .5rem 0; overflow-wrap: anywhere; }}
.subtitle, .lead, figcaption, small {{ color: var(--muted); }}
.subtitle {{ margin: .4rem 0 0; }}
.lead {{ margin: 0 0 1rem; }}
.scores {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .75rem;
  margin: 1.25rem 0; }}
.score {{ background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .85rem 1rem; }}
.score b {{ display: block; font-size: 1.7rem; line-height: 1.15; font-weight: 650; letter-spacing: -.02em;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }}
.score span, .score small {{ display: block; overflow-wrap: anywhere; }}
.score span {{ color: var(--muted); font-size: .9rem; }}
.score small {{ font-size: .8rem; margin-top: .2rem; }}
figure {{ margin: 1rem 0; max-width: 46rem; }}
figcaption {{ font-size: .875rem; margin-top: .4rem; max-width: 44rem; overflow-wrap: anywhere; }}
.plot {{ background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .75rem; }}
.plot svg {{ display: block; width: 100%; height: auto; max-width: 40rem; margin: 0 auto; font-family: inherit; }}
.plot img {{ display: block; max-width: 100%; height: auto; margin: 0 auto; }}
.row {{ display: grid; grid-template-columns: minmax(12rem, 15rem) 1fr; gap: 1rem 1.25rem; align-items: start;
  background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .85rem; margin: .75rem 0; }}
.hits {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .85rem .75rem; }}
.sheet {{ grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); margin: .75rem 0; }}
.card {{ position: relative; min-width: 0; }}
.card svg {{ position: absolute; top: .4rem; right: .3rem; width: 5.2rem; height: 5.2rem; border-radius: 50%;
  background: var(--card); opacity: .92; }}
.strip {{ min-width: 0; font-size: .875rem; line-height: 1.35; }}
.strip img, .strip .none {{ display: block; width: 100%; height: auto; border-radius: .25rem; margin-bottom: .3rem;
  border-top: 3px solid var(--line); }}
.strip .none {{ padding: 1.2rem 0; text-align: center; color: var(--muted); background: var(--ground); }}
.strip span, .strip small {{ display: block; overflow-wrap: anywhere; }}
.strip small {{ font-size: .78rem; }}
.strip i {{ font-style: normal; font-weight: 700; }}
.query span {{ font-weight: 600; }}
.query img {{ border-top-color: var(--ink); }}
.stack {{ background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .85rem;
  margin: .75rem 0; }}
.layer {{ display: grid; grid-template-columns: 8rem 1fr; gap: 0 1rem; align-items: center; }}
.layer img {{ grid-area: 1 / 2 / 3 / 3; width: auto; max-width: 100%; max-height: 10.5rem;
  border-top: 0; margin: .15rem 0; }}
.layer span {{ grid-column: 1; align-self: end; font-weight: 600; }}
.layer small {{ grid-column: 1; align-self: start; }}
.layer img:has(+ span:last-child) + span {{ grid-row: 1 / 3; align-self: center; }}
.single {{ max-width: 30rem; margin: .75rem 0; }}
.right img {{ border-top-color: var(--right); }} .right i {{ color: var(--right); }}
.wrong img {{ border-top-color: var(--wrong); }} .wrong i {{ color: var(--wrong); }}
.scroll {{ overflow-x: auto; margin: .75rem 0; }}
table {{ border-collapse: collapse; font-size: .925rem; min-width: min(100%, 20rem); }}
th, td {{ text-align: left; padding: .38rem 1.4rem .38rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }}
td {{ overflow-wrap: break-word; max-width: 32rem; }}
th {{ color: var(--muted); font-weight: 550; white-space: nowrap; }}
.n {{ text-align: right; font-variant-numeric: tabular-nums; }}
pre {{ background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .85rem 1rem;
  overflow-x: auto;
  font: .875rem/1.6 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }}
details {{ margin: 1rem 0; }}
summary {{ cursor: pointer; color: var(--muted); }}
@media (max-width: 40rem) {{
  main {{ padding: 1.5rem .9rem 3rem; }}
  .row {{ grid-template-columns: 1fr; }}
  .layer {{ grid-template-columns: 1fr; }}
  .layer img {{ grid-area: auto; }}
  .hits {{ grid-template-columns: repeat(2, 1fr); }}
  .plot {{ padding: .5rem .25rem; }}
}}
@media print {{ .row, .stack, .plot, .score {{ break-inside: avoid; }} }}
"""
