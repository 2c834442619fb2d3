"""The commands that look and do not train: plan, new, check."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness import plugins, pool_status
from harness.control.experiment import ControlExperiment
from harness.cost import Estimate, basis, duration, estimate
from harness.data_needs import check_data_dir, sources_of, with_defaults
from harness.demo import can_draw
from harness.display import say_what_is_unlike
from harness.experiment import Experiment
from harness.missing_sources import hinted
from harness.obstacles import obstacles
from harness.plan import Plan, plan
from harness.planned_sources import datasets_of
from harness.spec import RunSpec
from harness.store import RunFolder, Workspace
from harness.wording import counted

if TYPE_CHECKING:
    from harness.search.planned import PlannedSearch


def show_new(kind: str, name: str, into: Path, console: Console) -> None:
    """Write a plugin's package and say what is where, and what to do next. Raises as `scaffold.write_plugin` does."""
    from harness.scaffold import write_plugin

    made = write_plugin(kind, name, into)
    for path in made:
        console.print(str(path), highlight=False, soft_wrap=True, markup=False)
    folder = made[0].parent
    console.print(
        f"Next: pip install -e {folder}; harness check {kind} {name}; harness run {folder / name}.gin",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )


def show_plan(
    config: Path,
    bindings: Sequence[str],
    data_dir: Path | None,
    cache: Path,
    out: Path | None,
    console: Console,
) -> None:
    """Print the runs, what each will still take, and which pools are to be prepared.

    out: the folder of the report and the runs; None for reports/<the experiment's name>.
    """
    check_data_dir(data_dir)
    from harness.config import load_experiment

    experiment, _ = load_experiment(config, bindings)
    if isinstance(experiment, ControlExperiment):
        from harness.control.workflow import show_control_plan

        show_control_plan(experiment, (out or Path("reports") / experiment.name) / "runs", console)
        _say_obstacles(experiment, console)
        return
    with hinted(config, bindings, demo=any(map(can_draw, datasets_of(experiment)))):
        planned = plan(experiment, data_dir=data_dir, cache=cache)
    workspace = Workspace(runs=(out or Path("reports") / experiment.name) / "runs", cache=cache)
    if experiment.search is None:
        guesses = estimate(planned.runs, workspace)
        table = _table("run", "state", "training", "estimate")
        for run, guess in zip(planned.runs, guesses, strict=True):
            table.add_row(run.run_id, *_cells(run, guess, workspace))
        trainings = len({run.training_id for run in planned.runs})
        lines = [
            f"{counted(len(planned.runs), 'run')}, {counted(trainings, 'training')}; {_left(guesses)}."
            + (" Runs of one training share it." if trainings < len(planned.runs) else "")
        ]
    else:
        from harness.search.planned import plan_search
        from harness.search.trial_experiment import trial_experiment

        searched = plan_search(
            experiment.search,
            planned,
            partial(trial_experiment, config, bindings),
            data_dir=data_dir,
            cache=cache,
        )
        planned = searched.of_trials()
        table, lines = _search(searched, workspace)
    console.print(table)
    _say_pools(planned, cache, console)
    say_what_is_unlike(planned, data_dir, console)
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    _say_obstacles(experiment, console)


def _say_obstacles(experiment: Experiment | ControlExperiment, console: Console) -> None:
    """A plan may be made where the runs are not to go on, so what is in their way here is no error."""
    for problem in obstacles(experiment):
        console.print(f"Not on this machine: {problem}", highlight=False, soft_wrap=True, markup=False)


def _search(searched: "PlannedSearch", workspace: Workspace) -> tuple[Table, list[str]]:
    """The table of the runs of all trials, and of what comes after them where that is known; what else is said."""
    from harness.search import listing as search_listing
    from harness.search.recorded import recorded

    searched = search_listing.known_trials(searched, workspace)
    results, known = search_listing.after_trials(searched, workspace)
    guesses, numbers = search_listing.estimates(searched, results, workspace), recorded(searched)
    runs = [*searched.trial_runs, *results.runs]
    n_trials = len(searched.trial_runs)
    table = _table("run", "trial", "state", "training", "estimate")
    for run, guess in list(zip(runs, guesses, strict=True))[: None if known else n_trials]:
        trial = numbers.trials_of(run.run_id) or "chosen"
        table.add_row(run.run_id, trial, *_cells(run, guess, workspace))
    left = [_left(guesses[:n_trials]), _left(guesses)]
    return table, [
        *search_listing.trial_lines(searched),
        *search_listing.summary(searched, results, known, left),
    ]


def _cells(run: RunSpec, guess: Estimate, workspace: Workspace) -> tuple[str, str, str]:
    return _state(workspace.folder(run.run_id)), run.training_id[:8], duration(guess.seconds)


def _say_pools(planned: Plan, cache: Path, console: Console) -> None:
    ready = {row["key"] for row in pool_status.status(cache) if row["problem"] is None}
    for need in planned.pools:
        state = "ready" if need.key in ready else "to be prepared"
        console.print(f"pool {need.key}: {state}", highlight=False, soft_wrap=True)


def _state(folder: RunFolder) -> str:
    """What a plan says of a run: done only when its episodes are there too."""
    if folder.is_done:
        return "done"
    state = folder.state
    return state if state is not None and state != "done" else "to do"


def _left(guesses: Sequence[Estimate]) -> str:
    """What is still to be done, in words."""
    waiting = [guess for guess in guesses if guess.seconds > 0]
    done = len(guesses) - len(waiting)
    if not waiting:
        return "all done"
    total = duration(sum(guess.seconds for guess in waiting))
    finished = f"{done} done, the rest takes " if done else ""
    return f"{finished}very roughly {total} of one core ({basis(waiting)})"


def check_method(name: str, console: Console) -> int:
    """Run the conformance kit on a method and print what it found; 1 when a check failed."""
    from harness import testing

    return _show_checks(testing.check_method(with_defaults(plugins.METHODS, name)), console)


def check_probe(name: str, console: Console) -> int:
    """Run the conformance kit on a probe and print what it found; 1 when a check failed."""
    from harness import testing

    return _show_checks(testing.check_probe(with_defaults(plugins.PROBES, name)), console)


def check_dataset(name: str, bindings: Sequence[str], data_dir: Path | None, console: Console) -> int:
    """Run the conformance kit on a source, or on every source of an experiment file; 1 when a check failed.

    Raises MissingDataError at once when a source needs raw data that is not there.
    """
    from harness import testing

    datasets = sources_of(name, bindings)
    for dataset in datasets:
        if getattr(dataset, "needs_data", False):
            dataset.fingerprint(data_dir)
    results = []
    for dataset in datasets:
        if len(datasets) > 1:
            console.print(f"\n[bold]{escape(dataset.name)}[/]")
        results.append(_show_checks(testing.check_dataset(dataset, data_dir), console))
    return max(results)


def _show_checks(checks: Sequence[Any], console: Console) -> int:
    table = _table("check", "", "found")
    for check in checks:
        verdict = "[green]passed[/]" if check.passed else "[red]FAILED[/]"
        table.add_row(escape(check.name), verdict, escape(check.detail))
    console.print(table)
    return 0 if all(check.passed for check in checks) else 1


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
