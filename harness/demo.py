"""`harness run CONFIG --demo`: the same experiment on drawn stand-ins for its sources, and cut short.

A source that can draw one has a method `write_stand_in(folder)`, which leaves in `folder` what it itself reads
from a folder of raw data. Stand-ins are marked wherever a number of theirs is shown: in the name of the source,
and so in every row and figure, in the experiment's name and in its title.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.dataset import Dataset
from harness.errors import ConfigError
from harness.experiment import Evaluation, Experiment, Regime
from harness.files import make_folder
from harness.planned_sources import datasets_of

MARK = "-standin"
FOLDER = "stand-ins"

ITERATIONS, VALIDATE_EVERY, VALIDATION_EPISODES, TEST_EPISODES, IMAGE_SIZE = 150, 50, 5, 25, 32
"""What a demonstration is cut to, where the experiment asks for more: minutes on two cores."""


def demonstration(experiment: Experiment) -> Experiment:
    """The experiment on stand-ins, cut short. Nothing is drawn yet.

    Raises ConfigError when none of its sources has a stand-in.
    """
    if not any(can_draw(dataset) for dataset in _all_sources(experiment)):
        names = ", ".join(dict.fromkeys(dataset.name for dataset in _all_sources(experiment)))
        raise ConfigError(
            f"--demo: none of the sources of this experiment ({names}) has a drawn stand-in. Run it without --demo."
        )
    return replace(
        experiment,
        name=f"{experiment.name}_demo",
        title=f"STAND-INS: {experiment.title or experiment.name}",
        claim=_claim(experiment.claim),
        images=replace(experiment.images, size=min(experiment.images.size, IMAGE_SIZE)),
        regimes=[_regime(regime) for regime in experiment.regimes],
        evaluations=[_evaluation(evaluation) for evaluation in experiment.evaluations],
    )


def draw_stand_ins(experiment: Experiment, cache: Path, progress: Callable[[str], None]) -> Path:
    """Draw what is not there yet; returns the folder, to be used as that of the raw data.

    `progress` is called with a source's name before it is looked after.
    Raises WorkspaceError when the cache cannot be written.
    """
    folder = make_folder(cache / FOLDER)
    for name, dataset in {dataset.name: dataset for dataset in _all_sources(experiment)}.items():
        if can_draw(dataset):
            progress(name)
            dataset.write_stand_in(folder)  # type: ignore[attr-defined]
    return folder


def _claim(claim: str) -> str:
    mark = (
        "This is a demonstration: every source is a drawn stand-in of the one it is named for, and the training "
        "is cut short. Its numbers say nothing about the real sources."
    )
    return f"{mark}\n\nThe claim that the real experiment tests: {claim}" if claim else mark


def _regime(regime: Regime) -> Regime:
    wanted = regime.validation_sources
    return replace(
        regime,
        sources=_marked(regime.sources),
        validation_sources=None if wanted is None else _marked(wanted),
        iterations=min(regime.iterations, ITERATIONS),
        validate_every=min(regime.validate_every, VALIDATE_EVERY),
        snapshots=[k for k in regime.snapshots if k <= min(regime.iterations, ITERATIONS)],
        validation_episodes=min(regime.validation_episodes, VALIDATION_EPISODES),
    )


def _evaluation(evaluation: Evaluation) -> Evaluation:
    n_episodes = min(evaluation.n_episodes, TEST_EPISODES)
    return replace(evaluation, sources=_marked(evaluation.sources), n_episodes=n_episodes)


def _marked(datasets: Sequence[Dataset]) -> list[Any]:
    return [replace(d, name=f"{d.name}{MARK}") if can_draw(d) else d for d in datasets]  # type: ignore[type-var]


def can_draw(dataset: Dataset) -> bool:
    """Whether the source can draw a stand-in of itself."""
    return callable(getattr(dataset, "write_stand_in", None))


def _all_sources(experiment: Experiment) -> list[Dataset]:
    return list(datasets_of(experiment))
