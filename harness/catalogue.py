"""The classes that an experiment file may name, found by their full or shortened names."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from harness import plugins
from harness.across_settings import AcrossTrainings
from harness.augmentation import Augmentation
from harness.compute import Compute
from harness.control.clipped_surrogate import ClippedSurrogate
from harness.control.experiment import ControlEvaluation, ControlExperiment, ControlRegime
from harness.control.sampling import Sampling
from harness.control.trust_region import TrustRegion
from harness.distance_settings import Dissimilarity
from harness.episode import EpisodeShape, VariableShape
from harness.errors import ConfigError, PluginError, close_names, did_you_mean, named_choices
from harness.experiment import Evaluation, Experiment, Images, Regime
from harness.resources import Resources
from harness.search.settings import GridSearch, RandomSearch
from harness.search.tune_search import TuneSearch
from harness.tracking.event_files import TensorBoard
from harness.tracking.mlflow_store import MLflow
from harness.tracking.offline_runs import WeightsAndBiases

OWN_CLASSES: tuple[type, ...] = (
    Experiment,
    Regime,
    Evaluation,
    EpisodeShape,
    VariableShape,
    Images,
    Compute,
    Resources,
    Augmentation,
    Dissimilarity,
    AcrossTrainings,
    GridSearch,
    RandomSearch,
    TuneSearch,
    TensorBoard,
    MLflow,
    WeightsAndBiases,
    ControlExperiment,
    ControlRegime,
    ControlEvaluation,
    Sampling,
    TrustRegion,
    ClippedSurrogate,
)


@dataclass(frozen=True)
class Catalogue:
    """The classes that gin text may name: full name -> class, and class name -> why it cannot be had."""

    classes: Mapping[str, type]
    broken: Mapping[str, str]

    def resolve(self, selector: str) -> str:
        """The full name that a possibly shortened `selector` stands for. Raises ConfigError."""
        matches = [full for full in self.classes if full == selector or full.endswith("." + selector)]
        if len(matches) > 1:  # ours first, so that a plugin changes no gin file; theirs are named in full
            matches = [full for full in matches if full.partition(".")[0] in plugins.OURS] or matches
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise ConfigError(f"{selector!r} could be any of {named_choices(matches)}: write one of those.")
        if selector in self.broken:
            raise ConfigError(self.broken[selector])
        known = {full.rpartition(".")[2] for full in self.classes}
        raise ConfigError(
            f"Unknown name {selector!r}.{close_names(selector, known, 'harness list classes')} "
            "A plugin added to a package is seen only after `pip install -e .` of that package again."
        )

    def check_parameter(self, full: str, parameter: str) -> None:
        """Raises ConfigError when the class has no such parameter."""
        known = {f.name for f in fields(self.classes[full]) if f.init}
        if parameter not in known:
            name = full.rpartition(".")[2]
            of_images = name == "ControlExperiment" and parameter in {f.name for f in fields(Experiment)}
            why = ", which is for experiments on images alone: leave it out" if of_images else ""
            raise ConfigError(
                f"{name} has no parameter {parameter!r}{why}.{did_you_mean(parameter, known)} "
                f"Parameters: {named_choices(known)}."
            )


def catalogue() -> Catalogue:
    """The experiment's own classes and every plugin; one that cannot be imported is kept as its reason."""
    classes: dict[str, type] = {f"{cls.__module__}.{cls.__name__}": cls for cls in OWN_CLASSES}
    broken: dict[str, str] = {}
    for group in plugins.WORDS:
        for name in plugins.names(group):
            try:
                cls = plugins.load(group, name)
            except PluginError as error:  # named only when the experiment asks for it
                broken[plugins.class_name(group, name)] = str(error)
            else:
                classes[f"{cls.__module__}.{cls.__name__}"] = cls
    return Catalogue(classes, broken)
