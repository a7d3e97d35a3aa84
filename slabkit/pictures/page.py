"""One HTML page with everything inside it: no other file, no network."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any

from slabkit.pictures.drawing import Drawing

_STYLE = """
:root { --ink:#1b2530; --soft:#5c6b7a; --line:#d7dee5; --ground:#fff; --raised:#f5f7f9;
  --accent:#0b6e99; --second:#e08a1e; --good:#2f8f4e; --bad:#c0392b; --vivid:65%; }
@media (prefers-color-scheme: dark) { :root { --ink:#e4e9ee; --soft:#9aa8b5; --line:#33404d;
  --ground:#12181f; --raised:#1a222b; --accent:#4db3de; --second:#f0a94a; --good:#5fc584;
  --bad:#f0796c; --vivid:100%; } }
* { box-sizing:border-box } html { color-scheme:light dark }
body { margin:0; background:var(--ground); color:var(--ink);
  font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif }
main { max-width:1040px; margin:0 auto; padding:32px 20px 64px }
main.screen { max-width:1900px; padding:28px 36px 48px }
h1 { font-size:1.9rem; line-height:1.2; margin:0 0 4px }
h2 { font-size:1.25rem; margin:44px 0 8px; padding-top:14px; border-top:1px solid var(--line) }
p { margin:8px 0; max-width:75ch } .lead { color:var(--soft) }
code,pre { font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace }
pre { background:var(--raised); border:1px solid var(--line); border-radius:8px; padding:12px 14px;
  overflow-x:auto }
.figures { display:grid; gap:16px;
  grid-template-columns:repeat(auto-fill,minmax(min(300px,100%),1fr)) }
.galleries { display:grid; gap:22px;
  grid-template-columns:repeat(auto-fill,minmax(min(700px,100%),1fr)) }
.tiles { display:grid; gap:16px 12px; grid-template-columns:repeat(auto-fill,minmax(132px,1fr)) }
.tiles img,.tiles svg { aspect-ratio:1 }
figure { margin:0 } figcaption { color:var(--soft); font-size:.86rem; margin-top:4px }
figcaption b { color:var(--ink) } figure.zoom { cursor:zoom-in }
figure.good img { border:3px solid var(--good) }
figure.zoom:focus-visible { outline:3px solid var(--accent); outline-offset:3px }
dialog { width:100vw; height:100vh; max-width:none; max-height:none; margin:0; padding:0; border:0;
  background:#0b0f13; color:#e4e9ee; overflow:hidden }
dialog[open] { display:flex; flex-direction:column }
.bar { display:flex; gap:6px; align-items:center; padding:8px 12px } .bar p { flex:1; order:-1;
  margin:0; max-width:none; font-size:.9rem }
.bar button { font:18px/1 system-ui,sans-serif; min-width:38px; height:36px; color:inherit;
  background:#1a222b; border:1px solid #3a4754; border-radius:8px; cursor:pointer }
.stage { flex:1; min-height:0; overflow:hidden; touch-action:none; cursor:grab;
  container-type:size }
.stage img,.stage svg { width:100%; height:100%; max-width:none; object-fit:contain; border:0;
  border-radius:0; transform-origin:center; aspect-ratio:auto }
img { display:block; width:100%; height:auto; border-radius:6px; border:1px solid var(--line) }
.numbers { display:flex; flex-wrap:wrap; gap:12px; margin:18px 0 }
.numbers div { background:var(--raised); border:1px solid var(--line); border-radius:10px;
  padding:10px 16px; min-width:130px }
.numbers b { display:block; font-size:1.5rem; line-height:1.25 }
.numbers span { color:var(--soft); font-size:.86rem }
.scroll { overflow-x:auto }
table { border-collapse:collapse; font-variant-numeric:tabular-nums; margin:10px 0; min-width:60% }
th,td { padding:5px 12px; text-align:right; border-bottom:1px solid var(--line);
  white-space:nowrap }
th:first-child,td:first-child { text-align:left }
th { color:var(--soft); font-weight:600; font-size:.86rem; white-space:normal;
  vertical-align:bottom }
table.text td,table.text th { text-align:left } table.text td:last-child { white-space:normal }
.note { border-left:4px solid var(--second); background:var(--raised); border-radius:4px;
  padding:6px 14px; overflow-wrap:anywhere }
svg { display:block; width:100%; max-width:680px; height:auto }
svg text { fill:var(--soft); font:12px system-ui,sans-serif }
.series0 { fill:var(--accent) } .series1 { fill:var(--second) }
.series2,.accepted { fill:var(--good) } .series3 { fill:#aa448c } .series4 { fill:#7869be }
.series5 { fill:#94704a } .series6 { fill:#3caaaa } .series7 { fill:#969b28 }
.rejected { fill:var(--bad) } .undecided { fill:var(--soft) }
.own { fill:color-mix(in srgb, var(--own) var(--vivid), #000) }
svg .line { fill:none } .line.own { stroke:color-mix(in srgb, var(--own) var(--vivid), #000) }
 .line.axis { stroke:var(--line) }
.line.mark,.line.found { stroke:var(--bad) } .line.truth { stroke:var(--good) }
.line.series0 { stroke:var(--accent) } .line.series1 { stroke:var(--second) }
.line.series2,.line.accepted { stroke:var(--good) } .line.series3 { stroke:#aa448c }
.line.series4 { stroke:#7869be } .line.series5 { stroke:#94704a } .line.series6 { stroke:#3caaaa }
.line.series7 { stroke:#969b28 } .line.rejected { stroke:var(--bad) }
.line.undecided { stroke:var(--soft) } svg text.title { fill:var(--ink); font-size:15px }
.wall { display:grid; gap:22px;
  grid-template-columns:repeat(auto-fill,minmax(min(480px,100%),1fr)) }
.wall svg { min-width:430px }
.small { display:grid; gap:12px; grid-template-columns:repeat(auto-fill,minmax(190px,1fr)) }
"""


class Page:
    """Collects sections and gives the page; ``lead`` is a sentence below the title."""

    def __init__(self, title: str, lead: str = "", *, wide: bool = False) -> None:
        self._main = '<main class="screen">' if wide else "<main>"
        self._title = title
        self._scripts: dict[str, str] = {}  # file to hash
        self._parts = [f"<h1>{html.escape(title)}</h1>"]
        if lead:
            self._parts.append(f'<p class="lead">{html.escape(lead)}</p>')

    def section(self, title: str, *paragraphs: str) -> None:
        """Begin a section with paragraphs of plain text."""
        self._parts.append(f"<h2>{html.escape(title)}</h2>")
        self._parts.extend(f"<p>{html.escape(paragraph)}</p>" for paragraph in paragraphs)

    def numbers(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Add a row of large numbers, each with what it counts."""
        cells = "".join(
            f"<div><b>{html.escape(number)}</b><span>{html.escape(what)}</span></div>"
            for number, what in pairs
        )
        self._parts.append(f'<div class="numbers">{cells}</div>')

    def markup(self, text: str) -> None:
        """Add HTML as it is."""
        self._parts.append(text)

    def script(self, file: str, content: Any = None) -> None:
        """Add a script of this package, and what it reads as JSON from the element ``data``."""
        if content is not None:
            packed = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
            packed = packed.replace("<", "\\u003c")
            self._parts.append(f'<script type="application/json" id="data">{packed}</script>')
        text = resources.files("slabkit.pictures").joinpath(file).read_text(encoding="utf-8")
        digest = hashlib.sha256(text.encode()).digest()
        self._scripts[file] = base64.b64encode(digest).decode()
        self._parts.append(f"<script>{text}</script>")

    def paragraph(self, text: str) -> None:
        """Add a paragraph of plain text."""
        self._parts.append(f"<p>{html.escape(text)}</p>")

    def note(self, text: str) -> None:
        """Add a sentence that a reader must not pass over."""
        self._parts.append(f'<p class="note">{html.escape(text)}</p>')

    def chart(self, drawing: Drawing) -> None:
        """Add a chart."""
        self._parts.append(drawing.svg())

    def charts(self, drawings: Iterable[Drawing], *, small: bool = False) -> None:
        """Add charts side by side, as the width allows."""
        charts = "".join(f'<div class="scroll">{drawing.svg()}</div>' for drawing in drawings)
        self._parts.append(f'<div class="{"small" if small else "wall"}">{charts}</div>')

    def code(self, text: str) -> None:
        """Add lines of commands."""
        self._parts.append(f"<pre>{html.escape(text)}</pre>")

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[object]], *, text: bool = False
    ) -> None:
        """Add a table, of numbers or of text; floats have three decimals, NaN and None a dash."""
        head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_shown(value))}</td>" for value in row) + "</tr>"
            for row in rows
        )
        self._parts.append(
            f'<div class="scroll"><table{" class=text" if text else ""}>'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )

    def pictures(self, pictures: Sequence[tuple[bytes, str]], *, wide: bool = False) -> None:
        """Add pictures (PNG content, caption) side by side, or each across the page."""
        figures = "".join(
            f'<figure class="zoom"><img alt="{html.escape(caption)}" '
            f'src="data:image/png;base64,{base64.b64encode(data).decode()}">'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
            for data, caption in pictures
        )
        self._parts.append(f'<div class="{"wide" if wide else "figures"}">{figures}</div>')

    def figures(self, figures: Iterable[str], *, kind: str = "figures") -> None:
        """Add figures (HTML) side by side; ``kind`` ``tiles``: small ones."""
        self._parts.append(f'<div class="{kind}">{"".join(figures)}</div>')

    def html(self) -> str:
        """Give the whole page; it may run its own scripts and fetch nothing."""
        if "page.js" not in self._scripts and any("<figure" in part for part in self._parts):
            self.script("page.js")  # enlarges figures
        scripts = " ".join(f"'sha256-{one}'" for one in self._scripts.values()) or "'none'"
        text = (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
            f"img-src data:; style-src 'unsafe-inline'; script-src {scripts}\">\n"
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{html.escape(self._title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
            f"<body>\n{self._main}\n{chr(10).join(self._parts)}\n</main>\n</body>\n</html>\n"
        )
        return text.encode(errors="backslashreplace").decode()  # bytes in names of files


def _shown(value: object) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 100 else f"{value:.0f}"
    return str(value)
