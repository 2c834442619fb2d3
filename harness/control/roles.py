"""What each place of a control experiment must hold. Gin checks names, not kinds; this does."""

from harness import plugins
from harness.compute import Compute
from harness.control.clipped_surrogate import ClippedSurrogate
from harness.control.experiment import ControlEvaluation, ControlExperiment, ControlRegime
from harness.control.sampling import Sampling
from harness.control.trust_region import TrustRegion
from harness.errors import ConfigError
from harness.resources import Resources
from harness.roles import check_list, check_place
from harness.tracking.tracker import Tracker


def check_control_roles(experiment: ControlExperiment) -> None:
    """Raises ConfigError when a place of the experiment holds a thing of another kind."""
    check_list("ControlExperiment.methods", experiment.methods, plugins.POLICY_METHODS)
    check_list("ControlExperiment.probes", experiment.probes, plugins.POLICY_PROBES)
    check_place("ControlExperiment.network", experiment.network, plugins.POLICY_NETWORKS)
    check_place("ControlExperiment.resources", experiment.resources, Resources)
    check_place("ControlExperiment.compute", experiment.compute, Compute)
    check_list("ControlExperiment.trackers", experiment.trackers, Tracker)
    check_list("ControlExperiment.regimes", experiment.regimes, ControlRegime)
    check_list("ControlExperiment.evaluations", experiment.evaluations, ControlEvaluation)
    for regime in experiment.regimes:
        check_place("ControlRegime.source", regime.source, plugins.CONTROL_SOURCES)
        check_place("ControlRegime.sampling", regime.sampling, Sampling)
        if not isinstance(regime.outer, TrustRegion | ClippedSurrogate):
            raise ConfigError(
                "ControlRegime.outer must be @TrustRegion() or @ClippedSurrogate(); "
                f"got {type(regime.outer).__name__}."
            )
    for evaluation in experiment.evaluations:
        check_list("ControlEvaluation.sources", evaluation.sources, plugins.CONTROL_SOURCES)
        check_place("ControlEvaluation.sampling", evaluation.sampling, Sampling)
