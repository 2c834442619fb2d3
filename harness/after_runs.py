"""Tables that are measured once of finished runs, after the last of them, and kept beside them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from harness.errors import HarnessError
from harness.files import write_aside
from harness.spec import RunSpec
from harness.store import Workspace


def measure_once(
    workspace: Workspace,
    name: str,
    runs: Sequence[RunSpec],
    measure: Callable[[], pd.DataFrame],
    lacking: str,
) -> str:
    """Write the table `name` below runs/ unless it is there and whole; why it cannot be measured of `runs`, or nothing.

    lacking: how the reason begins. What a network or its checkpoint makes impossible is a reason, not an error: the
    runs are done, and their report must not depend on it.
    """
    path = workspace.runs / name
    if _is_whole(path):
        return ""
    if unfinished := [run.run_id for run in runs if not workspace.folder(run.run_id).is_done]:
        which = f"run {unfinished[0]} has" if len(unfinished) == 1 else f"runs {', '.join(unfinished)} have"
        return f"{lacking}: the {which} not finished."
    import torch

    from harness.worker import THREADS

    torch.set_num_threads(THREADS)
    try:
        frame = measure()
    except (HarnessError, ValueError) as error:
        return f"{lacking}: {error}"
    write_aside(path, lambda aside: frame.to_parquet(aside, index=False))
    return ""


def _is_whole(path: Path) -> bool:
    try:
        pd.read_parquet(path)
    except Exception:  # not there, or pyarrow's many kinds of damage
        return False
    return True
