"""What the probe `freeze` measured with the body left as trained, as rows of episodes: a paper has a table of it."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from pyarrow import ArrowException

from harness.report.gather import FinishedRun

BODY_FROZEN = "_body_frozen"
"""Behind a method's name: only its head adapts at test, whatever it adapted in training."""

_SAME = ["source", "fingerprint", "split", "protocol", "episode", "n_way", "n_support", "n_query"]


def with_body_frozen(run: FinishedRun) -> pd.DataFrame:
    """The run's episodes that the probe measured, with the accuracy of adapting the head alone; empty for none."""
    names = [
        str(probe["params"].get("name", "")) for probe in _probes(run) if probe.get("plugin") == "freeze"
    ]
    nothing = run.episodes.iloc[:0]
    if not names or run.folder is None:
        return nothing
    asked = [("probe", "in", names), ("condition", "=", "head only"), ("quantity", "=", "accuracy")]
    try:
        rows = pq.read_table(run.folder.probes, columns=[*_SAME, "value"], filters=asked).to_pandas()
    except (
        OSError,
        ArrowException,
        KeyError,
    ):  # damaged: the report says so where it lists runs without probes
        return nothing
    rows = rows.dropna(subset=["value", "episode"]).astype({key: run.episodes[key].dtype for key in _SAME})
    found = run.episodes.merge(rows, on=_SAME, validate="many_to_one")
    return found.assign(accuracy=found["value"]).drop(columns="value")


def _probes(run: FinishedRun) -> list[Mapping[str, Any]]:
    return [probe for probe in run.spec.get("probes", ()) if isinstance(probe, Mapping)]
