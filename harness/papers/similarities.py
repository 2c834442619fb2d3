"""How alike layers are before and after adaptation, and networks of different seeds, as the paper's tables have it."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq
from pyarrow import ArrowException
from scipy.special import stdtrit

from harness.masks import EVERYTHING
from harness.papers.analysis_tables import CCA, CKA
from harness.papers.measured import Measured, as_trained, budget_of, of_one_source, said_of_training
from harness.report.gather import OWN, FinishedRun
from harness.spec import digest
from harness.statistics import interval

QUANTITIES = {"mean_cca": CCA, "cka": CKA}
"""Quantities of rows, and what a paper calls them."""

HUNDRED = 100
"""Similarities are shown in hundredths, so that a tolerance in points means the same for them."""


def measured_layers(runs: Iterable[FinishedRun]) -> list[Measured]:
    """Of runs alike but for their seed and shape of episodes: each layer before against after everything adapts."""
    groups: dict[str, list[FinishedRun]] = {}
    for run in runs:
        if of_one_source(run):
            groups.setdefault(_alike(run), []).append(run)
    found: list[Measured] = []
    for key in sorted(groups):
        rows = pd.concat([_of_layers(run) for run in groups[key]], ignore_index=True)
        for (layer, name), own in rows.groupby(["layer", "quantity"], sort=True):
            values, seeds = own["value"].to_numpy(np.float64), own["seed"].to_numpy(np.int64)
            means = own.groupby("seed")["value"].mean().to_numpy(np.float64)
            found.append(
                _measured(
                    f"{groups[key][0].method} {layer}",
                    QUANTITIES[str(name)],
                    groups[key],
                    means=means,
                    mean=float(np.mean(values)),
                    half=interval(values, seeds),
                    count=len(values),
                )
            )
    return found


def _of_layers(run: FinishedRun) -> pd.DataFrame:
    """Layer, quantity, value and seed, of the test episodes of the source that the run was trained on."""
    columns = ["source", "split", "n_way", "n_support", "seed", "condition", "layer", "quantity", "value"]
    if run.folder is None or not run.folder.probes.exists():
        return pd.DataFrame(columns=pd.Index(columns))
    try:
        rows = pq.read_table(run.folder.probes, columns=columns).to_pandas()
    except (OSError, ArrowException, KeyError):  # damaged: the report says so where it lists such runs
        return pd.DataFrame(columns=pd.Index(columns))
    own = as_trained(run, rows)
    measured = own["quantity"].isin(list(QUANTITIES)) & own["value"].notna()
    return own[measured & (own["condition"] == EVERYTHING)]


def measured_networks(runs: Sequence[FinishedRun], across: pd.DataFrame) -> list[Measured]:
    """Of one experiment: every two methods' unadapted networks of different seeds, on the source they were trained on.

    across: columns ACROSS_COLUMNS. A pair's number is the mean over the layers of the body.
    """
    regimes: dict[str, list[FinishedRun]] = {}
    for run in runs:
        if of_one_source(run):
            regimes.setdefault(run.trained_on, []).append(run)
    sources = {name: own[0].training_sources[0] for name, own in regimes.items()}
    kept = across[
        (across["source"] == across["trained_on"].map(sources))
        & (across["split"] == "test")
        & ~across["adapted"].astype(bool)
        & across["updates_a"].isna()
        & across["quantity"].isin(list(QUANTITIES))
        & (across["seed_a"] != across["seed_b"])
        & across["value"].notna()
    ]
    names = [" and ".join(sorted(pair)) for pair in zip(kept["method_a"], kept["method_b"], strict=True)]
    kept = kept.assign(pair=names, on=kept["trained_on"].map(sources))
    found: list[Measured] = []
    for (pair, name, source), rows in kept.groupby(["pair", "quantity", "on"], sort=True):
        keys = ["trained_on", "method_a", "method_b", "seed_a", "seed_b"]
        each = rows.groupby(keys, observed=True)["value"].mean().reset_index()
        own = [run for regime, group in regimes.items() if sources[regime] == source for run in group]
        of_pair = [run for run in own if run.method in str(pair).split(" and ")] or own
        values = each["value"].to_numpy(np.float64)
        found.append(
            _measured(
                str(pair),
                QUANTITIES[str(name)],
                of_pair,
                means=values,
                mean=float(np.mean(values)),
                half=jackknife_half(
                    values, each["seed_a"].to_numpy(np.int64), each["seed_b"].to_numpy(np.int64)
                ),
                count=len(values),
                n_seeds=len({*each["seed_a"], *each["seed_b"]}),
            )
        )
    return found


def jackknife_half(
    values: npt.NDArray[np.float64], a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]
) -> float:
    """Half the 95 % t interval of the mean of `values`, each of a pair of seeds (a, b), by leaving out each seed.

    Pairs that share a network are not independent, seeds are. NaN for less than three seeds.
    """
    seeds = np.unique(np.concatenate([a, b]))
    n = len(seeds)
    if n < 3:
        return math.nan
    without = [values[(a != seed) & (b != seed)] for seed in seeds]
    if not all(map(len, without)):
        return math.nan
    means = np.array([np.mean(rest) for rest in without])
    error = math.sqrt((n - 1) / n * float(np.sum((means - means.mean()) ** 2)))
    return float(stdtrit(n - 1, 0.975)) * error


def _measured(
    name: str,
    quantity: str,
    runs: Sequence[FinishedRun],
    *,
    means: npt.NDArray[np.float64],
    mean: float,
    half: float,
    count: int,
    n_seeds: int | None = None,
) -> Measured:
    source = runs[0].training_sources[0]
    seeds = len(means) if n_seeds is None else n_seeds
    return Measured(
        place=(name, source, source, None, None, quantity),
        mean=HUNDRED * mean,
        sd=HUNDRED * float(np.std(means, ddof=1)) if len(means) > 1 else math.nan,
        half=HUNDRED * half,
        n_seeds=seeds,
        n_episodes=count,
        budget=budget_of(runs[0]),
        trained="; ".join(dict.fromkeys(_shapes(runs, seeds))),
    )


def _shapes(runs: Sequence[FinishedRun], seeds: int) -> Iterator[str]:
    shots = sorted({cast(int, run.spec["train"].get("shape", {}).get("n_shot")) or 0 for run in runs})
    yield said_of_training(runs[0], seeds, [])
    yield f"trained on {' and '.join(f'{k}-shot' for k in shots)} episodes"


def _alike(run: FinishedRun) -> str:
    settings = {key: value for key, value in run.spec.items() if key not in (*OWN, "trained_on", "train")}
    train = {key: value for key, value in run.spec["train"].items() if "shape" not in key}
    return digest([settings, train], 16)
