"""Small multiples: what is drawn of a line, and what is not."""

import numpy as np
import pandas as pd
import pytest

from harness.report.source_grid import GridBlock, _draw_line, _limits
from harness.report.style import Style, figure_of

LOOK = Style(colour="#0072B2", marker="o", line="-")


def drawn(x: list[float], *, whole: bool) -> tuple[list[float], list[list[tuple[float, float]]]]:
    """The x of the line, NaN where it is broken, and the ends of the bars."""
    rows = pd.DataFrame({"x": x, "y": [0.5] * len(x), "ci": [0.1] * (len(x) - 1) + [np.nan]})
    with figure_of(2, 2) as figure:
        axes = figure.subplots()
        _draw_line(axes, rows, LOOK, 0.25, whole=whole)
        (line,), (bars,) = axes.lines, axes.collections
        return list(line.get_xdata()), [[tuple(end) for end in bar] for bar in bars.get_segments()]


def test_a_line_is_broken_where_a_category_is_missing() -> None:
    x, _ = drawn([0, 1, 3], whole=False)
    np.testing.assert_equal(x, [0.25, 1.25, np.nan, 3.25])
    assert drawn([0, 1, 2], whole=False)[0] == [0.25, 1.25, 2.25]


def test_a_line_over_numbers_is_whole() -> None:
    assert drawn([0, 100, 1000], whole=True)[0] == [0.25, 100.25, 1000.25]


def test_bars_are_the_intervals_and_have_no_length_where_there_is_none() -> None:
    _, bars = drawn([0, 1], whole=True)
    assert bars[0] == pytest.approx(np.array([(0.25, 0.4), (0.25, 0.6)]))
    assert bars[1] == pytest.approx(np.array([(1.25, 0.5), (1.25, 0.5)]))


def test_marks_at_the_ends_have_room_whatever_the_numbers() -> None:
    for last in (1.0, 10.0, 60_000.0):
        rows = pd.DataFrame({"source": "a", "series": "b", "x": [0.0, last], "y": [0.1, 0.9], "ci": np.nan})
        low, high = _limits(GridBlock(label="y", rows=rows))[0]
        assert low == pytest.approx(-max(0.4, 0.06 * last))
        assert high == pytest.approx(last + max(0.4, 0.06 * last))
