"""Line charts as SVG: axes, logarithmic where told, each line named at its end. Knows nothing of benchmarks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]

WIDTH, HEIGHT = 860, 480
LEFT, TOP, BOTTOM = 72, 74, 62
LINE_HEIGHT, LETTER = 16, 8.2
"""What a name at the end of a line takes, and each letter of it."""
INK, FAINT, PAPER = "#1f2328", "#dfe3e8", "#ffffff"
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"


@dataclass(frozen=True)
class Line:
    """Points from left to right, not empty, and how they are drawn."""

    name: str
    points: Sequence[Point]
    colour: str
    width: float = 2.0
    dashes: str = ""
    """As in SVG's stroke-dasharray."""


@dataclass(frozen=True)
class Chart:
    """What is drawn. On a logarithmic axis everything is positive; a linear one begins at 0."""

    title: str
    subtitle: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    log_x: bool = False
    log_y: bool = False
    limit: float | None = None
    """Of y: a thin line across."""

    @property
    def right(self) -> float:
        """Where the x axis ends: the names come after it."""
        return WIDTH - 30 - LETTER * max((len(line.name) for line in self.lines), default=0)


@dataclass(frozen=True)
class Axis:
    """Values onto pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float, *, log: bool, tight: bool = False) -> Axis:
        """As long as the values need; *tight*: ends at the greatest value and not at the next tick."""
        least, greatest = min(values), max(values)
        if not log:
            step = linear_step(greatest or 1.0)
            high = greatest if tight else math.ceil((greatest or 1.0) / step - 1e-9) * step
            return cls(0.0, high, start, end, log)
        if tight:
            return cls(least, greatest if greatest > least else least * 10, start, end, log)
        low, high = around(least, down=True), around(greatest, down=False)
        return cls(low, high if high > low else low * 10, start, end, log)

    def at(self, value: float) -> float:
        low, high = self.low, self.high
        part = math.log(value / low) / math.log(high / low) if self.log else (value - low) / (high - low)
        return self.start + part * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        if self.log:
            found = log_ticks(self.low, self.high)
            return found if len(found) > 1 else [self.low, self.high]
        step = linear_step(self.high)
        return [step * index for index in range(int(self.high / step + 1e-9) + 1)]


def linear_step(greatest: float) -> float:
    """Between ticks: 1, 2 or 5 times a power of ten, five to ten of them up to *greatest*."""
    power = 10.0 ** math.floor(math.log10(greatest))
    return next(power * part for part in (0.1, 0.2, 0.5, 1.0) if greatest / (power * part) <= 10)


def around(value: float, *, down: bool) -> float:
    """The nearest of 1, 2 and 5 times a power of ten that is not above (*down*) or not below *value*."""
    power = 10.0 ** math.floor(math.log10(value) + 1e-9)
    steps = [power * part for part in (1.0, 2.0, 5.0, 10.0)]
    if down:
        return max(step for step in steps if step <= value * (1 + 1e-9))
    return min(step for step in steps if step >= value * (1 - 1e-9))


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten from *low* to *high*; the powers alone where those would be many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    parts = (1.0, 2.0, 5.0) if len(powers) <= 5 else (1.0,)
    ticks = [10.0**power * part for power in powers for part in parts]
    return [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]


def text_of(value: float) -> str:
    """Of a tick: `0.5`, `20`, `100,000`."""
    return f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:.3g}"


def apart(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """*wanted* heights, moved until they are *gap* apart; from *low* to *high* if they fit."""
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    placed = list(wanted)
    for before, index in zip([None, *order], order, strict=False):
        placed[index] = max(placed[index], low if before is None else placed[before] + gap)
    for after, index in zip([None, *reversed(order)], reversed(order), strict=False):
        placed[index] = min(placed[index], high if after is None else placed[after] - gap)
    return placed


def svg(chart: Chart) -> str:
    """The chart as a document of its own, on a white ground."""
    points = [point for line in chart.lines for point in line.points]
    heights = [y for _, y in points] + ([] if chart.limit is None else [chart.limit])
    x = Axis.over([x for x, _ in points], LEFT, chart.right, log=chart.log_x, tight=True)
    y = Axis.over(heights, HEIGHT - BOTTOM, TOP, log=chart.log_y)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
        f' font-family="{FONT}" font-size="13" fill="{INK}" role="img" aria-label="{escape(chart.title)}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{PAPER}"/>',
        _text(LEFT, 28, chart.title, "start", 'font-size="17" font-weight="600"'),
        _text(LEFT, 50, chart.subtitle, "start", 'fill-opacity="0.7"'),
        *_axes(chart, x, y),
        *_lines(chart, x.at, y.at),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _axes(chart: Chart, x: Axis, y: Axis) -> Iterator[str]:
    left, right, top, bottom = LEFT, chart.right, TOP, HEIGHT - BOTTOM
    for tick in y.ticks:
        at = y.at(tick)
        yield _stroke(left, at, right, at, FAINT)
        yield _text(left - 8, at + 4, text_of(tick), "end")
    for tick in x.ticks:
        at = x.at(tick)
        yield _stroke(at, bottom, at, bottom + 5, INK)
        yield _text(at, bottom + 20, text_of(tick), "middle")
    yield _stroke(left, bottom, right, bottom, INK)
    if chart.limit is not None:
        at = y.at(chart.limit)
        yield _stroke(left, at, right, at, INK, 'stroke-dasharray="2 4"')
        yield _text(left + 6, at - 5, f"limit {text_of(chart.limit)}", "start", 'fill-opacity="0.7"')
    yield _text((left + right) / 2, HEIGHT - 16, chart.x_label, "middle")
    middle = (top + bottom) / 2
    yield _text(18, middle, chart.y_label, "middle", f'transform="rotate(-90 18 {middle:g})"')


def _lines(chart: Chart, x: Callable[[float], float], y: Callable[[float], float]) -> Iterator[str]:
    ends = [(x(line.points[-1][0]), y(line.points[-1][1])) for line in chart.lines]
    named = apart([height for _, height in ends], LINE_HEIGHT, TOP, HEIGHT - BOTTOM)
    for line, end, height in zip(chart.lines, ends, named, strict=True):
        places = [(x(left), y(up)) for left, up in line.points]
        path = " ".join(f"{across:.1f},{down:.1f}" for across, down in places)
        dashes = f' stroke-dasharray="{line.dashes}"' if line.dashes else ""
        yield (
            f'<polyline points="{path}" fill="none" stroke="{line.colour}" stroke-width="{line.width:g}"'
            f' stroke-linejoin="round"{dashes}/>'
        )
        for across, down in places:
            yield f'<circle cx="{across:.1f}" cy="{down:.1f}" r="{line.width + 1:g}" fill="{line.colour}"/>'
        edge = chart.right + 14
        yield _stroke(end[0] + 5, end[1], edge, height, line.colour, 'stroke-opacity="0.5"')
        yield _text(edge + 4, height + 4, line.name, "start", f'style="fill:{line.colour}" font-weight="600"')


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(text)}</text>'


def _stroke(x1: float, y1: float, x2: float, y2: float, colour: str, more: str = "") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" {more}/>'
