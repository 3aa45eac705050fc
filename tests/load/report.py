"""Tables and plots of a measurement, as Markdown and SVG."""

from __future__ import annotations

import statistics
from html import escape
from pathlib import Path

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
BAR, GAP, LEFT, WIDTH = 18, 6, 330, 780
COLOURS = {"nginx": "#9aa5b1", "outcrop": "#2f6f4f"}


def median(values: list[float]) -> float:
    return statistics.median(values)


def ratio(values: list[float], base: list[float]) -> float:
    """The median of the ratios of the rounds, because a slow moment hits both of a round."""
    return statistics.median(one / other for one, other in zip(values, base))


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cpu_table(results: dict, contenders: list[str]) -> str:
    """CPU of each contender for each case, with the ratio to nginx."""
    rows = []
    for case in results.values():
        row = [case["title"]]
        for name in contenders:
            costs = case["cpu"].get(name)
            if costs is None:
                row.append("")
                continue
            text = f"{median(costs) * 1e6:,.0f} us"
            if name != "nginx":
                text += f" (x{ratio(costs, case['cpu']['nginx']):,.2f})"
            row.append(text)
        rows.append(row)
    return table(["CPU a request", *contenders], rows)


def waits_table(results: dict, contenders: list[str]) -> str:
    """Waits of the clients in milliseconds."""
    rows = []
    for case in results.values():
        for name in contenders:
            waits = case["waits"].get(name)
            if waits is None:
                continue
            cells = [f"{median([one[part][share] or 0 for one in waits]) / 1000:.2f}"
                     for part, share in (("whole", "p50"), ("whole", "p99"), ("first", "p50"), ("first", "p99"))]
            rate = f"{median([one['answered'] / one['seconds'] for one in waits]):,.0f}"
            rows.append([case["title"], name, *cells, rate])
    return table(["waits, ms", "", "whole p50", "p99", "first byte p50", "p99", "requests/s"], rows)


def plot(results: dict, contenders: list[str]) -> str:
    """Bars of CPU as multiples of nginx."""
    bars = []
    for case in results.values():
        for name in contenders:
            if costs := case["cpu"].get(name):
                bars.append((f"{case['title']}: {name}", ratio(costs, case["cpu"]["nginx"]), name))
    shown = [bar for bar in bars if bar[1] < 60]
    most = max(bar[1] for bar in shown)
    lines = []
    for at, (label, value, name) in enumerate(shown):
        y = GAP + at * (BAR + GAP)
        length = (WIDTH - LEFT - 70) * value / most
        lines.append(f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(label)}</text>')
        colour = COLOURS.get(name, "#b0752f")
        lines.append(f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{colour}"/>')
        lines.append(f'<text x="{LEFT + length + 6:.1f}" y="{y + 13}">{value:.2f}</text>')
    height = GAP + len(shown) * (BAR + GAP)
    style = "font: 12px sans-serif; fill: #333"
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}">'
            f'<rect width="100%" height="100%" fill="#fff"/><g style="{style}">{"".join(lines)}</g></svg>\n')


def lines(found: dict[str, list[tuple[int, float]]]) -> str:
    """Lines of CPU against counts, each as a share of its largest count and cost: what grows in proportion is straight."""
    side, pad = 260, 40
    parts = []
    for at, (title, steps) in enumerate(found.items()):
        left, most, high = pad + at * (side + pad), steps[-1][0], steps[-1][1]
        points = [(left + side * count / most, pad + side * (1 - cost / high)) for count, cost in steps]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<rect x="{left}" y="{pad}" width="{side}" height="{side}" fill="none" stroke="#ccc"/>')
        parts.append(f'<polyline points="{path}" fill="none" stroke="#2f6f4f" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#2f6f4f"/>' for x, y in points]
        label = f"{most} x {title}: {high:,.0f} us"
        parts.append(f'<text x="{left}" y="{pad - 12}">{escape(label)}</text>')
    width, height = pad + len(found) * (side + pad), side + 2 * pad
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
            f'<rect width="100%" height="100%" fill="#fff"/>'
            f'<g style="font: 12px sans-serif; fill: #333">{"".join(parts)}</g></svg>\n')


def write(docs: Path, text: str, plots: dict[str, str]) -> None:
    """Replaces the measured part of the page, and the plots."""
    page = docs / "benchmarks.md"
    old = page.read_text()
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
    for name, svg in plots.items():
        (docs / name).write_text(svg)
