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
    table = summary(frame)
    margin, kinds = float(record.get("margin_return", 1.0)), _kinds(done)
    judged, others = (verdicts(frame, _pairs(kinds, kind), margin=margin) for kind in ("less", "other"))
    make_folder(folder / "figures")
    pictures = picture_lines(folder, done)
    reasons = [f"{left.run_id}: {left.reason}" for left in (*left_out, *damaged)]
    reasons += [f"{run.path.name}: {run.state or 'not begun'}" for run in runs if run not in done]
    lines = [
        f"# {record.get('title') or folder.name}",
        "",
        str(record.get("claim", "")),
        "",
        f"`{record.get('command', '')}`{', ' + took if took else ''}.",
        "",
        *_answer(table),
        "",
        "## Returns",
        "",
        *_return_lines(table),
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
        *pictures,
        *_cost_lines(done),
        *(["", "## Left out", "", *[f"- {reason}" for reason in reasons]] if reasons else []),
        "",
    ]
    write_text(folder / "returns.csv", table.to_csv(index=False))
    write_text(folder / "verdicts.csv", judged.to_csv(index=False))
    write_text(folder / "report.md", "\n".join(lines))
    return BuiltControlReport(path=folder / "report.md", summary=table)


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


def _answer(table: pd.DataFrame) -> list[str]:
    """What the returns say of adaptation, a sentence a row."""
    lines = []
    for row in table.to_dict("records"):
        clearly = "clearly " if abs(row["gain"]) > row["gain_ci95"] else ""
        word = "better" if row["gain"] > 0 else "worse"
        said = (
            f"{clearly}{word} after adaptation ({row['before']:.1f} to {row['after']:.1f})"
            if row["gain"]
            else f"not changed by adaptation ({row['after']:.1f})"
        )
        lines.append(f"- {row['method']} on {row['source']}: {said}.")
    return lines


def _return_lines(table: pd.DataFrame) -> list[str]:
    lines = [
        "| method | trained on | source | horizon | before | after | gain | tasks | seeds | dropped |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in table.to_dict("records"):
        numbers = " | ".join(
            f"{row[name]:.1f} ± {row[f'{name}_ci95']:.1f}" for name in ("before", "after", "gain")
        )
        lines.append(
            f"| {row['method']} | {row['trained_on']} | {row['source']} | {row['horizon']} | {numbers} | "
            f"{row['n_tasks']} | {row['n_seeds']} | {row['dropped']} |"
        )
    return lines


def _verdict_lines(judged: pd.DataFrame) -> list[str]:
    if not len(judged):
        return []
    lines = [
        "## Verdicts on feature reuse",
        "",
        "| pair | trained on | source | difference after adaptation | margin | verdict |",
        "| --- | --- | --- | ---: | ---: | --- |",
    ]
    for row in judged.to_dict("records"):
        lines.append(
            f"| {row['a']} against {row['b']} | {row['trained_on']} | {row['source']} | "
            f"{row['difference']:+.1f} ± {row['ci95']:.1f} | {row['margin']:g} | {row['verdict']} |"
        )
    seeds = "" if (judged["n_seeds"] > 1).all() else " One seed: about these trained policies only."
    return [*lines, "", f"Paired by task and seed, corrected over the sources of a pair.{seeds}", ""]


def _difference_lines(others: pd.DataFrame) -> list[str]:
    """Of methods that are not judged on reuse."""
    if not len(others):
        return []
    lines = [
        "## Other methods against MAML",
        "",
        "| method | trained on | source | difference after adaptation |",
        "| --- | --- | --- | ---: |",
    ]
    lines += [
        f"| {row['a']} | {row['trained_on']} | {row['source']} | {row['difference']:+.1f} ± {row['ci95']:.1f} |"
        for row in others.to_dict("records")
    ]
    return [*lines, ""]


def _cost_lines(done: Sequence[RunFolder]) -> list[str]:
    lines = [
        "## Cost",
        "",
        "| run | updates | training | evaluation | steps simulated | a second | trajectories dropped |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for run in done:
        status = run.status()
        training, testing = (float(status.get(key, 0)) for key in ("training_seconds", "evaluation_seconds"))
        steps = int(status.get("simulated_steps", 0))
        lines.append(
            f"| {run.path.name} | {status.get('iterations')} | {training:.0f} s | {testing:.0f} s | {steps:,} | "
            f"{steps / max(training + testing, 1e-9):,.0f} | {status.get('dropped_trajectories')} |"
        )
    return [*lines, "", "Steps a second are of whole runs, updates included."]
