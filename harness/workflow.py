"""`harness run` and `harness report`, step by step: plan, prepare pools, launch, report."""

import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from harness import across_stage, distance_stage
from harness.attempt import Outcome
from harness.config import load_experiment
from harness.data_needs import check_data_dir
from harness.demo import can_draw, demonstration, draw_stand_ins
from harness.display import Display, say_what_is_unlike
from harness.errors import ConfigError
from harness.experiment import Experiment
from harness.files import explained, write_json
from harness.interruption import terminable
from harness.launch import check_options
from harness.lease import held
from harness.missing_sources import hinted
from harness.plan import Plan, plan
from harness.planned_sources import datasets_of
from harness.pool_status import note_use
from harness.pools import ensure_pool
from harness.record import CONFIG, RECORD, read_record, recorded_search, recorded_trials, took
from harness.remote.experiment_mirror import ExperimentMirror, check_backend, experiment_mirror
from harness.remote.places import Place, Url
from harness.search.planned import PlannedSearch, plan_search
from harness.search.recorded import RecordedSearch, recorded
from harness.search.running import run_trials
from harness.stage import Stage
from harness.store import RunFolder, Workspace, run_folders


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the command line asks for. `out`: a folder or a URL; None for reports/<the experiment's name>."""

    config: Path
    bindings: Sequence[str]
    out: Place | None
    workers: int | None
    backend: str
    address: str | None
    fresh: bool
    data_dir: Path | None
    cache: Path
    demo: bool = False
    first: str = ""

    @property
    def command(self) -> str:
        """The command that gives these results again, without what concerns this machine only.

        `first`, where there is one: the command whose runs are tried again.
        """
        if self.first:
            return self.first
        words = ["harness", "run", str(self.config)]
        words += [word for binding in self.bindings for word in ("--set", binding)]
        words += ["--demo"] if self.demo else []
        return shlex.join(words + (["--out", str(self.out)] if self.out else []))


def run(request: Request, console: Console) -> int:
    """Do everything that `harness run` does; 0, or what `_failures` says when some run failed.

    Raises HarnessError when the request is wrong or its pools cannot be prepared, before any result is
    touched; KeyboardInterrupt on Ctrl-C and on SIGTERM, when the runs in flight have saved their state.
    """
    check_options(request.backend, request.workers, request.address)
    mirror = _mirror(request)
    check_data_dir(request.data_dir)
    experiment, text = _read(request)
    for tracker in experiment.trackers:
        tracker.check()
    if request.demo:
        request = replace(request, data_dir=_stand_ins(experiment, request.cache, console))
    with hinted(request.config, request.bindings, demo=any(map(can_draw, datasets_of(experiment)))):
        planned = plan(experiment, data_dir=request.data_dir, cache=request.cache)
        searched = _searched(planned, request)
    if request.address is None:
        experiment.compute.check_device()
    folder = _folder(request, experiment, mirror)
    _check_not_foreign(folder)
    workspace = Workspace(runs=folder / "runs", cache=request.cache, url=mirror.url if mirror else None)
    stage = Stage(
        workspace=workspace,
        mirror=mirror,
        command=request.command,
        config=text,
        backend=request.backend,
        workers=request.workers,
        address=request.address,
        data_dir=request.data_dir,
        console=console,
    )
    with terminable(), held(workspace.runs, stage.say, url=workspace.url):
        outcomes = _launch_all(planned, searched, stage, request)
        report(folder, console, even_empty=True)
        if mirror:
            mirror.push_record()
            mirror.push_report()
            stage.say(f"Sent to {mirror.url}")
    return _failures(outcomes, workspace)


def _launch_all(
    planned: Plan, searched: PlannedSearch | None, stage: Stage, request: Request
) -> list[Outcome]:
    """Prepare pools, launch the trials where there is a search, then the runs; the outcomes that count."""
    began, console, folder = time.perf_counter(), stage.console, stage.workspace.runs.parent
    everything = planned if searched is None else searched.of_everything()
    _prepare(everything, request, Display(console=console, n_runs=0))
    if stage.mirror:
        stage.mirror.pull_record()
        stage.pull(everything, finish=not request.fresh, everything=searched is not None)
    before = read_record(folder)
    if request.fresh:
        _remove(everything, before, stage, recorded_search(folder) if searched else None)
    say_what_is_unlike(planned, console)
    outcomes: list[Outcome] = []
    search = None
    if searched is not None:
        display = Display(console=console, n_runs=0)
        searched, outcomes, chosen = run_trials(
            searched, stage, began, lambda round_: _prepare(round_, request, display)
        )
        planned, search = searched.with_chosen(chosen), recorded(searched, chosen)
        began = time.perf_counter()
    stage.announce(planned, f"{len(planned.runs)} runs{' with the chosen values' if search else ''}")
    _say_what_is_replaced(before, planned, folder, console)
    measure = partial(_measure_after, planned, stage)
    return outcomes + stage.launch(planned, began=began, search=search, after=measure)


def _read(request: Request, trial: Sequence[str] = ()) -> tuple[Experiment, str]:
    """The experiment asked for and its settings as text; with the bindings of one of its trials."""
    experiment, text = load_experiment(request.config, request.bindings, trial=trial)
    if request.demo:
        return demonstration(experiment), f"# Run with --demo: cut short, on stand-ins.\n{text}"
    return experiment, text


def _searched(planned: Plan, request: Request) -> PlannedSearch | None:
    search = planned.experiment.search
    if search is None:
        return None
    return plan_search(
        search,
        planned,
        lambda trial: _read(request, trial)[0],
        data_dir=request.data_dir,
        cache=request.cache,
    )


def report(folder: Path, console: Console, *, even_empty: bool = False) -> Path:
    """Write the report of the runs in `folder` again and show the leaderboard; returns the report's path.

    Raises WorkspaceError, and leaves an earlier report as it is, when there are no runs there or, unless
    `even_empty`, none has finished.
    """
    from harness.report.build import build_report
    from harness.report.reuse_verdicts import Judging
    from harness.report.terminal import answer_lines, leaderboard_table

    record, config = read_record(folder), folder / "runs" / CONFIG
    runs = [RunFolder(folder / "runs" / run_id) for run_id in record.get("runs", ())]
    search = recorded_search(folder)
    built = build_report(
        folder,
        title=record.get("title") or folder.resolve().name,
        claim=record.get("claim", ""),
        command=record.get("command", ""),
        took=took(record, [*runs, *recorded_trials(folder)]),
        raw_data=record.get("raw_data", ()),
        without=[
            f"{left['source']}, {left['where']}: {left['reason']}" for left in record.get("left_out", ())
        ],
        subsets=record.get("subsets", ()),
        judging=Judging(**(record.get("verdicts") or {})),
        config=config if config.is_file() else None,
        runs=runs if runs or search else None,
        search=search,
        distances=record.get("distances", ()),
        across=record.get("across", ()),
        even_empty=even_empty,
    )
    if record:
        write_json(folder / RECORD, record)
    if len(built.board):
        console.print(leaderboard_table(built.board))
    for line in [*filter(None, [built.missing_runs]), *answer_lines(built.answer)]:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    page = built.path.with_suffix(".html")
    console.print(f"Report: {built.path}, and to open in a browser {page}", highlight=False, soft_wrap=True)
    return built.path


def _mirror(request: Request) -> ExperimentMirror | None:
    """Of the URL where the experiment is to lie; None for a folder."""
    if not isinstance(request.out, Url):
        return None
    check_backend(request.out, request.backend)
    return experiment_mirror(request.out, request.cache)


def _folder(request: Request, experiment: Experiment, mirror: ExperimentMirror | None) -> Path:
    """Where this machine works on the experiment."""
    if mirror:
        return mirror.folder
    return request.out if isinstance(request.out, Path) else Path("reports") / experiment.name


def _check_not_foreign(folder: Path) -> None:
    """Raises ConfigError where a report lies that no `harness run` has written."""
    theirs = [folder / name for name in ("report.md", "report.html") if (folder / name).exists()]
    if theirs and not any((place / RECORD).exists() for place in (folder, folder / "runs")):
        raise ConfigError(
            f"{theirs[0]} is there and no experiment's ({folder / RECORD} is missing), and would be replaced: name "
            "another folder with --out, or move it away."
        )


def _stand_ins(experiment: Experiment, cache: Path, console: Console) -> Path:
    with console.status("Drawing stand-ins") as status:
        return draw_stand_ins(experiment, cache, lambda name: status.update(f"Drawing {name}"))


def _say_what_is_replaced(before: dict[str, Any], planned: Plan, folder: Path, console: Console) -> None:
    """One experiment's folder holds one report: say so when it was about other runs."""
    others = set(before.get("runs", ())) - {run.run_id for run in planned.runs}
    if others:
        console.print(
            f"Note: the report in {folder} will be about these runs only; {len(others)} runs of other settings "
            "leave it and stay in runs/. Use --out to keep both reports.",
            highlight=False,
            soft_wrap=True,
        )


def _prepare(planned: Plan, request: Request, display: Display) -> None:
    for need in planned.pools:
        ensure_pool(
            need.dataset,
            need.source,
            need.split,
            need.images,
            data_dir=request.data_dir,
            cache=request.cache,
            progress=display.pool,
        )
        note_use(request.cache, need.key, planned.experiment.name)


def _measure_after(planned: Plan, stage: Stage) -> None:
    """What the experiment asks for of its finished runs: distances between sources, comparisons of trainings.

    Says why some are missing.
    """
    for reason in (
        *distance_stage.measure_missing(
            planned, stage.workspace, lambda it: stage.say(f"measuring distances, {it}")
        ),
        *across_stage.measure_missing(
            planned, stage.workspace, lambda it: stage.say(f"comparing trainings, {it}")
        ),
    ):
        stage.say(reason)


def _remove(planned: Plan, before: dict[str, Any], stage: Stage, search: RecordedSearch | None) -> None:
    """Delete the plan's own runs, what was compared of them or `before`, and all runs that share a training with them.

    The latter because a run takes over the checkpoint of whichever run has its training. search: that of `before`,
    whose later trials may follow from scores and so be in no plan; its trials and their results go, too.
    """
    workspace = stage.workspace
    own, trainings = ({getattr(run, key) for run in planned.runs} for key in ("run_id", "training_id"))
    if search is not None:
        own |= {*search.trial_runs, *before.get("runs", ())}
        trainings |= {workspace.folder(run_id).spec().get("training_id") for run_id in own} - {None}
    removed = [
        folder.path
        for folder in run_folders(workspace.runs)
        if folder.path.name in own or folder.spec().get("training_id") in trainings
    ]
    tables = {name for name, _ in across_stage.across_files(planned)}
    tables |= {name for name in before.get("across", ()) if Path(name).name == name}
    if stage.mirror:
        stage.mirror.delete((path.name for path in removed), sorted(tables))
    for path in removed:
        with explained(path):
            shutil.rmtree(path)
    for name in tables:
        with explained(workspace.runs / name):
            (workspace.runs / name).unlink(missing_ok=True)


def _failures(outcomes: Sequence[Outcome], workspace: Workspace) -> int:
    """Say which runs failed and why: 0 for none, 2 when only the user's mistakes failed them, else 1."""
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    if not failed:
        return 0
    others = "; the others are in the report" if len(failed) < len(outcomes) else ""
    lines = [f"{len(failed)} of {len(outcomes)} runs failed{others}."]
    for outcome in failed:
        lines.append(f"  {outcome.run_id}: {outcome.error}")
        if not outcome.mistake:
            lines.append(f"    traceback: {workspace.folder(outcome.run_id).path / 'status.json'}")
    lines.append("Mend the cause and run the same command again; finished runs are kept.")
    print("\n".join(lines), file=sys.stderr)
    return 2 if all(outcome.mistake for outcome in failed) else 1
