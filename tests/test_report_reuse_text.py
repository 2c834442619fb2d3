"""Sentences on reuse: bounds that hold, what could not be measured, and what cannot be told."""

import pandas as pd
import pytest

from harness.equivalence import FAILS, HOLDS, INCONCLUSIVE
from harness.report.reuse_text import above, below, listed, signed, similarity_said, verdict_said

OPEN_BEHIND, OPEN = (INCONCLUSIVE, -0.05, -0.001), (INCONCLUSIVE, -0.05, 0.02)


def test_layers_without_a_similarity_are_named() -> None:
    rows = pd.DataFrame(
        [("conv1", "near", 0.9), ("conv1", "far", 0.8), ("conv2", "near", 0.7), ("head", "near", 0.1)],
        columns=["layer", "source", "mean"],
    )
    said = similarity_said("mean CCA", rows, ["conv1", "conv2", "conv3", "head"])
    assert said is not None
    assert said.text == (
        "the body keeps at least 0.70 wherever it was measured (the least: conv2 on near), but could not be measured "
        "in conv2 on far and conv3 on any source; in the head, 0.10 to 0.10."
    )
    whole = similarity_said("CKA", rows[rows["layer"] == "conv1"], ["conv1", "head"])
    assert whole is not None
    assert "but could not" not in whole.text


def test_bounds_are_rounded_outwards() -> None:
    assert (below(0.939), above(0.931), below(0.0318), above(0.0311)) == ("0.93", "0.94", "0.031", "0.032")
    assert (below(-0.001), above(0.0), below(12.345)) == ("-0.0010", "0.00", "12.34")
    assert [signed(value) for value in (0.0123, -0.0004, -0.02)] == ["+1.2", "0.0", "-2.0"]
    assert listed(["a", "b", "c"]) == "a, b and c"


def said(*rows: tuple[str, float, float]) -> str:
    """Of sources a, b, c, ... with these verdicts and intervals."""
    frame = pd.DataFrame(rows, columns=["verdict", "low", "high"])
    names = {"method": "", "a": "anil", "b": "maml", "source": list("abcdefgh"[: len(rows)])}
    return verdict_said(frame.assign(**names, difference=(frame["low"] + frame["high"]) / 2), 0).text


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([OPEN, OPEN], "on both sources (a, b) it cannot be told. "),
        ([OPEN_BEHIND], "(a) it cannot be told, though by itself the 95 % interval is below 0 on it. "),
        ([OPEN_BEHIND] * 2, "cannot be told, though by itself the 95 % interval is below 0 on both of them. "),
        ([OPEN_BEHIND] * 3, "cannot be told, though by itself the 95 % interval is below 0 on all 3 of them. "),
        ([OPEN_BEHIND, OPEN, OPEN], "cannot be told, though by itself the 95 % interval is below 0 on 1 of them. "),
        (
            [(HOLDS, -0.005, -0.001), (FAILS, -0.2, -0.1), OPEN_BEHIND, OPEN],
            "reuse holds on 1 of 4 sources (a); it fails on b; on c and d it cannot be told, though by itself the 95 % "
            "interval is below 0 on 1 of them. ",
        ),
    ],
    ids=["none", "the only one", "both", "all", "one", "beside others"],
)  # fmt: skip
def test_where_it_cannot_be_told_intervals_below_zero_are_counted(
    rows: list[tuple[str, float, float]], sentence: str
) -> None:
    assert sentence in said(*rows)
