"""How many times as fast as MAML other methods train and predict, by the clocks of finished runs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from harness.papers.analysis_tables import INFERENCE, TRAINING
from harness.papers.measured import Measured, as_trained, of_one_source
from harness.report.gather import FinishedRun
from harness.spec import digest

FULL = "maml"
"""The method whose time is divided by that of the others, by its name in rows."""

MACHINE = ("cpu", "cores", "torch")
"""Of a run's environment what must agree between runs whose times are compared."""


def measured_speedups(runs: Iterable[FinishedRun]) -> list[Measured]:
    """Of one experiment's runs that are alike but for method, seed and shape of episodes: the methods' speed-ups.

    A seed's number is the geometric mean over the shapes that both methods have; half: the t interval over seeds,
    NaN for one, as one clock says nothing of how true it is.
    """
    groups: dict[str, list[FinishedRun]] = {}
    for run in runs:
        if of_one_source(run) and _has_clocks(run):
            groups.setdefault(_alike(run), []).append(run)
    found: list[Measured] = []
    for key in sorted(groups):
        own = groups[key]
        for method in sorted({run.method for run in own} - {FULL}):
            for quantity, seconds in ((TRAINING, _of_update), (INFERENCE, _of_episode)):
                times = pd.DataFrame(
                    {
                        "method": run.method,
                        "seed": run.seed,
                        "shape": _shape(run),
                        "log": np.log(seconds(run)),
                    }
                    for run in own
                    if seconds(run) > 0
                )
                found += _ratio(times, own, method, quantity)
    return found


def _ratio(times: pd.DataFrame, runs: Sequence[FinishedRun], method: str, quantity: str) -> list[Measured]:
    if not len(times):
        return []
    wide = times.pivot_table(index=["seed", "shape"], columns="method", values="log", aggfunc="mean")
    if not {FULL, method} <= set(wide.columns):
        return []
    logs = (wide[FULL] - wide[method]).dropna()
    if not len(logs):
        return []
    ratios = np.exp(logs.groupby("seed").mean().to_numpy(dtype=np.float64))
    n = len(ratios)
    sd = float(np.std(ratios, ddof=1)) if n > 1 else float("nan")
    train = runs[0].spec["train"]
    source = runs[0].training_sources[0]
    shapes = ", ".join(sorted(set(logs.index.get_level_values("shape"))))
    return [
        Measured(
            place=(method, source, source, None, None, quantity),
            mean=float(np.mean(ratios)),
            sd=sd,
            half=float(stdtrit(n - 1, 0.975)) * sd / float(np.sqrt(n)) if n > 1 else float("nan"),
            n_seeds=n,
            n_episodes=len(logs),
            budget=int(train["iterations"]) * int(train["meta_batch"]),
            trained=f"{int(train['iterations']):,} updates of {train['meta_batch']} tasks, {shapes}, on "
            f"{runs[0].status['environment'].get('cpu', 'an unknown processor')}, {n} {'seed' if n == 1 else 'seeds'}",
        )
    ]


def _has_clocks(run: FinishedRun) -> bool:
    trained = run.spec["train"].get("iterations", 0) > 0
    return trained and isinstance(run.status.get("environment"), Mapping)


def _alike(run: FinishedRun) -> str:
    train = {key: value for key, value in run.spec["train"].items() if "shape" not in key}
    settings = {key: run.spec.get(key) for key in ("network", "images", "compute")}
    machine: dict[str, Any] = {key: run.status["environment"].get(key) for key in MACHINE}
    return digest([train, settings, machine], 16)


def _shape(run: FinishedRun) -> str:
    shape = run.spec["train"]["shape"]
    return f"{shape['n_way']}-way {shape['n_shot']}-shot"


def _of_update(run: FinishedRun) -> float:
    return float(run.status.get("training_seconds") or 0) / float(run.spec["train"]["iterations"])


def _of_episode(run: FinishedRun) -> float:
    own = as_trained(run, run.episodes)
    return float(own["seconds"].mean()) if len(own) else 0.0
