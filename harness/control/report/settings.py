"""What was trained and tested, and what it cost: tables of a control experiment's report."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.control.report.view import Chapter
from harness.report.blocks import Block, Section
from harness.report.gather import FinishedRun
from harness.report.settings import DASH, Table, component_words, distinct_rows, in_words, parameter_words


def settings_chapter(runs: Sequence[FinishedRun]) -> Chapter:
    """Regimes, methods, networks, tests."""
    regimes = ("Trained on", "Tasks", "Updates", "Trajectories", "Outer step")
    methods = ("Method", "Settings", "Adapts")
    tests = ("Tested on", "Split", "Tasks", "Trajectories", "Protocol version")
    tables = (
        ("Regimes", distinct_rows(regimes, runs, _regime)),
        ("Methods", distinct_rows(methods, runs, _method)),
        ("Networks", distinct_rows(("Network", "Settings"), runs, _network)),
        ("Tests", Table(columns=tests, rows=_tests(runs))),
        ("Seeds", Table(columns=("Method", "Trained on", "Seeds"), rows=_seeds(runs))),
    )
    blocks = tuple(Block(title=title, table=table) for title, table in tables)
    return Chapter(
        anchor="trained", title="What was trained", sections=(Section(title="", note="", blocks=blocks),)
    )


def _regime(run: FinishedRun) -> tuple[str, ...]:
    train = run.spec["train"]
    return (
        run.trained_on,
        component_words(train["source"]),
        f"{in_words(train.get('iterations'))} of {in_words(train.get('meta_batch'))} tasks",
        parameter_words({"params": train["sampling"]}),
        component_words(train["outer"]),
    )


def _method(run: FinishedRun) -> tuple[str, ...]:
    layers = run.status.get("adapted_layers")
    adapts = ", ".join(map(str, layers)) if isinstance(layers, list) else ""
    return run.method, parameter_words(run.spec["method"]) or DASH, adapts or "nothing"


def _network(run: FinishedRun) -> tuple[str, ...]:
    network = run.spec["network"]
    return in_words(network.get("plugin")), parameter_words(network) or DASH


def _tests(runs: Sequence[FinishedRun]) -> tuple[tuple[str, ...], ...]:
    rows: dict[tuple[str, ...], None] = {}
    for run in runs:
        for one in run.spec["evaluations"]:
            row = (
                component_words(one["source"]),
                in_words(one.get("split")),
                in_words(one["n_tasks"]),
                parameter_words({"params": one["sampling"]}),
                in_words(run.spec.get("protocol_version")),
            )
            rows[row] = None
    return tuple(rows)


def _seeds(runs: Sequence[FinishedRun]) -> tuple[tuple[str, ...], ...]:
    seeds: dict[tuple[str, str], list[int]] = {}
    for run in runs:
        seeds.setdefault((run.method, run.trained_on), []).append(run.seed)
    return tuple((*key, ", ".join(map(str, sorted(own)))) for key, own in seeds.items())


def cost_chapter(runs: Sequence[FinishedRun], took: str) -> Chapter:
    """What each run took."""
    whole = f" The whole experiment took {took}." if took else ""
    note = f"Steps a second are of whole runs, updates included; they hold for the machine below only.{whole}"
    columns = (
        *("Run", "Updates", "Training, s", "Evaluation, s", "Steps simulated", "Steps/s", "Peak memory, MB"),
        "Trajectories dropped",
    )
    table = Table(columns=columns, rows=tuple(_cost(run) for run in runs))
    return Chapter(
        anchor="cost", title="Cost", sections=(Section(title="", note=note, blocks=(Block(table=table),)),)
    )


def _cost(run: FinishedRun) -> tuple[str, ...]:
    status: Mapping[str, Any] = run.status
    training, testing, steps = (
        _number(status.get(key)) for key in ("training_seconds", "evaluation_seconds", "simulated_steps")
    )
    seconds = (training or 0) + (testing or 0)
    return (
        run.run_id,
        in_words(status.get("iterations", DASH)),
        DASH if training is None else f"{training:.0f}",
        DASH if testing is None else f"{testing:.0f}",
        DASH if steps is None else f"{steps:,.0f}",
        DASH if not steps or not seconds else f"{steps / seconds:,.0f}",
        in_words(status.get("peak_memory_mb", DASH)),
        in_words(status.get("dropped_trajectories", DASH)),
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
