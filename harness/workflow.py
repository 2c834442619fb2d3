"""`harness run` and `harness report`, step by step: plan, prepare pools, launch, report."""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from harness import across_stage, distance_stage
from harness.attempt import Outcome
from harness.config import load_experiment
from harness.control.experiment import ControlExperiment
from harness.control.recognising import holds_control_runs
from harness.data_needs import check_data_dir
from harness.demo import can_draw, demonstration, draw_stand_ins
from harness.display import Display, say_what_is_unlike
from harness.experiment import Experiment
from harness.failed_runs import exit_code
from harness.files import write_json
from harness.interruption import terminable
from harness.launch import check_options
from harness.lease import held
from harness.local_resources import without_effect
from harness.missing_sources import hinted
from harness.obstacles import check_can_run
from harness.plan import Plan, plan
from harness.planned_sources import datasets_of
from harness.pool_status import note_use
from harness.pools import ensure_pool
from harness.provenance import launch_of
from harness.ray_address import check_reachable
from harness.record import CONFIG, RECORD, earlier_runs, read_record, recorded_search, recorded_trials, took
from harness.remarks import remarks
from harness.remote.experiment_mirror import ExperimentMirror
from harness.renewal import delete_runs
from harness.request import Request
from harness.search.planned import PlannedSearch, plan_search
from harness.search.recorded import RecordedSearch, recorded
from harness.search.running import run_trials
from harness.search.trial_experiment import trial_experiment
from harness.stage import Stage
from harness.store import RunFolder
from harness.wording import counted


def run(request: Request, console: Console) -> int:
    """Do everything that `harness run` does; 0, or what `failed_runs.exit_code` says when some run failed.

    Raises HarnessError when the request is wrong or its pools cannot be prepared, before any result is
    touched; KeyboardInterrupt on Ctrl-C and on SIGTERM, when the runs in flight have saved their state.
    """
    check_options(request.backend, request.workers, request.address)
    if request.address:
        check_reachable(request.address)
    mirror = request.mirror()
    check_data_dir(request.data_dir)
    experiment, text = load_experiment(request.config, request.bindings)
    check_can_run(experiment, backend=request.backend, workers=request.workers, address=request.address)
    if isinstance(experiment, ControlExperiment):
        from harness.control.workflow import run_control

        return run_control(experiment, text, request, mirror, console)
    return _run_on_images(experiment, text, request, mirror, console)


def _run_on_images(
    experiment: Experiment, text: str, request: Request, mirror: ExperimentMirror | None, console: Console
) -> int:
    if request.demo:
        experiment, text = demonstration(experiment), f"# Run with --demo: cut short, on stand-ins.\n{text}"
        request = replace(request, data_dir=_stand_ins(experiment, request.cache, console))
    with hinted(request.config, request.bindings, demo=any(map(can_draw, datasets_of(experiment)))):
        planned = plan(experiment, data_dir=request.data_dir, cache=request.cache)
        searched = _searched(planned, request)
    stage = request.stage(experiment.name, text, mirror, console)
    workspace = stage.workspace
    stage.note(without_effect(experiment.resources, request.backend))
    with terminable(), held(workspace.runs, stage.say, url=workspace.url):
        outcomes = _launch_all(planned, searched, stage, request)
        report(workspace.runs.parent, console, even_empty=True)
        stage.push_report()
    return exit_code(outcomes, workspace)


def _launch_all(
    planned: Plan, searched: PlannedSearch | None, stage: Stage, request: Request
) -> list[Outcome]:
    """Prepare pools, launch the trials where there is a search, then the runs; the outcomes that count."""
    began, folder = time.perf_counter(), stage.workspace.runs.parent
    everything = planned if searched is None else searched.of_everything()
    _prepare(everything, request, Display(console=stage.console, n_runs=0))
    if stage.mirror:
        stage.mirror.pull_record()
        stage.pull(everything, finish=not request.fresh, everything=searched is not None)
    before = stage.record_before()
    if request.fresh:
        _delete(everything, before, stage, recorded_search(folder) if searched else None)
    say_what_is_unlike(planned, request.data_dir, stage.console)
    outcomes: list[Outcome] = []
    search = None
    if searched is not None:
        display = Display(console=stage.console, n_runs=0)
        searched, outcomes, chosen = run_trials(
            searched, stage, began, lambda round_: _prepare(round_, request, display)
        )
        planned, search = searched.with_chosen(chosen), recorded(searched, chosen)
        began = time.perf_counter()
    stage.announce(
        planned, f"{counted(len(planned.runs), 'run')}{' with the chosen values' if search else ''}"
    )
    stage.say_what_is_replaced(before, planned.runs)
    measure = partial(_measure_after, planned, stage)
    launched = stage.launch(planned, began=began, search=search, after=measure)
    _remark(planned, launched, stage)
    return outcomes + launched


def _remark(planned: Plan, outcomes: Sequence[Outcome], stage: Stage) -> None:
    """Say what is to be known of the runs that this command has finished."""
    for run, outcome in zip(planned.runs, outcomes, strict=True):
        if outcome.state == "done" and outcome.seconds:
            for sentence in remarks(run, stage.workspace.folder(run.run_id)):
                stage.say(f"Note: {sentence}")


def _searched(planned: Plan, request: Request) -> PlannedSearch | None:
    search = planned.experiment.search
    if search is None:
        return None

    def trial(bindings: Sequence[str]) -> Experiment:
        found = trial_experiment(request.config, request.bindings, bindings)
        return demonstration(found) if request.demo else found

    return plan_search(
        search,
        planned,
        trial,
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
    if holds_control_runs(folder):
        from harness.control.workflow import report_control

        return report_control(folder, console)
    runs = [RunFolder(folder / "runs" / run_id) for run_id in record.get("runs", ())]
    search, verdicts = recorded_search(folder), record.get("verdicts") or {}
    built = build_report(
        folder,
        title=record.get("title") or folder.resolve().name,
        claim=record.get("claim", ""),
        command=record.get("command", ""),
        took=took(record, [*runs, *recorded_trials(folder)]),
        raw_data=record.get("raw_data", ()),
        without=[
            f"{left.get('source', '?')}, {left.get('where', 'of the experiment')}: {left.get('reason', 'not said')}"
            for left in record.get("left_out", ())
        ],
        subsets=record.get("subsets", ()),
        judging=Judging(
            **{key: verdicts[key] for key in ("margin_points", "full_adaptation") if key in verdicts}
        ),
        config=config if config.is_file() else None,
        runs=runs if runs or search else None,
        search=search,
        distances=record.get("distances", ()),
        across=record.get("across", ()),
        launch=launch_of(record),
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


def _stand_ins(experiment: Experiment, cache: Path, console: Console) -> Path:
    with console.status("Drawing stand-ins") as status:
        return draw_stand_ins(experiment, cache, lambda name: status.update(f"Drawing {name}"))


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
            on_wait=lambda key: display.say(
                f"Another command prepares the images of {key} in this cache folder: waiting for it."
            ),
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


def _delete(planned: Plan, before: dict[str, Any], stage: Stage, search: RecordedSearch | None) -> None:
    """Delete the plan's runs, as `renewal.delete_runs` does, and what was compared of them or of the record `before`.

    search: that of `before`, whose later trials may follow from scores and so be in no plan; its trials and their
    results go, too.
    """
    tables = {name for name, _ in across_stage.across_files(planned)}
    tables |= {name for name in before.get("across", ()) if Path(name).name == name}
    others = {*search.trial_runs, *earlier_runs(before)} if search else ()
    delete_runs(planned.runs, stage, others=others, tables=tables)
