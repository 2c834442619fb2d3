"""Runs on disk as a worker would leave them, with made-up numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.episode import EpisodeShape
from harness.plugins import Component
from harness.results import EPISODE_COLUMNS
from harness.spec import EvaluationSpec, ImageSpec, RunSpec, SourceSpec, TrainSpec
from harness.store import RunFolder

ENVIRONMENT = {"cpu": "Imaginary CPU, 2 cores", "python": "3.11.9", "torch": "2.13.0"}
FIVE_WAY_ONE_SHOT = EpisodeShape(n_way=5, n_shot=1, n_query=15)


def episode_rows(accuracies: Any, **values: Any) -> pd.DataFrame:
    """One row an accuracy, episodes 0..n-1; `values` replace the defaults of the other columns."""
    given = list(accuracies)
    row: dict[str, Any] = {
        "run_id": "r", "method": "maml", "trained_on": "glyphs", "network": "conv4", "source": "glyphs",
        "split": "test", "seed": 0, "n_way": 5, "n_support": 5, "n_query": 75, "loss": 0.5,
        "batch_norm": "transductive", "selection": "best_valid", "adaptation_steps": 10, "image_size": 28,
        "precision": "float32",
        "protocol": "fixed", "protocol_version": 2, "fingerprint": "0" * 8, "max_images_per_class": None,
        "seconds": 0.01,
    }  # fmt: skip
    columns = {**{key: [value] * len(given) for key, value in {**row, **values}.items()}}
    frame = pd.DataFrame({**columns, "episode": range(len(given)), "accuracy": given})
    return frame[list(EPISODE_COLUMNS)].astype(EPISODE_COLUMNS)


def source_spec(name: str) -> SourceSpec:
    return SourceSpec(name=name, component=Component(plugin=name, params={}), fingerprint="0" * 8)


def run_spec(
    method: str = "maml",
    *,
    trained_on: tuple[str, ...] = ("glyphs",),
    evaluated_on: tuple[str, ...] = ("glyphs",),
    seed: int = 0,
    trainer: str | None = None,
    regime: str | None = None,
    shape: EpisodeShape = FIVE_WAY_ONE_SHOT,
    **params: Any,
) -> RunSpec:
    settings = {"inner_lr": 0.4, "inner_steps": 1, "name": method, **params}
    component = Component(plugin=method, params=settings)
    other = Component(plugin=trainer or method, params={**settings, "name": trainer or method})
    return RunSpec(
        method_name=method,
        method=component,
        trainer=other,
        trained_on=regime or "+".join(trained_on),
        network=Component(plugin="conv4", params={"channels": 64, "batch_norm": "transductive"}),
        batch_norm="transductive",
        max_way=shape.n_way,
        images=ImageSpec(size=28, channels=1, scaling="unit", resize="antialias"),
        train=TrainSpec(
            sources=tuple(source_spec(name) for name in trained_on), shape=shape, iterations=2000,
            meta_batch=8, learning_rate=1e-3, schedule="cosine", gradient_clip=None, validate_every=100,
            validation_episodes=100, validation_shape=shape, augmentation=None,
            validation_sources=tuple(source_spec(name) for name in trained_on),
        ),
        selection="best_valid",
        evaluations=tuple(
            EvaluationSpec(source=source_spec(name), split="test", shape=shape, n_episodes=100)
            for name in evaluated_on
        ),
        seed=seed,
    )  # fmt: skip


def write_run(
    runs: Path,
    spec: RunSpec,
    level: Mapping[str, float] | float = 0.8,
    *,
    n_episodes: int = 100,
    steps: int = 10,
    environment: Mapping[str, str] = ENVIRONMENT,
    **status: Any,
) -> RunFolder:
    """A finished run whose accuracy on each source lies around `level`."""
    folder = RunFolder(runs / spec.run_id)
    folder.begin(spec)
    frames = []
    for evaluation in spec.evaluations:
        name = evaluation.source.name
        height = level if isinstance(level, float) else level[name]
        task = np.random.default_rng([spec.seed, *name.encode()]).normal(0, 0.06, n_episodes)
        own = np.random.default_rng([spec.seed, *spec.run_id.encode()]).normal(0, 0.03, n_episodes)
        frames.append(
            episode_rows(
                np.clip(height + task + own, 0, 1), run_id=spec.run_id, method=spec.method_name,
                source=name, trained_on=spec.trained_on, seed=spec.seed, adaptation_steps=steps,
                n_way=evaluation.shape.n_way,
                n_support=evaluation.shape.n_way * evaluation.shape.n_shot,
            )
        )  # fmt: skip
    folder.write_episodes(pd.concat(frames, ignore_index=True))
    for line in curve_lines(spec):
        folder.append_curve(line)
    folder.write_status(
        "done", training_seconds=61.5, evaluation_seconds=8.25, peak_memory_mb=410, iterations=2000,
        selected_iteration=1700, environment=dict(environment), **status,
    )  # fmt: skip
    return folder


def curve_lines(spec: RunSpec) -> list[dict[str, Any]]:
    """A rising accuracy and a falling loss; the same for runs that share a training."""
    noise = np.random.default_rng(int(spec.training_id, 16) % 2**32)
    target = noise.uniform(0.7, 0.95)
    lines = []
    for iteration in range(0, 2001, 100):
        shape = 1 - np.exp(-iteration / 500)
        accuracy = 0.2 + (target - 0.2) * shape + noise.normal(0, 0.01)
        loss = None if iteration == 0 else float(1.6 - 1.2 * shape + noise.normal(0, 0.03))
        lines.append(
            {
                "iteration": iteration,
                "loss": loss,
                "valid_accuracy": float(accuracy),
                "seconds": iteration / 30,
            }
        )
    return lines
