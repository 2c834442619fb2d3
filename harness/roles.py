"""What each place of an experiment must hold. Gin checks names, not kinds; this does."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from harness import plugins
from harness.across_settings import AcrossTrainings
from harness.augmentation import Augmentation
from harness.compute import Compute
from harness.control.clipped_surrogate import ClippedSurrogate
from harness.control.experiment import ControlEvaluation, ControlRegime
from harness.control.sampling import Sampling
from harness.control.trust_region import TrustRegion
from harness.distance_settings import Dissimilarity
from harness.episode import EpisodeShape, VariableShape
from harness.errors import ConfigError
from harness.experiment import Evaluation, Experiment, Images, Regime
from harness.method import Method
from harness.parameters import default_of
from harness.resources import Resources
from harness.search.settings import Search
from harness.tracking.tracker import Tracker

Role = str | type
"""A plugin group, or a class."""

EXAMPLES: dict[Role, str] = {
    plugins.METHODS: "@MAML()",
    plugins.DATASETS: "@Omniglot()",
    plugins.NETWORKS: "@Conv4()",
    plugins.PROBES: "@Freeze()",
    plugins.CONTROL_SOURCES: "@Navigation2D()",
    plugins.POLICY_METHODS: "@MAML()",
    plugins.POLICY_NETWORKS: "@MLP()",
    plugins.POLICY_PROBES: "@PolicyFreeze()",
    Tracker: "@TensorBoard()",
    Search: "@GridSearch()",
}

PLACES: tuple[tuple[Role, str], ...] = (
    (plugins.METHODS, "@{name}() to Experiment.methods"),
    (plugins.DATASETS, "@{name}() to Regime.sources or Evaluation.sources"),
    (plugins.NETWORKS, "`Experiment.network = @{name}()`"),
    (plugins.PROBES, "@{name}() to Experiment.probes"),
    (plugins.CONTROL_SOURCES, "@{name}() to ControlRegime.source or ControlEvaluation.sources"),
    (plugins.POLICY_METHODS, "@{name}() to ControlExperiment.methods"),
    (plugins.POLICY_PROBES, "@{name}() to ControlExperiment.probes"),
    (plugins.POLICY_NETWORKS, "`ControlExperiment.network = @{name}()`"),
    (Sampling, "`ControlRegime.sampling = @{name}()` or `ControlEvaluation.sampling = @{name}()`"),
    (TrustRegion, "`ControlRegime.outer = @{name}()`"),
    (ClippedSurrogate, "`ControlRegime.outer = @{name}()`"),
    (ControlRegime, "`ControlExperiment.regimes = [@{name}()]`"),
    (ControlEvaluation, "`ControlExperiment.evaluations = [@{name}()]`"),
    (EpisodeShape, "`Regime.shape = @{name}()` or `Evaluation.shape = @{name}()`"),
    (VariableShape, "`Regime.shape = @{name}()` or `Evaluation.shape = @{name}()`"),
    (Augmentation, "`Regime.augmentation = @{name}()`"),
    (Images, "`Experiment.images = @{name}()`"),
    (Compute, "`Experiment.compute = @{name}()`"),
    (Resources, "`Experiment.resources = @{name}()`"),
    (Resources, "`ControlExperiment.resources = @{name}()`"),
    (Dissimilarity, "`Experiment.dissimilarity = @{name}()`"),
    (AcrossTrainings, "`Experiment.across = @{name}()`"),
    (Tracker, "@{name}() to Experiment.trackers"),
    (Tracker, "@{name}() to ControlExperiment.trackers"),
    (Search, "`Experiment.search = @{name}()`"),
    (Regime, "`Experiment.regimes = [@{name}()]`"),
    (Evaluation, "`Experiment.evaluations = [@{name}()]`"),
)
"""What to add to a file so that the experiment, of one of the two kinds, holds a thing of the role."""


def how_to_use(cls: type, name: str, *, control: bool) -> str | None:
    """What to add to a file so that the experiment holds a `cls`, called `name` there with its scope.

    control: whether the file is about a ControlExperiment. None where an experiment of this kind has no place for it.
    """
    lines = [line.format(name=name) for role, line in PLACES if _has(cls, role)]
    fitting = [line for line in lines if ("Control" in line) == control]
    if lines and not fitting:
        return None
    return fitting[0] if fitting else f"a line that names @{name}()"


def _has(cls: type, role: Role) -> bool:
    return issubclass(cls, role) if isinstance(role, type) else plugins.plugin_name(role, cls) is not None


def check_roles(experiment: Experiment) -> None:
    """Raises ConfigError when a place of the experiment holds a thing of another kind."""
    check_list("Experiment.methods", experiment.methods, plugins.METHODS)
    for method in experiment.methods:
        check_place(f"{type(method).__name__}.trainer", method.trainer, plugins.METHODS)
        _check_trainer(method, experiment.methods)
    check_place("Experiment.network", experiment.network, plugins.NETWORKS)
    check_place("Experiment.images", experiment.images, Images)
    check_list("Experiment.probes", experiment.probes, plugins.PROBES)
    check_place("Experiment.compute", experiment.compute, Compute)
    check_place("Experiment.resources", experiment.resources, Resources)
    if experiment.dissimilarity is not None:
        check_place("Experiment.dissimilarity", experiment.dissimilarity, Dissimilarity)
    if experiment.across is not None:
        check_place("Experiment.across", experiment.across, AcrossTrainings)
    if experiment.search is not None:
        check_place("Experiment.search", experiment.search, Search)
    check_list("Experiment.trackers", experiment.trackers, Tracker)
    check_list("Experiment.regimes", experiment.regimes, Regime)
    check_list("Experiment.evaluations", experiment.evaluations, Evaluation)
    for regime in experiment.regimes:
        check_list("Regime.sources", regime.sources, plugins.DATASETS)
        _check_shape("Regime.shape", regime.shape)
        if regime.validation_shape is not None:
            _check_shape("Regime.validation_shape", regime.validation_shape)
        if regime.validation_sources is not None:
            check_list("Regime.validation_sources", regime.validation_sources, plugins.DATASETS)
        if regime.augmentation is not None:
            check_place("Regime.augmentation", regime.augmentation, Augmentation)
    for evaluation in experiment.evaluations:
        check_list("Evaluation.sources", evaluation.sources, plugins.DATASETS)
        _check_shape("Evaluation.shape", evaluation.shape)


def _check_trainer(method: Any, methods: Sequence[Method]) -> None:
    """Raises ConfigError when `method` trains as its default trainer, and another of that class is listed.

    It would silently train a network of its own, with settings that nobody has written down.
    """
    trainer = method.trainer
    default = next((default_of(f) for f in dataclasses.fields(method) if f.name == "trainer"), None)
    listed = [other for other in methods if type(other) is type(trainer)]
    if trainer == default and listed and trainer not in listed:
        mine, its = type(method).__name__, type(trainer).__name__
        raise ConfigError(
            f"{mine}.trainer is {its} with its default settings, unlike the {its} in Experiment.methods, so "
            f"{method.name!r} would train another network. Add the line `{mine}.trainer = @{its}()`, with the "
            f"scope that the list has, if any."
        )


def check_list(place: str, value: Any, role: Role) -> None:
    """Raises ConfigError unless `value` is a list of things of the role."""
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{place} must be a list, for example [{_example(role)}]; got {_shown(value)}.")
    for item in value:
        check_place(place, item, role)


def _check_shape(place: str, value: Any) -> None:
    if not isinstance(value, VariableShape):
        check_place(place, value, EpisodeShape)


def check_place(place: str, value: Any, role: Role) -> None:
    """Raises ConfigError unless `value` is a thing of the role."""
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
        others = "" if isinstance(role, type) else f" `{plugins.listed_by(role)}` lists what it may hold."
        raise ConfigError(
            f"{place} must hold a {kind}, written for example {_example(role)}; got {_shown(value)}.{others}"
        )


def _example(role: Role) -> str:
    return EXAMPLES[role] if role in EXAMPLES or isinstance(role, str) else f"@{role.__name__}()"


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str | int | float | list | tuple) else type(value).__name__
