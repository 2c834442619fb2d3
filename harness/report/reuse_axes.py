"""How far sources are from the training: the axes against which a report sets its measures of reuse.

Two kinds: distances as a trained network sees them (`harness.distances`), and the dial of sources that were made from
another one by a known cause, from that one itself at 0.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.json_kinds import at
from harness.report.gather import Gathered
from harness.results import OF_EPISODES, OF_TRAINING

MEASURES = {"task2vec nearest": "Task2Vec distance", "frechet nearest": "Fréchet distance"}
"""Measures of `harness.distances` that become axes: of the nearest training source, where there are several."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A dissimilarity: its name, and the value of each source that has one; a dial says so."""

    name: str
    x: Mapping[str, float]
    dial: bool = False


@dataclass(frozen=True, kw_only=True)
class Dial:
    """What a source was made from, by what, and how much of it, 0..1."""

    origin: str
    kind: str
    amount: float


def axes_of(
    regime: str, split: str, image_size: int, protocol_version: int, gathered: Gathered
) -> list[Axis]:
    """The axes of the sources tested in `split`, for networks trained on `regime`; those without a source are left out.

    Distances are of the same split, image size and protocol version.
    """
    rows = _like(gathered.distances, regime, split, image_size, protocol_version)
    own = rows[rows["task"].isna() & rows["episode"].isna()]
    found = [
        Axis(name=name, x=dict(zip(part["source"], part["value"], strict=True)))
        for measure, name in MEASURES.items()
        if len(part := own[own["measure"] == measure])
    ]
    return [*found, *_dial_axes(dials(gathered, regime))]


def episode_distances(episodes: pd.DataFrame, gathered: Gathered) -> dict[str, pd.DataFrame]:
    """Distances of single test episodes, axis -> rows of (seed, source, episode, `x`); empty where there are none.

    episodes: those of one place. Distances are of the tests of the probe's seed, and of as many images.
    """
    first = episodes.iloc[0]
    rows = _like(
        gathered.distances,
        str(first["trained_on"]),
        str(first["split"]),
        int(first["image_size"]),
        int(first["protocol_version"]),
    )
    seeds = {run.run_id: run.seed for run in gathered.runs}
    rows = rows[rows["episode"].notna()].assign(seed=lambda frame: frame["probe"].map(seeds))
    if rows.empty:
        return {}
    sizes = episodes.assign(images=episodes["n_support"] + episodes["n_query"])
    sizes = sizes[["seed", "source", "episode", "images"]].drop_duplicates()
    key = ["seed", "source", "episode"]
    found = rows.astype({"episode": "int64"}).merge(sizes, on=[*key, "images"]).rename(columns={"value": "x"})
    parts = {name: found[found["measure"] == measure] for measure, name in MEASURES.items()}
    # Tests of two shapes can have as many images: what cannot be told apart is not used.
    single = {name: part[[*key, "x"]].drop_duplicates(key, keep=False) for name, part in parts.items()}
    return {name: part for name, part in single.items() if len(part)}


def _like(
    distances: pd.DataFrame, regime: str, split: str, image_size: int, protocol_version: int
) -> pd.DataFrame:
    """The distances that were measured under these conditions."""
    return distances[
        (distances["trained_on"] == regime)
        & (distances["split"] == split)
        & (distances["image_size"] == image_size)
        & (distances["protocol_version"] == protocol_version)
        & distances["value"].notna()
    ]


def dials(gathered: Gathered, regime: str) -> dict[str, Dial]:
    """The sources tested by runs of `regime` that were made from another one."""
    return dict(
        found
        for run in gathered.runs
        if run.trained_on == regime
        for evaluation in run.spec.get("evaluations", ())
        if (found := _dial(evaluation.get("source", {}))) is not None
    )


def _dial(source: Mapping[str, Any]) -> tuple[str, Dial] | None:
    """A source is made from another one if its parameters name that `source`, a `kind` of change and its `amount`."""
    params = source.get("component", {}).get("params", {})
    origin = params.get("source")
    amount = params.get("amount")
    if not isinstance(origin, Mapping) or "kind" not in params or not isinstance(amount, int | float):
        return None
    name = str(at(origin, "params.name") or "")
    return str(source["name"]), Dial(origin=name, kind=str(params["kind"]), amount=float(amount))


def _dial_axes(found: Mapping[str, Dial]) -> Iterator[Axis]:
    families = sorted({(dial.origin, dial.kind) for dial in found.values()})
    for origin, kind in families:
        x = {name: dial.amount for name, dial in found.items() if (dial.origin, dial.kind) == (origin, kind)}
        yield Axis(name=f"{kind} of {origin}", x={origin: 0.0, **x}, dial=True)


def unmeasured(distances: pd.DataFrame) -> list[tuple[str, str, str, str]]:
    """(of what, regime, source, reason) of what has no distance: sources, episodes, training sources left out."""
    missing = distances[distances["task"].isna() & distances["value"].isna() & (distances["reason"] != "")]
    of_episodes = (missing["measure"] == OF_EPISODES) | missing["episode"].notna()
    kind = of_episodes.map({True: OF_EPISODES, False: ""}).mask(
        missing["measure"] == OF_TRAINING, OF_TRAINING
    )
    rows = missing.assign(kind=kind)[["kind", "trained_on", "source", "reason"]].drop_duplicates()
    return [tuple(map(str, row)) for row in rows.to_numpy()]  # type: ignore[misc]
