"""The margin that a control experiment declares: the largest difference in return that does not matter."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import WorkspaceError

KEY = "margin_return"
DEFAULT = 1.0
"""Where no experiment says, in units of return."""


def declared_margin(record: Mapping[str, Any], folder: Path) -> float:
    """That of the record of the experiment in `folder`. Raises WorkspaceError for one that is no number above 0."""
    value = record.get(KEY, DEFAULT)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value < math.inf:
        raise WorkspaceError(
            f"experiment.json in {folder} is damaged: its {KEY} is {value!r}, and must be a number above 0. Delete it; "
            "`harness run` writes it again."
        )
    return float(value)
