"""The parts that reports are made of: one HTML page that needs no other file and fits a telephone."""

import html
from collections.abc import Sequence

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;color:#222;max-width:62rem;margin:0 auto;padding:1rem}
h1{font-size:1.6rem;line-height:1.2} h2{font-size:1.2rem;margin-top:2.2rem}
.wide{overflow-x:auto;margin:1rem 0} table{border-collapse:collapse;font-size:.85rem}
th,td{border:1px solid #ccc;padding:.3rem .5rem;text-align:left;vertical-align:top} th{background:#f2f5f8}
td.best{font-weight:600} img{max-width:100%;height:auto} .wide img{max-width:none;width:100%;min-width:34rem}
.warn{background:#fff4e0;border-left:4px solid #d98c00;padding:.6rem .9rem} small,.small{font-size:.8rem;color:#555}
.films{display:grid;grid-template-columns:repeat(auto-fill,minmax(9.5rem,1fr));gap:.8rem} figure{margin:0}
figure img{width:100%;image-rendering:auto;background:#000} figcaption{font-size:.8rem;line-height:1.35}
ol{margin:.2rem 0 0;padding-left:1.2rem} li.there{color:#1a7f37;font-weight:600}
p,li,code{overflow-wrap:anywhere}
"""


def page(title: str, parts: Sequence[str]) -> str:
    """A whole page; `parts` are HTML."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{text(title)}</title>'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )


def table(header: Sequence[str], lines: Sequence[Sequence[str]], mark_best: bool = False) -> str:
    """Scrolls by itself on a narrow screen; `mark_best` marks the highest value of each line after the second cell."""
    body = []
    for line in lines:
        values = [(cell.split() or [""])[0] for cell in line]  # 0.981 of "0.981 (0.975 to 0.987)"
        best = max(values[2:]) if mark_best else None
        marks = [" class=best" if place >= 2 and value == best else "" for place, value in enumerate(values)]
        cells = [f"<td{mark}>{text(cell)}</td>" for mark, cell in zip(marks, line, strict=True)]
        body.append(f"<tr>{''.join(cells)}</tr>")
    head = "".join(f"<th>{text(cell)}</th>" for cell in header)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def listing(lines: Sequence[str]) -> str:
    """Bullet points; the lines are plain text."""
    return f"<ul>{''.join(f'<li>{text(line)}</li>' for line in lines)}</ul>"


def text(value: object) -> str:
    """Anything as text that HTML does not mistake for its own."""
    return html.escape(str(value))
