"""Sentences on reuse: bounds that hold, and what could not be measured."""

import pandas as pd

from harness.report.reuse_text import above, below, listed, signed, similarity_said


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
