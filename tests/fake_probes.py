"""probes.parquet as the probes would leave it, with made-up numbers around a known truth."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from fake_runs import episode_rows
from harness.results import PROBE_COLUMNS
from harness.spec import RunSpec
from harness.store import RunFolder

LAYERS = ("conv1", "conv2", "conv3", "conv4", "head")
FROZEN = ("nothing", "head only", "from conv4", "from conv3", "from conv2", "body only", "everything")
CONTROLS = tuple(
    f"{rate}{head}"
    for head in ("", ", head zeroed")
    for rate in ("body x1", "equal relative steps", "body x10", "body x100")
)
READ_OUTS = tuple(
    f"{name}, {body} body"
    for name in ("nil", "nearest centroid", "linear probe")
    for body in ("unadapted", "adapted")
)
Columns = dict[str, Any]
"""Values by column, all of one length."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What the fake probes measure, on average.

    body_gain: of adapting the body besides the head, by source (0..1). similarity: of the body, by source.
    control_gain: of every control on as trained. level: accuracy with the head alone adapted.
    """

    body_gain: Mapping[str, float]
    similarity: Mapping[str, float] = field(default_factory=dict)
    control_gain: float = -0.01
    level: Mapping[str, float] | float = 0.6


def write_probes(
    folder: RunFolder,
    spec: RunSpec,
    truth: Truth,
    *,
    n_episodes: int = 60,
    few: int = 20,
    steps: int = 5,
    cannot_adapt: bool = False,
    **conditions: Any,
) -> None:
    """Write all six probes of a run: `few` episodes of those that have many values an episode."""
    rng = np.random.default_rng([spec.seed, *spec.run_id.encode()])
    parts: list[pd.DataFrame] = []
    for evaluation in spec.evaluations:
        name = evaluation.source.name
        base = {
            "run_id": spec.run_id, "method": spec.method_name, "trained_on": spec.trained_on, "source": name,
            "seed": spec.seed, "n_way": evaluation.shape.n_way,
            "n_support": evaluation.shape.n_way * evaluation.shape.n_shot, **conditions,
        }  # fmt: skip
        made = _refused() if cannot_adapt else _measured(truth, name, n_episodes, few, steps, rng)
        parts_of_source = list(made)
        columns = parts_of_source[0].keys()
        values = pd.DataFrame(
            {name: np.concatenate([part[name] for part in parts_of_source]) for name in columns}
        )
        like = episode_rows([0.0], **base).drop(columns=["episode", "accuracy", "loss", "seconds"])
        parts.append(values.merge(like, how="cross"))
    frame = pd.concat(parts, ignore_index=True)
    frame[list(PROBE_COLUMNS)].astype(PROBE_COLUMNS).to_parquet(folder.probes, index=False)


def rows(probe: str, values: Any, **more: Any) -> Columns:
    """Rows of one probe, an episode each."""
    count = len(values)
    given = {"probe": probe, "n": 75, "condition": "", "layer": "", "step": None, "quantity": "accuracy"}
    given = {**given, "reason": "", "episode": range(count), **more}
    filled = {name: value if isinstance(value, range) else [value] * count for name, value in given.items()}
    return {"value": np.asarray(values), **{n: np.array(v, dtype=object) for n, v in filled.items()}}


def _refused() -> Iterator[Columns]:
    """As of a method that has no inner loop: a row a probe that needs one, and read-outs of the body as it is."""
    for probe in ("freeze", "similarity", "movement", "gradient_flow"):
        yield rows(
            probe,
            [np.nan],
            n=0,
            reason="nil has no inner loop, so it cannot adapt.",
            episode=None,
            quantity="",
        )
    for name in READ_OUTS[::2]:
        yield rows("read_outs", np.full(5, 0.5), condition=name)


def _measured(
    truth: Truth, source: str, n: int, few: int, steps: int, rng: np.random.Generator
) -> Iterator[Columns]:
    level = truth.level if isinstance(truth.level, float) else truth.level[source]
    gain = truth.body_gain[source]
    task = rng.normal(0, 0.08, n)
    share = {"nothing": None, "head only": 0, "from conv4": 0.3, "from conv3": 0.6, "from conv2": 0.8}
    for name in FROZEN:
        part = share.get(name, 0.7 if name == "body only" else 1)
        mean = 0.2 if part is None else level + part * gain
        noise = rng.normal(0, 0.02 if part is None else 0.04, n)
        yield rows("freeze", _accuracies(mean + (0 if part is None else task) + noise), condition=name)
    for index, name in enumerate(READ_OUTS):
        moved = gain * ("unadapted" not in name) - 0.02 * (index // 2)
        yield rows("read_outs", _accuracies(level + moved + task + rng.normal(0, 0.04, n)), condition=name)
    for index, name in enumerate(CONTROLS):
        mean = level + gain + (truth.control_gain * index / 7 if index else 0)
        values = _accuracies(mean + task[:few] + rng.normal(0, 0.03, few))
        yield rows("gradient_flow", values, condition=name)
        yield from _gradients(name, few, steps, rng)
    for condition in ("head only", "everything"):
        yield from _similarities(condition, truth.similarity.get(source, 0.97), few, rng)
        yield from _movements(condition, gain, few, steps, rng)
    yield from _distances(gain, few, rng)


def _gradients(condition: str, few: int, steps: int, rng: np.random.Generator) -> Iterator[Columns]:
    for depth, layer in enumerate(LAYERS):
        for step in range(1, steps + 1):
            more: dict[str, Any] = {"condition": condition, "layer": layer, "step": step}
            norm = 0.05 * (depth + 1) * 0.7**step * np.exp(rng.normal(0, 0.2, few))
            factor = 1.0 if layer == "head" or "x" not in condition else float(condition.split(",")[0][6:])
            yield rows("gradient_flow", norm * factor / 5, quantity="relative_step", **more)
            if not condition.startswith("body x1,") and condition != "body x1":
                continue
            yield rows("gradient_flow", norm, quantity="gradient_norm", **more)
            yield rows("gradient_flow", norm / 4, quantity="relative_gradient", **more)
            if step > 1:
                cosine = np.clip(0.8 + rng.normal(0, 0.1, few), -1, 1)
                yield rows("gradient_flow", cosine, quantity="step_cosine", **more)
        alike = 0.99 - 0.02 * depth + rng.normal(0, 0.005, few)
        yield rows("gradient_flow", alike, condition=condition, layer=layer, quantity="cka")


def _similarities(condition: str, body: float, few: int, rng: np.random.Generator) -> Iterator[Columns]:
    for depth, layer in enumerate(LAYERS if condition == "everything" else LAYERS[-1:]):
        height = 0.45 if layer == "head" else 1 - (1 - body) * (depth + 1) / 4
        more: dict[str, Any] = {"condition": condition, "layer": layer}
        for quantity, less in (("cka", 0), ("svcca", 0.03), ("mean_cca", 0.06), ("cosine", 0.01)):
            values = np.clip(height - less + rng.normal(0, 0.01, few), 0, 1)
            yield rows("similarity", values, quantity=quantity, **more)
        yield rows("similarity", np.full(few, 0.1), quantity="hsic_xy", **more)
        yield rows("similarity", [height], quantity="pooled_cka", episode=None, **more)


def _movements(
    condition: str, gain: float, few: int, steps: int, rng: np.random.Generator
) -> Iterator[Columns]:
    for depth, layer in enumerate(LAYERS if condition == "everything" else LAYERS[-1:]):
        far = 0.8 if layer == "head" else (0.01 + abs(gain) / 2) * (depth + 1)
        for step in range(1, steps + 1):
            grown = far * (1 - 0.7**step) * np.exp(rng.normal(0, 0.1, few))
            more: dict[str, Any] = {"condition": condition, "layer": layer, "step": step}
            yield rows("movement", grown, quantity="weight_change", **more)
            yield rows("movement", grown / 2, quantity="function_change", **more)


def _distances(gain: float, few: int, rng: np.random.Generator) -> Iterator[Columns]:
    for depth, layer in enumerate(LAYERS):
        for condition, moved in (("nothing", 0.0), ("everything", gain)):
            within = 1 + rng.normal(0, 0.05, few)
            between = (1 + depth / 4) * (1 + 3 * moved) + rng.normal(0, 0.05, few)
            more: dict[str, Any] = {"condition": condition, "layer": layer}
            for quantity, values in (
                ("within", within), ("between", between), ("separation", between / (between + 2 * within)),
            ):  # fmt: skip
                yield rows("specialisation", values, quantity=quantity, **more)
            spread = [within.mean() / between.mean()]
            yield rows("specialisation", spread, quantity="pooled_spread", episode=None, **more)


def _accuracies(values: Any) -> Any:
    return np.clip(np.round(values * 75) / 75, 0, 1)
