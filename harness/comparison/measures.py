"""What two sides are compared in: accuracies on the same episodes, or returns on the same tasks."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from harness.pairing import Comparison
from harness.statistics import DIFFERENCE_KEYS


@dataclass(frozen=True, kw_only=True)
class Measure:
    """How differences are made and what they are called.

    comparison: what makes two rows the same episode or task. scale: what values are multiplied by to be shown, in
    `unit`, of which there may be `units`. may_differ: columns that two sides may differ in; it is said. what: is shown.
    rows: what it is measured on.
    """

    comparison: Comparison
    scale: float
    unit: str
    units: str
    may_differ: tuple[str, ...]
    what: str
    rows: str

    def place(self, names: Mapping[str, object]) -> str:
        """`omniglot`, with the shape of the episodes where it is fixed, and a split that is not the test's."""
        known = [names[key] for key in ("n_way", "shots") if key in names and pd.notna(names[key])]  # type: ignore[call-overload]
        shape = f" {known[0]}w{known[1]:g}s" if len(known) == 2 else ""
        split = "" if names["split"] == "test" else f" ({names['split']})"
        return f"{names['source']}{shape}{split}"


ACCURACY = Measure(
    comparison=Comparison(
        condition="side",
        keys=("method", *DIFFERENCE_KEYS),
        must_agree=("protocol", "protocol_version", "fingerprint", "max_images_per_class"),
        sizes=("n_query",),
    ),
    scale=100,
    unit="point",
    units="points",
    may_differ=("network", "batch_norm", "image_size", "precision", "selection", "adaptation_steps"),
    what="accuracy in percentage points",
    rows="episode",
)

RETURN = Measure(
    comparison=Comparison(
        condition="side",
        keys=("method", "trained_on", "source", "split", "horizon"),
        must_agree=("protocol_version", "fingerprint", "sampling"),
        value="return_after",
    ),
    scale=1,
    unit="unit of return",
    units="units of return",
    may_differ=("network", "adaptation_steps"),
    what="return after adaptation, not discounted,",
    rows="task",
)
