"""The drawing of charts: where things are put, and that the document says what it should."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from benchmarks.charts import COLOURS, charts
from benchmarks.figures import Figure
from benchmarks.plot import HEIGHT, LINE_HEIGHT, WIDTH, Axis, Chart, Line, apart, around, linear_step, svg, text_of

pytestmark = pytest.mark.modes("unpatched")

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(("greatest", "step"), [(1, 0.1), (1.2, 0.2), (3, 0.5), (9, 1), (10, 1), (120_000, 20_000)])
def test_a_linear_axis_has_at_most_ten_steps(greatest, step):
    assert linear_step(greatest) == pytest.approx(step)


@pytest.mark.parametrize(
    ("value", "below", "above"),
    [(1, 1, 1), (3, 2, 5), (0.07, 0.05, 0.1), (5, 5, 5), (999, 500, 1000), (1000, 1000, 1000)],
)
def test_a_logarithmic_axis_ends_at_1_2_or_5(value, below, above):
    assert around(value, down=True) == pytest.approx(below)
    assert around(value, down=False) == pytest.approx(above)


@pytest.mark.parametrize(
    ("values", "log", "tight", "ticks"),
    [
        ([3, 42], True, False, [2, 5, 10, 20, 50]),
        ([10, 5000], True, True, [10, 20, 50, 100, 200, 500, 1000, 2000, 5000]),
        ([1e-3, 1e6], True, False, [10.0**power for power in range(-3, 7)]),
        ([7], True, True, [10, 20, 50]),
        ([0.3, 0.4], True, True, [0.3, 0.4]),
        ([1, 4.1], False, False, [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5]),
        ([0, 0], False, False, [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]),
    ],
)
def test_ticks(values, log, tight, ticks):
    assert Axis.over(values, 0, 100, log=log, tight=tight).ticks == pytest.approx(ticks)


def test_values_go_onto_pixels():
    linear = Axis.over([5, 10], 100, 200, log=False)
    assert [linear.at(value) for value in (0, 5, 10)] == [100, 150, 200]
    log = Axis.over([1, 100], 400, 200, log=True)
    assert [log.at(value) for value in (1, 10, 100)] == pytest.approx([400, 300, 200])


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.5, "0.5"), (0.05, "0.05"), (2, "2"), (2.5, "2.5"), (100_000, "100,000")]
)
def test_what_is_written_at_a_tick(value, text):
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("wanted", "placed"),
    [
        ([], []),
        ([50], [50]),
        ([20, 80], [20, 80]),
        ([50, 50], [50, 60]),
        ([95, 99, 20], [90, 100, 20]),
        ([0, 1, 2], [0, 10, 20]),
    ],
)
def test_names_are_kept_apart(wanted, placed):
    assert apart(wanted, 10, 0, 100) == placed


def chart(**changes: object) -> Chart:
    lines = [
        Line("one & two", [(1, 1), (10, 2)], "#123456"),
        Line("three", [(1, 3), (10, 2.01)], "#654321", dashes="1 4"),
    ]
    values = {"title": "A <title>", "subtitle": "s", "x_label": "x", "y_label": "µs", "lines": lines}
    return Chart(**(values | changes))  # type: ignore[arg-type]  # one of them


@pytest.mark.parametrize("log", [False, True])
def test_a_chart_is_a_document_that_says_everything(log):
    root = ElementTree.fromstring(svg(chart(log_x=log, log_y=log, limit=5)))
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert {"A <title>", "s", "x", "µs", "one & two", "three", "limit 5"} <= set(texts)
    ground = next(root.iter(f"{SVG}rect"))
    assert (ground.get("fill"), ground.get("width"), ground.get("height")) == ("#ffffff", str(WIDTH), str(HEIGHT))
    assert [line.get("stroke-dasharray") for line in root.iter(f"{SVG}polyline")] == [None, "1 4"]
    assert len(list(root.iter(f"{SVG}circle"))) == 4


def test_everything_is_within_the_picture():
    root = ElementTree.fromstring(svg(chart(log_y=True)))
    for element in root.iter(f"{SVG}text"):
        assert 0 <= float(element.get("x", "")) <= WIDTH and 0 <= float(element.get("y", "")) <= HEIGHT
    names = {element.text: float(element.get("y", "")) for element in root.iter(f"{SVG}text")}
    assert abs(names["one & two"] - names["three"]) >= LINE_HEIGHT


# -- out of figures


def point(server: str, value: float, case: str = "c", bad: int = 0, **details: float) -> Figure:
    return Figure("m", case, server, "q", value, (value, value), bad=bad, details=details, drawn=True)


def names_in(document: str) -> set[str]:
    root = ElementTree.fromstring(document)
    return {element.text or "" for element in root.iter(f"{SVG}text") if element.get("style")}


def test_each_picture_has_the_figures_that_are_for_it():
    percentiles = {"p50_ms": 1.0, "p999_ms": 9.0}
    found = charts(
        [
            *(point(server, 5.0, subscribers=n) for n in (10, 100) for server in COLOURS),
            *(point("wellhead", 5.0, rate=rate, **percentiles) for rate in (10_000, 20_000)),
            point("floor", 5.0, rate=10_000, bad=1, **percentiles),
            *(
                point("registry", 5.0, f"subscribe, {patterns:,} patterns", subscriptions=n, patterns=patterns)
                for n in (1_000, 10_000)
                for patterns in (100, 1_000)
            ),
        ]
    )
    assert {name: names_in(document) for name, document in found.items()} == {
        "cpu_per_delivery.svg": set(COLOURS),
        "latency.svg": {"wellhead p50", "wellhead p99", "wellhead p99.9"},
        "registry.svg": {"subscribe, 100 patterns", "subscribe, 1,000 patterns"},
    }


def test_without_figures_there_are_no_pictures():
    assert charts([Figure("m", "c", "wellhead", "q", 1.0, (1.0, 1.0), details={"subscribers": 1.0})]) == {}
