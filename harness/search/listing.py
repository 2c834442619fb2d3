"""What `harness plan` says of a search: its trials, what they cost, and what comes after them."""

from collections.abc import Sequence

from harness.cost import Estimate, estimate
from harness.plan import Plan
from harness.search.planned import PlannedSearch
from harness.search.running import all_rounds, choose
from harness.store import Workspace
from harness.wording import counted

MANY_RUNS = 200
"""Of trials; from here on a plan says that it is many."""


def known_trials(first: PlannedSearch, workspace: Workspace) -> PlannedSearch:
    """The search with the trials that follow from those that are done."""
    planned = first
    for planned in all_rounds(first, workspace):
        if not all(workspace.folder(run.run_id).is_done for run in planned.trial_runs):
            break
    return planned


def after_trials(planned: PlannedSearch, workspace: Workspace) -> tuple[Plan, bool]:
    """The experiment with the chosen values, and whether they are chosen; until then with those of the first trial."""
    known = len(planned.values) == planned.search.n_trials
    known &= all(workspace.folder(run.run_id).is_done for run in planned.trial_runs)
    chosen = choose(planned, workspace) if known else [0] * len(planned.slots)
    return planned.with_chosen(chosen), known


def estimates(planned: PlannedSearch, results: Plan, workspace: Workspace) -> list[Estimate]:
    """What is left of each run of a trial, and then of each result; these share the training of the chosen trial."""
    return estimate([*planned.trial_runs, *results.runs], workspace)


def trial_lines(planned: PlannedSearch) -> list[str]:
    """`trial 1: MAML.inner_lr = 0.1, inner_steps = 1`, one a trial."""
    return [
        f"trial {k + 1}: {', '.join(f'{name} = {text}' for name, text in values.items())}"
        for k, values in enumerate(planned.values)
    ]


def summary(planned: PlannedSearch, results: Plan, known: bool, left: Sequence[str]) -> list[str]:
    """How many runs there are of which kind. left: what the trials still take, and all of it."""
    n_trials, n_runs, n_more = len(planned.values), len(planned.trial_runs), planned.search.n_trials
    n_more -= n_trials
    values = "the chosen values" if known else "the values that the trials choose"
    trials = f"{counted(n_trials, 'trial')} of a {planned.search.kind}: {counted(n_runs, 'run')}"
    then = f"Then {counted(len(results.runs), 'run')} with {values}"
    lines = [
        f"{trials} on seed {planned.seed}, none tested; {left[0]}.",
        f"{then}; with the trials, {left[1]}. Runs of one training share it.",
    ]
    if n_more:
        lines.insert(1, f"{n_more} more trials follow from what these score, each at about the same cost.")
    if n_runs > MANY_RUNS:
        lines.append(
            f"Note: {n_runs:,} runs of trials are many. Search fewer values, or use @RandomSearch() with a budget "
            "(RandomSearch.trials)."
        )
    return lines
