"""`harness show RUN`: what a run was, how it learned, what it confuses, its best and worst episodes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.control.recognising import holds_control_runs
from harness.cost import duration
from harness.episode import EpisodeShape
from harness.errors import ConfigError, WorkspaceError, did_you_mean, named_choices
from harness.files import make_folder, write_text
from harness.report.curve_figure import draw_curves
from harness.report.gather import read_run
from harness.report.style import styles
from harness.showing.answers import Answer, answers, confusions
from harness.showing.episode_picture import draw_episodes
from harness.showing.finding import find_run
from harness.spec import EvaluationSpec, RunSpec
from harness.spec_reading import read_spec
from harness.standing import standing
from harness.statistics import with_shots
from harness.store import RunFolder, Workspace, read_curves

EXTREMES = 2
"""Best episodes in the picture, and worst ones."""

MOST_PAIRS = 10


@dataclass(frozen=True, kw_only=True)
class ShowRequest:
    """What the command line asks for, see `harness show --help`."""

    run: str
    below: Path
    cache: Path
    out: Path | None = None
    source: str | None = None
    episodes: int = 100


def show(request: ShowRequest, console: Console) -> None:
    """Print what the run was and measured, and write its pictures and confusions.

    Raises WorkspaceError for a run that is not there or damaged, ConfigError for a source it was not tested on,
    DataError where the pool of the source is gone.
    """
    folder = find_run(request.run, request.below)
    if holds_control_runs(folder.path):
        from harness.control.showing import show_control

        show_control(folder, request.source, request.out, console)
        return
    spec = read_spec(folder.spec(), str(folder.path / "spec.json"))
    _say_what_it_is(spec, folder, console)
    if not folder.is_done:
        stands = standing(folder)
        why = stands.error or folder.state or "never started"
        console.print(f"It is not finished ({why}): there are no test episodes to show.", highlight=False)
        return
    run, missing = read_run(folder)
    if run is None:
        raise WorkspaceError(
            f"{folder.path} cannot be shown: {missing[0].reason}. `harness run` measures it again."
        )
    rows = run.episodes
    console.print(_accuracies(rows))
    evaluation = _evaluation(spec, request.source)
    out = make_folder(request.out or Path("show") / spec.run_id)
    _draw_curve(spec, folder, out)
    _show_answers(request, spec, folder, evaluation, rows, out, console)
    console.print(f"Pictures and tables: {out}", highlight=False, soft_wrap=True)


def _say_what_it_is(spec: RunSpec, folder: RunFolder, console: Console) -> None:
    status = folder.status()
    chosen, seconds = status.get("selected_iteration"), status.get("training_seconds")
    lines = {
        "run": spec.run_id,
        "folder": str(folder.path),
        "state": status.get("state", "never started"),
        "method": _said(spec.method.plugin, spec.method.params),
        "network": _said(spec.network.plugin, spec.network.params),
        "trained on": f"{spec.trained_on}, {spec.train.iterations} updates",
        "checkpoint": "" if chosen is None else f"update {chosen} ({spec.selection})",
        "training": "" if seconds is None else duration(seconds),
        "error": status.get("error", ""),
    }
    for name, text in lines.items():
        if text:
            console.print(f"{name:>11}: {text}", highlight=False, soft_wrap=True, markup=False)


def _said(plugin: str, params: Mapping[str, Any]) -> str:
    given = ", ".join(
        f"{key} {getattr(value, 'plugin', value)}" for key, value in params.items() if key != "name"
    )
    return f"{params.get('name', plugin)} ({given})" if given else plugin


def _accuracies(rows: pd.DataFrame) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="Test episodes", title_justify="left", padding=(0, 1, 0, 0))
    of_text = ("source", "split", "protocol") if rows["protocol"].nunique() > 1 else ("source", "split")
    for column in (*of_text, "ways", "shots", "accuracy, %", "best", "worst", "episodes"):
        table.add_column(column, justify="left" if column in of_text else "right")
    keys = [*of_text, "n_way", "shots"]  # the last two empty where they vary
    for values, own in with_shots(rows).groupby(keys, observed=True, dropna=False):
        accuracy = 100 * own["accuracy"].astype("float64")
        table.add_row(
            *(Text(_shown(value)) for value in values),
            *(f"{number:.1f}" for number in (accuracy.mean(), accuracy.max(), accuracy.min())),
            str(len(own)),
        )
    return table


def _shown(value: Any) -> str:
    if pd.isna(value):
        return "varying"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _evaluation(spec: RunSpec, source: str | None) -> EvaluationSpec:
    """That of the source asked for, or the first."""
    names = [evaluation.source.name for evaluation in spec.evaluations]
    if source is None:
        return spec.evaluations[0]
    if source not in names:
        raise ConfigError(
            f"The run was not tested on {source!r}.{did_you_mean(source, names)} It was tested on "
            f"{named_choices(names)}."
        )
    return spec.evaluations[names.index(source)]


def _draw_curve(spec: RunSpec, folder: RunFolder, out: Path) -> None:
    curves, _ = read_curves([folder])
    if len(curves):
        selected = {spec.run_id: int(folder.status().get("selected_iteration", 0))}
        draw_curves(spec.trained_on, curves, selected, styles([spec.method_name]), out / "curve.png")


def _show_answers(
    request: ShowRequest,
    spec: RunSpec,
    folder: RunFolder,
    evaluation: EvaluationSpec,
    rows: pd.DataFrame,
    out: Path,
    console: Console,
) -> None:
    """The confusions over the first episodes, and the extremes among all of them."""
    workspace = Workspace(runs=folder.path.parent, cache=request.cache)
    name = evaluation.source.name
    own = (
        _of_evaluation(rows, evaluation)
        .drop_duplicates("episode")
        .sort_values(["accuracy", "episode"], kind="stable")
    )
    worst, best = own["episode"].head(EXTREMES).tolist(), own["episode"].tail(EXTREMES).tolist()[::-1]
    numbers = list(range(min(request.episodes, evaluation.n_episodes)))
    found = answers(spec, workspace, evaluation, numbers)
    extremes = answers(spec, workspace, evaluation, [*best, *worst])
    _check(extremes, own)
    table = confusions(found)
    write_text(
        out / f"confusions-{name}.csv", table.to_csv(index=False, float_format="%.4g", lineterminator="\n")
    )
    kinds = ["best"] * len(best) + ["worst"] * len(worst)
    titles = [
        f"{name}, episode {answer.episode.index}, {kind}: {100 * answer.accuracy:.1f} %"
        for kind, answer in zip(kinds, extremes, strict=True)
    ]
    draw_episodes(extremes, titles, out / f"episodes-{name}.png")
    console.print(
        f"Most often confused on {name}, in {len(numbers)} episodes:", highlight=False, markup=False
    )
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("class", "taken for", "times", "of"):
        shown.add_column(column, justify="left" if column in ("class", "taken for") else "right")
    for row in json.loads(table.head(MOST_PAIRS).to_json(orient="records")):
        shown.add_row(Text(row["true"]), Text(row["predicted"]), str(row["times"]), str(row["chances"]))
    console.print(shown)


def _of_evaluation(rows: pd.DataFrame, evaluation: EvaluationSpec) -> pd.DataFrame:
    """A source may be tested on several kinds of episodes, whose numbers are the same."""
    shape = evaluation.shape
    own = (rows["source"] == evaluation.source.name) & (rows["split"] == evaluation.split)
    own &= rows["protocol"] == shape.protocol
    if shape.n_way is not None:
        own &= rows["n_way"] == shape.n_way
    if isinstance(shape, EpisodeShape):
        own &= rows["n_support"] == shape.n_way * shape.n_shot
    return rows[own]


def _check(made_again: list[Answer], rows: pd.DataFrame) -> None:
    """Raise WorkspaceError where an episode gives another accuracy than when the run was evaluated."""
    known = rows.set_index("episode")["accuracy"].to_dict()
    for answer in made_again:
        if abs(answer.accuracy - float(known[answer.episode.index])) > 1.5 / max(len(answer.predicted), 1):
            then = 100 * float(known[answer.episode.index])
            raise WorkspaceError(
                f"Episode {answer.episode.index} gives {100 * answer.accuracy:.1f} % now and gave {then:.1f} % then: "
                "the code or the data have changed since. Run the experiment again with --fresh."
            )
