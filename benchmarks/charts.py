"""The pictures in results/, out of figures that are drawn: which lines there are, in which colours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .figures import Figure
from .plot import Chart, Line, svg

COLOURS = {
    "floor": "#6e7781",
    "wellhead": "#0550ae",
    "python-socketio": "#b35900",
    "websockets": "#8250df",
    "node ws": "#1a7f37",
    "RabbitMQ": "#cf222e",
}
OTHERS = ("#0550ae", "#1a7f37", "#b35900", "#8250df", "#cf222e", "#6e7781", "#0a7ea4", "#7d4e00")
PERCENTILES = {"p99.9": ("p999_ms", "1 4"), "p99": ("p99_ms", ""), "p50": ("p50_ms", "7 4")}

Points = dict[str, list[tuple[float, float]]]


def charts(figures: Sequence[Figure]) -> dict[str, str]:
    """By name of the file; only those for which there are figures."""
    makers = {"cpu_per_delivery.svg": cost, "latency.svg": latency, "registry.svg": registry}
    found = ((name, make([each for each in figures if each.drawn])) for name, make in makers.items())
    return {name: svg(chart) for name, chart in found if chart.lines}


def cost(figures: Iterable[Figure]) -> Chart:
    points: Points = {}
    for each in figures:
        if "subscribers" in each.details and "rate" not in each.details:
            points.setdefault(each.server, []).append((each.details["subscribers"], each.value))
    return Chart(
        "CPU for each delivery of a broadcast",
        "One publisher, 200 bytes, four messages under way; user and system time of the server. Less is better.",
        "subscribers",
        "µs of CPU a delivery",
        [_of_server(name, name, line) for name, line in points.items()],
        log_x=True,
        log_y=True,
    )


def latency(figures: Iterable[Figure]) -> Chart:
    found = [each for each in figures if "rate" in each.details and not each.bad]
    lines = []
    for server in dict.fromkeys(each.server for each in found):
        for name, (key, dashes) in PERCENTILES.items():
            line = [
                (each.details["rate"], each.value if key == "p99_ms" else each.details[key])
                for each in found
                if each.server == server
            ]
            lines.append(_of_server(server, f"{server} {name}", line, dashes))
    return Chart(
        "Latency from publish to receipt over the rate",
        "1,000 subscribers, 200 bytes, counted from the moment at which a message was due. Less is better.",
        "deliveries a second",
        "ms",
        lines,
        log_y=True,
    )


def registry(figures: Iterable[Figure]) -> Chart:
    """A colour for each operation; dashed with more patterns than the fewest."""
    points: Points = {}
    patterns: dict[str, float] = {}
    for each in figures:
        if "subscriptions" in each.details:
            points.setdefault(each.case, []).append((each.details["subscriptions"], each.value))
            patterns[each.case] = each.details["patterns"]
    operations = list(dict.fromkeys(case.rpartition(", ")[0] for case in points))
    lines = [
        Line(
            case,
            line,
            OTHERS[operations.index(case.rpartition(", ")[0]) % len(OTHERS)],
            dashes="" if patterns[case] == min(patterns.values()) else "7 4",
        )
        for case, line in points.items()
    ]
    return Chart(
        "The subscription registry over what is in it",
        "10,000 destinations, ten subscriptions a session, and different patterns besides. Flat is good.",
        "subscriptions",
        "µs of CPU an operation",
        lines,
        log_x=True,
        log_y=True,
    )


def _of_server(server: str, name: str, points: Sequence[tuple[float, float]], dashes: str = "") -> Line:
    return Line(name, points, COLOURS.get(server, OTHERS[-1]), 3.0 if server == "wellhead" else 2.0, dashes)
