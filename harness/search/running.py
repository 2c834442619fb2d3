"""The trials of a search, run like any other runs, and the choice that their scores make."""

from collections.abc import Sequence

from harness.attempt import Outcome
from harness.search.choice import Score, Unscored, best, score
from harness.search.planned import PlannedSearch, Slot
from harness.search.recorded import recorded
from harness.stage import Stage
from harness.store import Workspace

Chosen = list[int | None]
"""Of each slot the place of the chosen trial; None where no trial has a score."""


def run_trials(planned: PlannedSearch, stage: Stage, began: float) -> tuple[list[Outcome], Chosen]:
    """Run the trials that are not done, choose, and say what was chosen; nothing is launched where all are done.

    Returns the outcomes that are failures of the experiment: those of trials which failed otherwise than by
    diverging, which is an answer, and all of a slot in which nothing else was left. Raises as `launch.launch` does.
    """
    runs, workspace = planned.trial_runs, stage.workspace
    trials = f"{len(planned.values)} trials of a {planned.search.kind}, {len(runs)} runs"
    stage.announce(planned.of_trials(), trials)
    outcomes: list[Outcome] = []
    if not all(workspace.folder(run.run_id).is_done for run in runs):
        outcomes = stage.launch(planned.of_trials(), began=began, search=recorded(planned), trials=True)
    chosen = choose(planned, workspace)
    for slot, k in zip(planned.slots, chosen, strict=True):
        stage.say(_said(planned, slot, k, workspace))
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    if failed:
        stage.say(
            f"{len(failed)} of {len(runs)} runs of trials failed and were out of the choice; see the report."
        )
    lost = {
        run.run_id for slot, k in zip(planned.slots, chosen, strict=True) if k is None for run in slot.trials
    }
    return [one for one in failed if not one.diverged or one.run_id in lost], chosen


def choose(planned: PlannedSearch, workspace: Workspace) -> Chosen:
    """The chosen trial of each slot, from the folders of their runs."""
    return [best(scores(slot, workspace)) for slot in planned.slots]


def scores(slot: Slot, workspace: Workspace) -> Sequence[Score | Unscored]:
    """Trial after trial; equal runs are read once."""
    found = {run_id: score(workspace.folder(run_id)) for run_id in {run.run_id for run in slot.trials}}
    return [found[run.run_id] for run in slot.trials]


def _said(planned: PlannedSearch, slot: Slot, k: int | None, workspace: Workspace) -> str:
    who = f"{slot.method_name}, trained on {slot.trained_on}"
    if k is None:
        return f"No trial of {who}, has finished: it has no results."
    found = score(workspace.folder(slot.trials[k].run_id))
    assert isinstance(found, Score)
    values = ", ".join(f"{name} = {planned.values[k][name]}" for name in slot.concerns)
    reached = f"{100 * found.accuracy:.1f} % on validation episodes"
    if not values:
        return f"{who}: nothing that is searched concerns it; {reached}."
    return f"{who}: chosen trial {k + 1} of {len(planned.values)} ({values}), {reached}."
