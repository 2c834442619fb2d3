"""Which runs were deleted at a URL on purpose: `deleted/<run id>.json` there, left by `--fresh` and `harness clean`.

Other machines delete what they have of a run where there is one. Where a run is gone from the URL without one, the
bucket was wiped or is another, and what a machine has may be the last copy.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime

from harness.remote.objects import Objects

FOLDER, END = "deleted", ".json"


def tombstone(run_id: str) -> str:
    """The key of a run's."""
    return f"{FOLDER}/{run_id}{END}"


def leave(objects: Objects, run_ids: Iterable[str]) -> None:
    """One for each of the runs, which have been deleted. Raises WorkspaceError where the URL cannot be written."""
    content = json.dumps({"deleted": datetime.now(UTC).isoformat(timespec="seconds")}) + "\n"
    for run_id in run_ids:
        objects.write(tombstone(run_id), content.encode())


def deleted_runs(objects: Objects) -> set[str]:
    """The ids of the runs that have one. Raises WorkspaceError where the URL cannot be read."""
    names = (key.rpartition("/")[2] for key in objects.listing(FOLDER))
    return {name.removesuffix(END) for name in names if name.endswith(END)}
