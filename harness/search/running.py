"""The trials of a search, run like any other runs, and the choice that their scores make."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from statistics import fmean

from harness.attempt import Outcome
from harness.plan import Plan
from harness.search.choice import Score, Unscored, best, score
from harness.search.planned import PlannedSearch, Slot
from harness.search.recorded import recorded
from harness.stage import Stage
from harness.store import Workspace
from harness.wording import counted

Chosen = list[int | None]
"""Of each slot the place of the chosen trial; None where no trial has a score."""


def run_trials(
    first: PlannedSearch, stage: Stage, began: float, prepare: Callable[[Plan], None]
) -> tuple[PlannedSearch, list[Outcome], Chosen]:
    """Run the trials that are not done, choose, and say what was chosen; nothing is launched where all are done.

    first: the search as far as it is known before any trial. prepare: makes what a plan reads.
    Returns the whole search, and the outcomes that are failures of the experiment: those of trials which failed
    otherwise than by diverging, which is an answer, and all of a slot in which nothing else was left. Raises as
    `launch.launch` does.
    """
    workspace, planned, outcomes = stage.workspace, first, dict[str, Outcome]()
    for planned in all_rounds(first, workspace):
        runs, n = planned.trial_runs, len(planned.values)
        of_all = f" of {planned.search.n_trials}" if n < planned.search.n_trials else ""
        stage.announce(
            planned.of_trials(), f"{n}{of_all} trials of a {planned.search.kind}, {counted(len(runs), 'run')}"
        )
        if not all(workspace.folder(run.run_id).is_done for run in runs if run.run_id not in outcomes):
            prepare(planned.of_trials())
            left = [run for run in runs if run.run_id not in outcomes or outcomes[run.run_id].state == "done"]
            ended = stage.launch(
                replace(planned.of_trials(), runs=tuple(left)),
                began=began,
                search=recorded(planned),
                trials=True,
            )
            outcomes |= {outcome.run_id: outcome for outcome in ended}
            began = time.perf_counter()
    chosen = choose(planned, workspace)
    for slot, k in zip(planned.slots, chosen, strict=True):
        stage.say(_said(planned, slot, k, workspace))
    failed = [outcome for outcome in outcomes.values() if outcome.state == "failed"]
    if failed:
        n = len(planned.trial_runs)
        stage.say(f"{len(failed)} of {n} runs of trials failed and were out of the choice; see the report.")
    lost = {
        run.run_id for slot, k in zip(planned.slots, chosen, strict=True) if k is None for run in slot.trials
    }
    return planned, [one for one in failed if not one.diverged or one.run_id in lost], chosen


def all_rounds(first: PlannedSearch, workspace: Workspace) -> Iterator[PlannedSearch]:
    """The search as it is known at the beginning of each round, whose trials must be over when the next is asked for.

    A trial is scored by the mean accuracy over all methods and regimes; by None where one of them has none.
    """
    planned, rounds = first, first.search.rounds(first.seed)
    n = len(next(rounds))
    while True:
        yield planned
        by_trial = list(zip(*(scores(slot, workspace) for slot in planned.slots), strict=True))
        try:
            more = rounds.send([_mean(of_trial) for of_trial in by_trial[-n:]])
        except StopIteration:
            return
        planned, n = planned.extended(more), len(more)


def _mean(found: Sequence[Score | Unscored]) -> float | None:
    accuracies = [one.accuracy for one in found if isinstance(one, Score)]
    return fmean(accuracies) if len(accuracies) == len(found) else None


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
