"""`harness show RUN` for a run on control tasks: what it was, how it learned, its best and its worst tasks."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.control.finished_runs import read_control_run, told_apart
from harness.control.paths import load_paths
from harness.control.pictures import FRAMES, frames_of
from harness.control.report.figures import draw_paths, draw_tasks
from harness.control.report.pictures import RETURNS
from harness.control.task_rows import CURVE, TASK_COLUMNS
from harness.control.task_statistics import CELL, summary
from harness.cost import duration
from harness.errors import ConfigError, WorkspaceError, did_you_mean, named_choices
from harness.files import make_folder, write_aside, write_text
from harness.report.album import slug
from harness.report.curve_figure import draw_curves
from harness.report.settings import component_words, in_words, parameter_words
from harness.report.style import styles
from harness.standing import standing
from harness.store import RunFolder, read_curves

EXTREMES = 3
"""Best tasks that are listed, and worst ones."""


def show_control(folder: RunFolder, source: str | None, out: Path | None, console: Console) -> None:
    """Print what the run was and measured, and write its pictures and a table of its tasks.

    source: whose tasks are listed, None for the first that it was tested on. out: where pictures go, None for
    show/<run id>. Raises WorkspaceError for a run that is damaged, ConfigError for a source it was not tested on.
    """
    _say_what_it_is(folder, console)
    if not folder.is_done:
        why = standing(folder).error or folder.state or "never started"
        console.print(f"It is not finished ({why}): there are no test tasks to show.", highlight=False)
        return
    run, missing = read_control_run(folder)
    if run is None:
        raise WorkspaceError(
            f"{folder.path} cannot be shown: {missing[0].reason}. `harness run` measures it again."
        )
    tasks = told_apart(run.episodes)
    names = list(dict.fromkeys(map(str, tasks["source"])))
    if source is not None and source not in names:
        raise ConfigError(
            f"The run was not tested on {source!r}.{did_you_mean(source, names)} It was tested on "
            f"{named_choices(names)}."
        )
    name = source or names[0]
    own = tasks[tasks["source"] == name].sort_values(
        ["return_after", "episode"], ascending=[False, True], kind="stable"
    )
    console.print(_returns(tasks))
    console.print(_extremes(own, name))
    place = make_folder(out or Path("show") / run.run_id)
    content = own[list(TASK_COLUMNS)].to_csv(index=False, float_format="%.6g", lineterminator="\n")
    write_text(place / f"{_file_of(name)}.csv", content)
    for problem in _draw(folder, tasks, name, place):
        console.print(f"Not drawn: {problem}.", highlight=False, soft_wrap=True, markup=False)
    console.print(f"Pictures and tables: {place}", highlight=False, soft_wrap=True)


def _say_what_it_is(folder: RunFolder, console: Console) -> None:
    spec, status = folder.spec(), folder.status()
    train = _part(spec, "train")
    seconds = status.get("training_seconds")
    updates = f"{in_words(train.get('iterations'))} updates of {in_words(train.get('meta_batch'))} tasks"
    layers = status.get("adapted_layers")
    lines = {
        "run": spec.get("run_id", folder.path.name),
        "folder": str(folder.path),
        "state": status.get("state", "never started"),
        "method": component_words(_part(spec, "method")),
        "adapts": (", ".join(map(str, layers)) or "nothing") if isinstance(layers, list) else "",
        "network": component_words(_part(spec, "network")),
        "trained on": f"{component_words(_part(train, 'source'))}, {updates}",
        "sampling": parameter_words({"params": _part(train, "sampling")}),
        "outer step": component_words(_part(train, "outer")),
        "training": duration(seconds) if isinstance(seconds, int | float) else "",
        "error": status.get("error", ""),
    }
    for name, text in lines.items():
        if text:
            console.print(f"{name:>11}: {text}", highlight=False, soft_wrap=True, markup=False)


def _part(spec: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A JSON object of a spec; an empty one where the spec is damaged, so that what is left of it can be shown."""
    found = spec.get(key)
    return found if isinstance(found, dict) else {}


def _returns(tasks: pd.DataFrame) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, title="Test tasks, returns", title_justify="left", padding=(0, 1, 0, 0)
    )
    for column in ("source", "split", "horizon", "before", "after", "gain", "best", "worst", "tasks"):
        table.add_column(column, justify="left" if column in ("source", "split") else "right")
    after = {key: own["return_after"] for key, own in tasks.groupby(CELL, sort=True)}
    for row in summary(tasks).to_dict("records"):
        values = after[tuple(row[key] for key in CELL)]
        table.add_row(
            *(Text(str(row[key])) for key in ("source", "split", "horizon")),
            *(f"{row[name]:.1f} ± {row[f'{name}_ci95']:.1f}" for name in ("before", "after", "gain")),
            f"{values.max():.1f}",
            f"{values.min():.1f}",
            str(row["n_tasks"]),
        )
    return table


def _extremes(tasks: pd.DataFrame, name: str) -> Table:
    """tasks: of one source, the best after adaptation first."""
    title = Text(f"The best and the worst of {name} after adaptation")
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", padding=(0, 1, 0, 0))
    for column in ("", "number", "task", "before", "after"):
        table.add_column(column, justify="left" if column in ("", "task") else "right")
    few = min(EXTREMES, len(tasks) // 2)
    for kind, rows in (("best", tasks.head(few)), ("worst", tasks.tail(few).iloc[::-1])):
        for row in rows.to_dict("records"):
            values = (f"{row[key]:.1f}" for key in ("return_before", "return_after"))
            table.add_row(kind, str(row["episode"]), Text(str(row["task"])), *values)
    return table


def _file_of(source: str) -> str:
    """`tasks-far`: also of a source of several samplings, whose name says them, a name for a file."""
    return f"tasks-{source}" if re.fullmatch(r"[\w.-]+", source) else f"tasks-{slug(source)}"


def _draw(folder: RunFolder, tasks: pd.DataFrame, name: str, out: Path) -> list[str]:
    """Write the pictures; returns why some could not be drawn."""
    looks = styles([str(tasks["method"].iloc[0])])
    curves, cut = read_curves([folder], CURVE)
    if len(curves):
        draw_curves(str(tasks["trained_on"].iloc[0]), curves, {}, looks, out / "curve.png", RETURNS)
    draw_tasks({name: tasks[tasks["source"] == name]}, looks, out / f"{_file_of(name)}.png")
    problems = [one.reason for one in cut]
    try:
        if (paths := load_paths(folder.path)) is not None:
            first = tasks.head(len(paths.goals))  # of the first evaluation, as the paths are
            returns = list(zip(first["return_before"], first["return_after"], strict=True))
            draw_paths(paths, returns, out / "paths.png")
        if (frames := frames_of(folder.path)) is not None:
            write_aside(out / FRAMES, lambda aside: shutil.copyfile(frames, aside))
    except WorkspaceError as error:
        problems.append(str(error))
    return problems
