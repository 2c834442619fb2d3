"""The report of a control experiment: tables, verdicts, the paper's table and figures, as Markdown and CSV."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.control.paper_table import paper_lines
from harness.control.picture_lines import picture_lines
from harness.control.policy_probe import POLICY_PROBE_COLUMNS
from harness.control.probe_tables import probe_lines
from harness.control.task_rows import TASK_COLUMNS
from harness.control.task_statistics import summary, verdicts
from harness.errors import WorkspaceError
from harness.files import make_folder, write_text
from harness.learner import HEAD
from harness.provenance import changes, launch_of, provenance_rows, read_provenance
from harness.report.markdown import bold, escape, table
from harness.report.settings import Table
from harness.store import RunFolder, read_tables

CONTROLS = ("no_adaptation", "random_body")
"""Methods that show what adaptation, or a trained body, is worth."""


@dataclass(frozen=True, kw_only=True)
class BuiltControlReport:
    """The report's path, and its main table."""

    path: Path
    summary: pd.DataFrame


def build_control_report(
    folder: Path, record: dict[str, Any], runs: Sequence[RunFolder], *, took: str
) -> BuiltControlReport:
    """Write report.md, returns.csv, verdicts.csv and figures/ from the runs that are done.

    Raises WorkspaceError, and leaves an earlier report as it is, when none is.
    """
    done = [run for run in runs if run.is_done]
    if not done:
        raise WorkspaceError(f"No run in {folder} is done yet: `harness run` carries on with them.")
    frame, left_out = read_tables([run.episodes for run in done], TASK_COLUMNS)
    probed = [run.probes for run in done if run.probes.exists()]
    probes, damaged = read_tables(probed, POLICY_PROBE_COLUMNS)
    found = summary(frame)
    margin, kinds = float(record.get("margin_return", 1.0)), _kinds(done)
    judged, others = (verdicts(frame, _pairs(kinds, kind), margin=margin) for kind in ("less", "other"))
    make_folder(folder / "figures")
    reasons = [f"{left.run_id}: {left.reason}" for left in (*left_out, *damaged)] + [
        f"{run.path.name}: {run.state or 'not begun'}" for run in runs if run not in done
    ]
    lines = [
        f"# {escape(str(record.get('title') or folder.name))}",
        "",
        f"> {bold('Claim under test:')} {escape(str(record.get('claim', '')))}"
        if record.get("claim")
        else "",
        "",
        f"`{record.get('command', '')}`{', ' + took if took else ''}.",
        "",
        *_answer(found),
        "",
        "## Returns",
        "",
        *_return_lines(found),
        "",
        "Mean over tasks, each task's a mean over its trajectories, not discounted; ± is the 95 % interval, the "
        "wider of that over seeds and that over tasks. Gain: after less before, task by task.",
        "",
        *_verdict_lines(judged),
        *_difference_lines(others),
        *probe_lines(probes),
        "## Beside the paper",
        "",
        *paper_lines(done, margin),
        "",
        *picture_lines(folder, done),
        *_cost_lines(done),
        *_code_lines(done, record),
        *(["", "## Left out", "", *[f"- {escape(reason)}" for reason in reasons]] if reasons else []),
        "",
    ]
    write_text(folder / "returns.csv", found.to_csv(index=False))
    write_text(folder / "verdicts.csv", judged.to_csv(index=False))
    write_text(folder / "report.md", "\n".join(lines))
    return BuiltControlReport(path=folder / "report.md", summary=found)


def _kinds(done: Sequence[RunFolder]) -> dict[str, str]:
    """Method -> `full` for the one called maml, `less` for what is judged against it, else `other`.

    Judged is what adapts the last layer alone and has trained its body: ANIL. BOIL adapts no less, first-order MAML is
    a variant, and controls say nothing about reuse.
    """
    kinds = {}
    for run in done:
        spec, adapted = run.spec(), run.status().get("adapted_layers")
        name, plugin = str(spec["method_name"]), str(spec["method"]["plugin"])
        judged = adapted == [HEAD] and plugin not in CONTROLS
        kinds[name] = "full" if name == "maml" else "less" if judged else "other"
    return kinds


def _pairs(kinds: Mapping[str, str], kind: str) -> list[tuple[str, str]]:
    """Every method of a kind against the one that adapts everything, where that is there."""
    full = [method for method, its in kinds.items() if its == "full"]
    return [(method, each) for each in full for method, its in kinds.items() if its == kind]


def _answer(found: pd.DataFrame) -> list[str]:
    """What the returns say of adaptation, a sentence a row."""
    lines = []
    for row in found.to_dict("records"):
        clearly = "clearly " if abs(row["gain"]) > row["gain_ci95"] else ""
        word = "better" if row["gain"] > 0 else "worse"
        said = (
            f"{clearly}{word} after adaptation ({row['before']:.1f} to {row['after']:.1f})"
            if row["gain"]
            else f"not changed by adaptation ({row['after']:.1f})"
        )
        lines.append(f"- {escape(row['method'])} on {escape(row['source'])}: {said}.")
    return lines


def _return_lines(found: pd.DataFrame) -> list[str]:
    rows = [
        (
            *(str(row[name]) for name in ("method", "trained_on", "source", "horizon")),
            *(f"{row[name]:.1f} ± {row[f'{name}_ci95']:.1f}" for name in ("before", "after", "gain")),
            *(str(row[name]) for name in ("n_tasks", "n_seeds", "dropped")),
        )
        for row in found.to_dict("records")
    ]
    columns = (
        "method",
        "trained on",
        "source",
        "horizon",
        "before",
        "after",
        "gain",
        "tasks",
        "seeds",
        "dropped",
    )
    return table(Table(columns=columns, rows=tuple(rows))).splitlines()


def _verdict_lines(judged: pd.DataFrame) -> list[str]:
    if not len(judged):
        return []
    rows = [
        (
            f"{row['a']} against {row['b']}",
            *_where(row),
            _difference(row),
            f"{row['margin']:g}",
            str(row["verdict"]),
        )
        for row in judged.to_dict("records")
    ]
    columns = ("pair", "trained on", "source", "difference after adaptation", "margin", "verdict")
    seeds = "" if (judged["n_seeds"] > 1).all() else " One seed: about these trained policies only."
    return [
        *("## Verdicts on feature reuse", ""),
        *table(Table(columns=columns, rows=tuple(rows))).splitlines(),
        *("", f"Paired by task and seed, corrected over the sources of a pair.{seeds}", ""),
    ]


def _difference_lines(others: pd.DataFrame) -> list[str]:
    """Of methods that are not judged on reuse."""
    if not len(others):
        return []
    rows = [(str(row["a"]), *_where(row), _difference(row)) for row in others.to_dict("records")]
    columns = ("method", "trained on", "source", "difference after adaptation")
    return [
        *("## Other methods against MAML", ""),
        *table(Table(columns=columns, rows=tuple(rows))).splitlines(),
        "",
    ]


def _where(row: Mapping[Any, Any]) -> tuple[str, str]:
    return str(row["trained_on"]), str(row["source"])


def _difference(row: Mapping[Any, Any]) -> str:
    return f"{row['difference']:+.1f} ± {row['ci95']:.1f}"


def _code_lines(done: Sequence[RunFolder], record: Mapping[str, Any]) -> list[str]:
    """By which code the runs were made, and where it did not stay the same."""
    recorded, launch = {run.path.name: read_provenance(run) for run in done}, launch_of(record)
    rows = tuple(provenance_rows(recorded.values(), launch))
    said = [line for sentence in changes(recorded, launch.plugins) for line in (bold(sentence), "")]
    return [
        "",
        "## Made with",
        "",
        *said,
        *table(Table(columns=("What", "Recorded"), rows=rows)).splitlines(),
    ]


def _cost_lines(done: Sequence[RunFolder]) -> list[str]:
    rows = []
    for run in done:
        status = run.status()
        training, testing = (float(status.get(key, 0)) for key in ("training_seconds", "evaluation_seconds"))
        steps = int(status.get("simulated_steps", 0))
        seconds = (f"{training:.0f} s", f"{testing:.0f} s")
        rate = f"{steps / max(training + testing, 1e-9):,.0f}"
        counts = (str(status.get("iterations")), *seconds, f"{steps:,}", rate)
        rows.append((run.path.name, *counts, str(status.get("dropped_trajectories"))))
    columns = (
        "run",
        "updates",
        "training",
        "evaluation",
        "steps simulated",
        "a second",
        "trajectories dropped",
    )
    lines = table(Table(columns=columns, rows=tuple(rows))).splitlines()
    return ["## Cost", "", *lines, "", "Steps a second are of whole runs, updates included."]
