"""Verdicts that reuse holds where it would anyway are said to say little."""

from typing import Any

import pandas as pd
import pytest

from harness.control.report.says_little import LEAD, says_little
from harness.control.report.standings import Standing
from harness.equivalence import FAILS, HOLDS, INCONCLUSIVE


def row(method: str, *, gain: float = 20.0, gain_ci95: float = 1.0, after: float = -20.0) -> dict[str, Any]:
    return {"method": method, "gain": gain, "gain_ci95": gain_ci95, "after": after, "after_ci95": 1.0}


def standing(source: str, *rows: dict[str, Any]) -> Standing:
    return Standing(cell=("drift", source, "test", 6), in_training=True, rows=rows, behind=())


def judged(*sources: str, verdict: str = HOLDS) -> pd.DataFrame:
    cell = {"trained_on": "drift", "split": "test", "horizon": 6, "verdict": verdict}
    return pd.DataFrame(
        [{"a": "anil", "b": "maml", **cell, "source": source, "margin": 2.0} for source in sources]
    )


def said(*rows: dict[str, Any], verdict: str = HOLDS) -> list[str]:
    found = list(says_little(judged("near", verdict=verdict), [standing("near", *rows)], "none"))
    assert all(one.lead == LEAD for one in found)
    return [one.text for one in found]


@pytest.mark.parametrize(
    ("gain", "ci95", "words"),
    [
        (6.0, 3.0, None),
        (6.0, 4.5, "whether maml gains more than the margin of 2 by adapting cannot be told (6.0 ± 4.5)"),
        (1.0, 0.1, "maml gains 1.0 ± 0.1 by adapting, no more than the margin of 2"),
        (-9.0, 1.0, "maml gains -9.0 ± 1.0 by adapting, no more than"),
        (27.0, float("nan"), "cannot be told (27.0 ± nan)"),
    ],
)
def test_only_a_gain_clearly_above_the_margin_goes_without_saying(
    gain: float, ci95: float, words: str | None
) -> None:
    found = said(row("maml", gain=gain, gain_ci95=ci95), row("anil"))
    assert len(found) == (words is not None)
    assert not words or words in found[0]


@pytest.mark.parametrize("verdict", [FAILS, INCONCLUSIVE])
def test_other_verdicts_say_what_they_say(verdict: str) -> None:
    assert not said(row("maml", gain=0.0), row("anil"), verdict=verdict)


def test_a_method_that_adaptation_does_not_change_shows_nothing() -> None:
    (one,) = said(row("maml"), row("anil", gain=0.0, gain_ci95=0.0))
    assert one == (
        "that reuse holds on near: anil is not changed by adaptation at all, so that it shows nothing of adapting "
        "less."
    )


def test_it_takes_little_to_be_as_good_as_what_is_worse_than_no_adaptation() -> None:
    (one,) = said(row("maml", after=-205.2), row("anil"), row("none", after=-109.2))
    assert "maml is worse after adaptation (-205.2) than none (-109.2), so that to be as good as it" in one
    assert not said(row("maml", after=-20.0), row("anil"), row("none", after=-19.0))  # the intervals meet
    assert not said(row("maml", after=-20.0), row("anil"), row("none", after=-40.0))


def test_it_is_of_the_cell_that_was_judged() -> None:
    both = [standing("near", row("maml"), row("anil")), standing("far", row("maml", gain=0.5), row("anil"))]
    (one,) = says_little(judged("near", "far"), both, "none")
    assert one.text.startswith("that reuse holds on far: maml gains 0.5 ± 1.0 by adapting, ")
    assert not list(says_little(judged("near"), both, "none"))
