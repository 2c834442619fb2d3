"""Verdicts on policies that adaptation hardly changes are said to say little."""

import pandas as pd
import pytest

from harness.control.report.little_to_gain import LEAD, little_to_gain
from harness.control.report.standings import Standing


def standing(source: str, *, gain: float, ci95: float) -> Standing:
    rows = tuple({"method": name, "gain": gain, "gain_ci95": ci95} for name in ("maml", "anil"))
    return Standing(cell=("drift", source, "test", 6), in_training=True, rows=rows, behind=())


def judged(*sources: str) -> pd.DataFrame:
    cell = {"trained_on": "drift", "split": "test", "horizon": 6}
    return pd.DataFrame(
        [{"a": "anil", "b": "maml", **cell, "source": source, "margin": 2.0} for source in sources]
    )


@pytest.mark.parametrize(
    ("gain", "ci95", "said"),
    [(6.0, 3.0, False), (6.0, 4.5, True), (1.0, 0.1, True), (float("nan"), 1.0, True)],
)
def test_only_a_gain_clearly_above_the_margin_goes_without_saying(
    gain: float, ci95: float, said: bool
) -> None:
    found = list(little_to_gain(judged("near"), [standing("near", gain=gain, ci95=ci95)]))
    assert [one.lead for one in found] == [LEAD] * said


def test_it_is_of_the_cell_that_was_judged() -> None:
    both = [standing("near", gain=20.0, ci95=1.0), standing("far", gain=0.5, ci95=1.0)]
    (one,) = little_to_gain(judged("near", "far"), both)
    assert one.text.startswith(
        "on far maml gains 0.5 ± 1.0 by adapting, not clearly more than the margin of 2:"
    )
    assert not list(little_to_gain(judged("near"), both))
