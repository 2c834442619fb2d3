"""What finished runs measured, sorted by what a paper's cell is of: method, training, source and kind of episodes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd

from harness.episode import FIXED, META_DATASET
from harness.papers.frozen import BODY_FROZEN, with_body_frozen
from harness.report.gather import OWN, FinishedRun
from harness.report.settings import drawn_shape
from harness.spec import digest
from harness.statistics import interval, with_shots

ALL_SOURCES = frozenset(
    ("ilsvrc_2012", "omniglot", "aircraft", "cu_birds", "dtd", "quickdraw", "fungi", "vgg_flower")
)
"""What Meta-Dataset calls training on all sources: the eight that have training classes."""

Place = tuple[str, str, str, int | None, int | None] | tuple[str, str, str, int | None, int | None, str]
"""Method, what it was trained on, source, ways, shots; and the quantity, where it is neither accuracy nor return."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One method after one training, on one source.

    mean, half: in percent, or in the unit of the quantity; half the 95 % interval of the mean, of which episodes count
    and, where there are several, seeds; NaN where it is not known. n_episodes: of what the mean is over, be it pairs
    of networks. sd: of the seeds' means (ddof = 1), NaN for one seed. budget: outer updates times tasks or batches.
    trained: the training in words. horizon: of returns, the steps of a trajectory.
    """

    place: Place
    mean: float
    sd: float
    half: float
    n_seeds: int
    n_episodes: int
    budget: int
    trained: str
    horizon: int | None = None


def measured(runs: Iterable[tuple[FinishedRun, Sequence[str]]]) -> dict[Place, Measured]:
    """Of each place the longest training; of equally long ones that of most seeds, then the first by its settings.

    Never the best result. Only what was tested on the test split, on episodes of the kind it was trained on. Beside
    each run: clauses as `subsets` in its experiment's record.
    """
    return longest(
        one for group in _alike(runs) for one in _of_training([run for run, _ in group], group[0][1])
    )


def longest(found: Iterable[Measured]) -> dict[Place, Measured]:
    """Of each place the longest training; of equally long ones that of most seeds, then the first."""
    kept: dict[Place, Measured] = {}
    for one in found:
        known = kept.get(one.place)
        if known is None or (one.budget, one.n_seeds) > (known.budget, known.n_seeds):
            kept[one.place] = one
    return kept


def of_one_source(run: FinishedRun) -> bool:
    """Whether it was trained on episodes of one source and one number of ways and shots."""
    train = run.spec.get("train", {})
    episodic = train.get("learns_from", "episodes") == "episodes"
    return episodic and len(run.training_sources) == 1 and "n_shot" in train.get("shape", {})


def as_trained(run: FinishedRun, rows: pd.DataFrame) -> pd.DataFrame:
    """Those of `rows` that are of test episodes of such a run's own source, ways and shots."""
    shape = run.spec["train"]["shape"]
    kept = (
        (rows["source"] == run.training_sources[0])
        & (rows["split"] == "test")
        & (rows["n_way"] == shape["n_way"])
        & (rows["n_support"] == shape["n_way"] * shape["n_shot"])
    )
    found: pd.DataFrame = rows[kept.fillna(False).astype(bool)]
    return found


def _alike(
    runs: Iterable[tuple[FinishedRun, Sequence[str]]],
) -> list[list[tuple[FinishedRun, Sequence[str]]]]:
    """Runs of one configuration, which differ in their seeds and in what they are tested on."""
    groups: dict[str, list[tuple[FinishedRun, Sequence[str]]]] = {}
    for run, subsets in sorted(runs, key=lambda one: (one[0].seed, one[0].run_id)):
        settings = {key: value for key, value in run.spec.items() if key not in OWN}
        groups.setdefault(digest([settings, sorted(subsets)], 16), []).append((run, subsets))
    return [groups[key] for key in sorted(groups)]


def _of_training(runs: Sequence[FinishedRun], subsets: Sequence[str]) -> list[Measured]:
    own = _of_episodes(runs[0].method, runs, [run.episodes for run in runs], subsets)
    frozen = [with_body_frozen(run) for run in runs]
    return own + _of_episodes(runs[0].method + BODY_FROZEN, runs, frozen, subsets)


def _of_episodes(
    method: str, runs: Sequence[FinishedRun], frames: Sequence[pd.DataFrame], subsets: Sequence[str]
) -> list[Measured]:
    learned_from = trained_on(runs[0])
    episodes = with_shots(pd.concat(frames, ignore_index=True))
    tested = episodes[episodes["split"] == "test"]
    keys = ["source", "protocol", "n_way", "shots"]
    tested = tested.drop_duplicates([*keys, "n_support", "seed", "episode"])  # two runs may share a test
    found = []
    for key, rows in tested.groupby(keys, observed=True, dropna=False):
        source, protocol, n_way, shots = cast(tuple[Any, ...], key)
        kind = None if pd.isna(n_way) else int(n_way), None if pd.isna(shots) else int(shots)
        if learned_from and _as_trained(runs[0], str(protocol), kind):
            place = (method, learned_from, str(source), *kind)
            found.append(_measured(place, rows, runs[0], subsets))
    return found


def _as_trained(run: FinishedRun, protocol: str, kind: tuple[int | None, int | None]) -> bool:
    """Whether the test's episodes are of the kind that the training had, where it had episodes at all."""
    train = run.spec.get("train", {})
    shape = train.get("shape", {})
    if protocol == META_DATASET:
        drawn = drawn_shape(shape)
        return drawn is not None and drawn.n_way is None and drawn.protocol == META_DATASET
    episodic = train.get("learns_from", "episodes") == "episodes"
    return protocol == FIXED and (not episodic or (shape.get("n_way"), shape.get("n_shot")) == kind)


def trained_on(run: FinishedRun) -> str | None:
    """In the words of published_numbers.csv; None for a mixture that no paper has."""
    sources = frozenset(run.training_sources)
    if sources == ALL_SOURCES:
        return "all_sources"
    if sources == {"ilsvrc_2012"}:
        return "imagenet_only"
    return next(iter(sources)) if len(sources) == 1 else None


def _measured(place: Place, rows: pd.DataFrame, run: FinishedRun, subsets: Sequence[str]) -> Measured:
    means = rows.groupby("seed")["accuracy"].mean().to_numpy(dtype=np.float64)
    values, seeds = rows["accuracy"].to_numpy(dtype=np.float64), rows["seed"].to_numpy(dtype=np.int64)
    return Measured(
        place=place,
        mean=100 * float(np.mean(values)),
        sd=100 * float(np.std(means, ddof=1)) if len(means) > 1 else float("nan"),
        half=100 * interval(values, seeds),
        n_seeds=len(means),
        n_episodes=len(values),
        budget=budget_of(run),
        trained=said_of_training(
            run, len(means), [clause for clause in subsets if clause.startswith(f"{place[2]}: ")]
        ),
    )


def budget_of(run: FinishedRun) -> int:
    """Outer updates times tasks or batches."""
    train = run.spec.get("train", {})
    return int(train.get("iterations", 0)) * int(train.get("meta_batch", 1))


def said_of_training(run: FinishedRun, n_seeds: int, subsets: Sequence[str]) -> str:
    """`1,000 updates of 4 tasks, conv4 at 28 px, batch norm transductive, 1 seed; omniglot: 10 of 20 images`."""
    train = run.spec.get("train", {})
    kind = train.get("learns_from", "episodes")
    updates = f"{int(train.get('iterations', 0)):,} updates"
    said = {
        "episodes": f"{updates} of {train.get('meta_batch', '?')} tasks",
        "batches": f"{updates} of a batch of images",
    }.get(kind, "no training")
    network = run.spec.get("network", {})
    name = network.get("params", {}).get("name", network.get("plugin", "?"))
    size, norm = run.spec.get("images", {}).get("size", "?"), run.spec.get("batch_norm", "?")
    seeds = f"{n_seeds} {'seed' if n_seeds == 1 else 'seeds'}"
    return "; ".join([f"{said}, {name} at {size} px, batch norm {norm}, {seeds}", *subsets])
