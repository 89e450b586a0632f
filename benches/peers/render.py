#!/usr/bin/env python3
"""A result of `run` as the README's table and as a chart: render.py RESULT.json"""

import json
import math
import pathlib
import statistics
import sys
import textwrap
from html import escape

ROOT = pathlib.Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"

MACHINE = "{date}: {cpu}, {cores} cores, {memory_gb} GB; {os}; rustc {rustc}{packages}."
INTRO = f"""\
{MACHINE}

{{images}}; medians of {{rounds}} rounds, all programs in turn, each on all cores, every output compared with float32 NumPy,
image by image. Each program takes its own wall time: opening, reading and writing files are in it, starting the process
and importing modules are not, on either side. Writers have their defaults, which for pixelfeat are zstd and a flush to
the disk. Features alone go to memory that is already there. `benches/peers/setup && benches/peers/run` measures again.
"""


def significant(number):
    """Three digits, no exponent: 1234 → 1,234, 0.01234 → 0.0123."""
    digits = max(0, 2 - math.floor(math.log10(abs(number)))) if number else 0
    return f"{number:,.{digits}f}"


def amount(number, unit):
    if unit == "s":
        return f"{significant(number * 1e3)} ms" if number >= 1e-4 else f"{significant(number * 1e6)} µs"
    return f"{significant(number)} {unit}"


def ratio(row):
    """How many times faster, or how many times as much."""
    ours, theirs = (row[side] and statistics.median(row[side]) for side in ["ours", "theirs"])
    if row["kind"] == "below":
        return ours
    return theirs / ours if row["kind"] == "faster" else ours / theirs


def met(row, goal):
    return ratio(row) >= goal if row["kind"] == "faster" else ratio(row) <= goal


def cells(row):
    """job, pixelfeat, peer, its time, ratio, at least, aim, met?"""

    def goal(value):
        if value is None:
            return ""
        sign = "≥" if row["kind"] == "faster" else "≤"
        if row["kind"] == "below":
            return f"{sign} {value * 1e6:g} µs" if row["unit"] == "s" else f"{sign} {value:g} {row['unit']}"
        return f"{sign} {value:g}×"

    theirs = amount(statistics.median(row["theirs"]), row["unit"]) if row["theirs"] else ""
    shown = f"{significant(ratio(row))}×" if row["theirs"] else ""
    if row["least"] is None:
        verdict = ""
    elif not met(row, row["least"]):
        verdict = "no"
    else:
        verdict = "aim met" if row["aim"] and met(row, row["aim"]) else "yes"
    ours = amount(statistics.median(row["ours"]), row["unit"])
    return [row["job"], ours, row["peer"] or "", theirs, shown, goal(row["least"]), goal(row["aim"]), verdict]


def table(rows):
    lines = [["job", "pixelfeat", "compared with", "its figure", "ratio", "at least", "aim", "met?"]]
    lines.append(["---", "---:", "---", "---:", "---:", "---:", "---:", "---"])
    lines += [[escape(cell) for cell in cells(row)] for row in rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 } .soft { fill: #59636e; font-size: 12px } .job { font-weight: 600 }
.bar { fill: #0969da } .grid { stroke: #d1d9e0 } .one { stroke: #818b98 } .least { stroke: #1f2328; stroke-width: 2 } .value { font-weight: 600 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .soft { fill: #9198a1 } .bar { fill: #4493f8 } .grid { stroke: #3d444d } .least { stroke: #f0f6fc }
}
"""


def chart(result):
    """How many times faster than each peer, on a logarithmic scale, as SVG."""
    rows = [row for row in result["rows"] if row["kind"] == "faster"]
    shown = [1, *map(ratio, rows), *(row["least"] for row in rows if row["least"])]
    ticks = [m * 10.0**d for d in range(-3, 6) for m in (1, 2, 5)]
    low, high = max(t for t in ticks if t <= min(shown)), min(t for t in ticks if t >= max(shown))
    left, right, top, width = 190, 830, 84, 900

    def at(times):
        return left + (right - left) * math.log(times / low) / math.log(high / low)

    parts, y, job = [], top - 4, None
    ticks = [tick for tick in ticks if low <= tick <= high]
    for tick in ticks:
        parts.append(f'<text class="soft" x="{at(tick):.1f}" y="{top - 8}" text-anchor="middle">{tick:,g}×</text>')
    for row in rows:
        if row["job"] != job:
            job = row["job"]
            parts.append(f'<text class="job" x="16" y="{y + 22}">{escape(job)}</text>')
            y += 30
        for tick in ticks:
            kind, x = "one" if tick == 1 else "grid", f"{at(tick):.1f}"
            parts.append(f'<line class="{kind}" x1="{x}" x2="{x}" y1="{y - 2}" y2="{y + 20}"/>')
        times = ratio(row)
        start, end = sorted([at(1), at(times)])
        parts.append(f'<text x="{left - 10}" y="{y + 13}" text-anchor="end">{escape(row["peer"])}</text>')
        parts.append(f'<rect class="bar" x="{start:.1f}" y="{y + 1}" width="{end - start:.1f}" height="16" rx="2"/>')
        if row["least"]:
            mark = at(row["least"])
            parts.append(f'<line class="least" x1="{mark:.1f}" x2="{mark:.1f}" y1="{y - 2}" y2="{y + 20}"/>')
            # The number stands beside the mark, not under it.
            end = mark if end - 4 < mark < end + 56 else end
        parts.append(f'<text class="value" x="{end + 8:.1f}" y="{y + 13}">{significant(times)}×</text>')
        y += 21
    about, height = result["machine"], y + 20
    where = f'{about["cpu"]}, {about["cores"]} cores, {result["date"]}. Logarithmic; the upright marks are the goals.'
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<title>How many times faster pixelfeat is than other programs</title><style>{STYLE}</style>",
        '<text class="title" x="16" y="26">How many times faster: same job, same machine, same results</text>',
        f'<text class="soft" x="16" y="46">{escape(where)}</text>',
    ]
    return "\n".join([*head, *parts, "</svg>\n"])


def filled(text, about):
    """A text with the names in it replaced, in lines of equal length."""
    packages = "".join(f", {name} {version}" for name, version in about["packages"].items())
    paragraphs = text.format(**about | {"packages": packages}).split("\n\n")
    return "\n\n".join(textwrap.fill(paragraph, 120, break_on_hyphens=False) for paragraph in paragraphs)


def page(name, title, about, rows, notes):
    """The table of one part as a page of its own beside the results."""
    intro = f"`benches/peers/run --only {name}`; medians of {{rounds}} rounds, all programs in turn; {{images}}.\n\n{MACHINE}"
    text = f"# {title}\n\n{filled(intro, about)}\n\n{table(rows)}\n{notes}"
    (ROOT / f"benches/results/{name}.md").write_text(text)


def render(path):
    result = json.loads(pathlib.Path(path).read_text())
    (ROOT / "benches/results/latest.svg").write_text(chart(result))
    intro = filled(INTRO, result | result["machine"])
    picture = "![How many times faster than other programs](benches/results/latest.svg)\n"
    section = f"{BEGIN}\n{intro}\n\n{picture}\n{table(result['rows'])}{END}"
    readme = ROOT / "README.md"
    text = readme.read_text() if readme.exists() else ""
    if BEGIN in text:
        before, rest = text.split(BEGIN, 1)
        text = before + section + rest.split(END, 1)[1]
    else:
        text = f"{text}\n## How fast\n{section}\n".lstrip()
    readme.write_text(text)


if __name__ == "__main__":
    render(sys.argv[1])
