"""The smallest control experiment, for tests."""

from pathlib import Path

import pytest

from harness import plugins
from harness.config import load_experiment
from harness.control.experiment import ControlExperiment
from harness.control.planning import plan_control
from harness.control.run_spec import ControlRunSpec

needs_entry_points = pytest.mark.skipif(
    "navigation2d" not in plugins.names(plugins.CONTROL_SOURCES),
    reason="needs pip install -e . again, for its entry points",
)

TINY = """
ControlExperiment.name = 'tiny_control'
ControlExperiment.methods = [@MAML(), @ANIL()]
ControlExperiment.network = @MLP()
ControlExperiment.regimes = [@ControlRegime()]
ControlExperiment.evaluations = [@ControlEvaluation()]
MLP.hidden = (8,)
MAML.inner_lr = 0.1
MAML.inner_steps = 1
MAML.test_inner_steps = 1
ANIL.inner_lr = 0.1
ANIL.inner_steps = 1
ANIL.test_inner_steps = 1
Sampling.trajectories = 3
Navigation2D.horizon = 8
ControlRegime.source = @Navigation2D()
ControlRegime.sampling = @Sampling()
ControlRegime.iterations = 4
ControlRegime.meta_batch = 2
ControlEvaluation.sources = [@Navigation2D(), @far/Navigation2D()]
ControlEvaluation.sampling = @Sampling()
ControlEvaluation.n_tasks = 3
far/Navigation2D.name = 'far'
far/Navigation2D.goal_range = 2.0
"""


def write_control(folder: Path, *more: str) -> Path:
    """tiny.gin in `folder`, with further lines."""
    path = folder / "tiny.gin"
    path.write_text("\n".join([TINY, *more]), encoding="utf-8")
    return path


def planned_control(folder: Path, *more: str) -> tuple[ControlRunSpec, ...]:
    """The runs of that experiment."""
    experiment, _ = load_experiment(write_control(folder, *more))
    assert isinstance(experiment, ControlExperiment)
    return plan_control(experiment)
