"""What the terminal says of the runs that failed, and the exit code that follows."""

import sys
from collections.abc import Sequence

from harness.attempt import Outcome
from harness.store import Workspace
from harness.wording import counted


def exit_code(outcomes: Sequence[Outcome], workspace: Workspace) -> int:
    """Say which runs failed and why: 0 for none, 2 when only the user's mistakes failed them, else 1."""
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    if not failed:
        return 0
    others = "; the others are in the report" if len(failed) < len(outcomes) else ""
    lines = [f"{len(failed)} of {counted(len(outcomes), 'run')} failed{others}."]
    for outcome in failed:
        lines.append(f"  {outcome.run_id}: {outcome.error}")
        if not outcome.mistake:
            lines.append(f"    traceback: {workspace.folder(outcome.run_id).path / 'status.json'}")
    lines.append("Mend the cause and run the same command again; finished runs are kept.")
    print("\n".join(lines), file=sys.stderr)
    return 2 if all(outcome.mistake for outcome in failed) else 1
