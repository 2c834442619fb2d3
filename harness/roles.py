"""What each place of an experiment must hold. Gin checks names, not kinds; this does."""

from typing import Any

from harness import plugins
from harness.episode import EpisodeShape
from harness.errors import ConfigError
from harness.experiment import Evaluation, Experiment, Images, Regime

EXAMPLES = {plugins.METHODS: "@MAML()", plugins.DATASETS: "@Omniglot()", plugins.NETWORKS: "@Conv4()"}

Role = str | type
"""A plugin group, or a class."""


def check_roles(experiment: Experiment) -> None:
    """Raises ConfigError when a place of the experiment holds a thing of another kind."""
    _check_list("Experiment.methods", experiment.methods, plugins.METHODS)
    _check("Experiment.network", experiment.network, plugins.NETWORKS)
    _check("Experiment.images", experiment.images, Images)
    _check_list("Experiment.regimes", experiment.regimes, Regime)
    _check_list("Experiment.evaluations", experiment.evaluations, Evaluation)
    for regime in experiment.regimes:
        _check_list("Regime.sources", regime.sources, plugins.DATASETS)
        _check("Regime.shape", regime.shape, EpisodeShape)
        if regime.validation_shape is not None:
            _check("Regime.validation_shape", regime.validation_shape, EpisodeShape)
    for evaluation in experiment.evaluations:
        _check_list("Evaluation.sources", evaluation.sources, plugins.DATASETS)
        _check("Evaluation.shape", evaluation.shape, EpisodeShape)


def _check_list(place: str, value: Any, role: Role) -> None:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{place} must be a list, for example [{_example(role)}]; got {_shown(value)}.")
    for item in value:
        _check(place, item, role)


def _check(place: str, value: Any, role: Role) -> None:
    if isinstance(value, type):
        raise ConfigError(
            f"{place} holds the class {value.__name__}, not one made of it: write @{value.__name__}()."
        )
    fits = (
        isinstance(value, role)
        if isinstance(role, type)
        else plugins.plugin_name(role, type(value)) is not None
    )
    if not fits:
        kind = role.__name__ if isinstance(role, type) else plugins.WORDS[role]
        raise ConfigError(
            f"{place} must hold a {kind}, written for example {_example(role)}; got {_shown(value)}."
        )


def _example(role: Role) -> str:
    return f"@{role.__name__}()" if isinstance(role, type) else EXAMPLES[role]


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str | int | float | list | tuple) else type(value).__name__
