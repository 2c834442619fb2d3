"""What the runs were, from their specs and status files: tables as rows of text. Every key may be missing."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import fmean
from typing import Any

from pandas import isna

from harness.episode import VariableShape
from harness.errors import ConfigError
from harness.provenance import Launch, provenance_rows, read_provenance
from harness.report.gather import FinishedRun
from harness.report.panels import natural
from harness.spec import OWN_STEPS

DASH = "\N{EN DASH}"

OF_A_RUN = {
    "batch_norm": "Batch norm",
    "selection": "Checkpoint",
    "adaptation_steps": "Steps or rounds of adaptation at test",
    "image_size": "Image size",
    "precision": "Convolutions in",
    "protocol": "Episodes",
    "protocol_version": "Protocol version",
}
OF_DATA = {
    "source": "Tested on",
    "split": "Split",
    "max_images_per_class": "Images a class at most",
    "fingerprint": "Fingerprint of the data",
}
"""Columns of results.CONDITIONS and what they are called here."""


NO_UPDATES = "none"
"""In place of how many there are, of a method that is not trained."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A heading row and rows of plain text. Raises ValueError for a row with another number of cells."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        wrong = [row for row in self.rows if len(row) != len(self.columns)]
        if wrong:
            raise ValueError(f"a row of {self.columns} has {len(wrong[0])} cells: {wrong[0]}")


def regimes(runs: Sequence[FinishedRun]) -> Table:
    """What each regime trained on, and for how long."""
    columns = ("Trained on", "Sources", "Episodes", "Updates", "Outer step", "Validation")
    return distinct_rows(columns, runs, lambda run: (run.trained_on, *_regime(run)))


def methods(runs: Sequence[FinishedRun]) -> Table:
    """Each method's settings, and those of the method that trained its learner where that is another."""
    return distinct_rows(("Method", "Settings", "Trained by"), runs, _method)


def networks(runs: Sequence[FinishedRun]) -> Table:
    """The network and the images it saw."""
    return distinct_rows(("Network", "Settings", "Images", "Rows of the head"), runs, _network)


def conditions(runs: Sequence[FinishedRun]) -> Table:
    """Everything beside the method and the data that changes a number."""
    seen: dict[tuple[str, ...], set[int]] = {}
    shared = any(_shares(run) != "1" for run in runs)  # seldom, and then it changes the order of sums
    for run in runs:
        for found in run.episodes[list(OF_A_RUN)].drop_duplicates().itertuples(index=False):
            row = (run.method, run.trained_on, *map(str, found), *([_shares(run)] if shared else []))
            seen.setdefault(row, set()).add(run.seed)
    rows = ((*row, ", ".join(str(seed) for seed in sorted(seeds))) for row, seeds in seen.items())
    return Table(
        columns=(
            "Method",
            "Trained on",
            *OF_A_RUN.values(),
            *(["Shares of a meta-batch"] if shared else []),
            "Seeds",
        ),
        rows=tuple(sorted(rows, key=lambda row: [natural(row[place]) for place in (1, 0, 2, 3, 4, 6)])),
    )


def _shares(run: FinishedRun) -> str:
    compute = run.spec.get("compute")
    return str(compute.get("training_workers", 1)) if isinstance(compute, dict) else "1"


def data(runs: Sequence[FinishedRun]) -> Table:
    """What the test episodes were drawn from: two rows of a source are of different data."""
    rows = {
        (str(source), str(split), DASH if isna(limit) else str(limit), str(fingerprint))
        for run in runs
        for source, split, limit, fingerprint in run.episodes[list(OF_DATA)]
        .drop_duplicates()
        .itertuples(index=False)
    }
    return Table(columns=tuple(OF_DATA.values()), rows=tuple(sorted(rows)))


def costs(runs: Sequence[FinishedRun]) -> Table:
    """What training and testing took: means over the runs of a method and regime."""
    columns = (
        "Method",
        "Trained on",
        "Training, s",
        "Training episodes/s",
        "Waiting for episodes, %",
        "Evaluation, s",
        "Test episodes/s",
        "Peak memory, MB",
        "Checkpoint of update",
    )
    groups: dict[tuple[str, str], list[FinishedRun]] = {}
    for run in runs:
        groups.setdefault((run.method, run.trained_on), []).append(run)
    rows = tuple((*key, *_cost(group)) for key, group in groups.items())
    return Table(columns=columns, rows=rows)


def shared_trainings(runs: Sequence[FinishedRun]) -> list[tuple[str, tuple[str, ...]]]:
    """(regime, methods) for every set of methods that were tested on one and the same training."""
    groups: dict[str, list[FinishedRun]] = {}
    for run in runs:
        if identity := run.spec.get("training_id"):
            groups.setdefault(str(identity), []).append(run)
    found = {(group[0].trained_on, tuple(sorted({run.method for run in group}))) for group in groups.values()}
    return sorted((regime, names) for regime, names in found if len(names) > 1)


def environment(runs: Sequence[FinishedRun], launch: Launch) -> Table:
    """What the runs recorded about where they ran, and by which code; several values where the runs differ."""
    values: dict[str, set[str]] = {}
    for run in runs:
        recorded = run.status.get("environment")
        for key, value in recorded.items() if isinstance(recorded, dict) else ():
            values.setdefault(str(key), set()).add(str(value))
    rows = [(key, " / ".join(sorted(values[key]))) for key in sorted(values)]
    if rows:
        rows += provenance_rows(provenances(runs).values(), launch)
    return Table(columns=("What", "Recorded"), rows=tuple(rows))


def provenances(runs: Sequence[FinishedRun]) -> dict[str, list[dict[str, Any]]]:
    """Run -> what it recorded of the code that it was made with, as in provenance.json."""
    return {run.run_id: read_provenance(run.folder) if run.folder else [] for run in runs}


def _regime(run: FinishedRun) -> tuple[str, ...]:
    train = run.spec.get("train", {})
    sources = ", ".join(component_words(source) for source in train.get("sources", [])) or DASH
    schedule = train.get("schedule", DASH)
    step = f"Adam, learning rate {in_words(train.get('learning_rate'))}, {schedule}"
    if schedule == OWN_STEPS:
        step = f"{OWN_STEPS}, see its settings"
    if train.get("gradient_clip") is not None:
        step += f", gradient clipped to {in_words(train['gradient_clip'])}"
    shape, updates = _updates(run)
    if updates == NO_UPDATES:
        step = DASH
    if train.get("augmentation"):
        updates += f", augmented ({_said_pairs(train['augmentation'])})"
    if not train.get("validation_sources"):
        return sources, shape, updates, step, DASH
    validation = (
        f"every {in_words(train.get('validate_every'))} updates on {in_words(train.get('validation_episodes'))} "
        f"episodes of each of {', '.join(source['name'] for source in train['validation_sources'])}"
    )
    if train.get("validation_shape") not in (None, train.get("shape")):
        validation += f", {_shape(train['validation_shape'])}"
    return sources, shape, updates, step, validation


def _updates(run: FinishedRun) -> tuple[str, str]:
    """What an update learns from, and how many there are."""
    train = run.spec.get("train", {})
    iterations, learns_from = in_words(train.get("iterations")), train.get("learns_from", "episodes")
    if learns_from == "nothing":
        return DASH, NO_UPDATES
    if learns_from == "batches":
        batch = run.spec.get("trainer", {}).get("params", {}).get("batch_size")
        return "images of all classes", f"{iterations} of {in_words(batch)} images"
    return _shape(train.get("shape", {})), f"{iterations} of {in_words(train.get('meta_batch'))} episodes"


def _said_pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{key} {in_words(value)}" for key, value in values.items())


def _shape(shape: dict[str, Any]) -> str:
    if "min_way" in shape:
        drawn = drawn_shape(shape)
        return str(drawn) if drawn else _said_pairs(shape)
    ways, shots, queries = (in_words(shape.get(key)) for key in ("n_way", "n_shot", "n_query"))
    return f"{ways}-way {shots}-shot, {queries} queries a class"


def drawn_shape(shape: Mapping[str, Any]) -> VariableShape | None:
    """What a spec says of episodes of varying size; None where that is impossible, as in a file that was edited."""
    known = {field.name for field in fields(VariableShape)}
    try:
        return VariableShape(**{key: value for key, value in shape.items() if key in known})
    except ConfigError:
        return None


def _method(run: FinishedRun) -> tuple[str, ...]:
    method, trainer = run.spec.get("method", {}), run.spec.get("trainer", {})
    own = {**method, "params": {k: v for k, v in method.get("params", {}).items() if k != "trainer"}}
    same = not trainer or trainer == method
    return run.method, parameter_words(own) or DASH, "itself" if same else component_words(trainer)


def _network(run: FinishedRun) -> tuple[str, ...]:
    network, images = run.spec.get("network", {}), run.spec.get("images", {})
    size, channels = in_words(images.get("size")), in_words(images.get("channels"))
    scaling = {"unit": "[0, 1]", "signed": "[-1, 1]", "source": "mean 0, deviation 1"}.get(
        images.get("scaling", ""), DASH
    )
    word = "channel" if channels == "1" else "channels"
    picture = f"{size} by {size} pixels, {channels} {word}, scaled to {scaling}"
    return (
        in_words(network.get("plugin")),
        parameter_words(network) or DASH,
        picture,
        in_words(run.spec.get("max_way")),
    )


def component_words(value: Mapping[str, Any]) -> str:
    """`anil (inner_lr 0.4, inner_steps 1)`; a source's component sits one level down."""
    inner = value.get("component", value)
    name = value.get("name") or _params(inner).get("name") or inner.get("plugin")
    parameters = parameter_words(inner)
    return f"{in_words(name)} ({parameters})" if parameters else in_words(name)


def parameter_words(component: Mapping[str, Any]) -> str:
    """The parameters of a component but its name: `inner_lr 0.4, inner_steps 1`."""
    given = {key: value for key, value in _params(component).items() if key != "name"}
    return ", ".join(f"{key} {in_words(value)}" for key, value in sorted(given.items()))


def flat_words(params: Mapping[str, Any]) -> str:
    """Parameters as `filters 64 128, padding 1`: a comma stands between two of them only, see `unshared`."""
    return ", ".join(f"{key} {in_words(params[key]).replace(', ', ' ')}" for key in sorted(params))


def _params(component: Mapping[str, Any]) -> Mapping[str, Any]:
    found = component.get("params")
    return found if isinstance(found, Mapping) else {}


def in_words(value: Any) -> str:
    """A value of a spec as text."""
    if isinstance(value, dict):
        return component_words(value) if "plugin" in value else f"({parameter_words({'params': value})})"
    if isinstance(value, list):
        return ", ".join(in_words(item) for item in value)
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f") if abs(value) >= 10_000 else str(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cost(group: list[FinishedRun]) -> tuple[str, ...]:
    training = _mean(run.status.get("training_seconds") for run in group)
    drawn = _mean(_episodes_drawn(run) for run in group)
    waiting = _mean(run.status.get("waiting_seconds") for run in group)
    measured = _mean(float(run.episodes["seconds"].sum()) for run in group)
    tested = _mean(float(len(run.episodes)) for run in group)
    selected = sorted({run.status.get("selected_iteration") for run in group} - {None}, key=str)
    return (
        _rounded(training),
        _rounded(drawn / training if drawn and training else None),
        DASH if waiting is None or not training else f"{100 * waiting / training:.1f}",
        _rounded(_mean(run.status.get("evaluation_seconds") for run in group)),
        _rounded(tested / measured if tested and measured else None),
        _rounded(_mean(run.status.get("peak_memory_mb") for run in group)),
        ", ".join(in_words(value) for value in selected) or DASH,
    )


def _episodes_drawn(run: FinishedRun) -> float | None:
    train = run.spec.get("train", {})
    if train.get("learns_from", "episodes") != "episodes":
        return None
    iterations = run.status.get("iterations", train.get("iterations"))
    batch = train.get("meta_batch")
    return float(iterations * batch) if iterations is not None and batch is not None else None


def _mean(values: Iterable[Any]) -> float | None:
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    return fmean(numbers) if numbers else None


def _rounded(value: float | None) -> str:
    if value is None:
        return DASH
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def unshared(texts: Sequence[str]) -> list[list[str]]:
    """Of each of several `discount 0.9, trajectories 20` the parts that not all of them have."""
    parts = [text.split(", ") for text in texts]
    shared = set(parts[0]).intersection(*parts[1:]) if parts else set()
    return [[part for part in own if part not in shared] for own in parts]


def distinct_rows(
    columns: tuple[str, ...], runs: Sequence[FinishedRun], row: Callable[[FinishedRun], tuple[str, ...]]
) -> Table:
    """A row for each different `row` of the runs, in natural order."""
    return Table(
        columns=columns,
        rows=tuple(sorted({row(run) for run in runs}, key=lambda cells: [natural(c) for c in cells])),
    )
