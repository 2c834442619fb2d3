"""Small experiments for the tests of config, plan, launch and the command line."""

from pathlib import Path

import pytest

from harness.config import load_experiment
from harness.errors import ConfigError
from harness.plan import Plan, plan
from harness.pools import ensure_pool
from harness.spec import RunSpec
from harness.store import Workspace

TINY = """
# One method of each kind on drawn glyphs, seconds to train.
Experiment.name = 'tiny'
Experiment.methods = [@MAML(), @ANIL(), @NIL()]
Experiment.network = @Conv4()
Experiment.images = @Images()
Experiment.regimes = [@Regime()]
Experiment.evaluations = [@Evaluation()]
NIL.trainer = @ANIL()
Conv4.filters = 4
Images.size = 16
Glyphs.n_classes = 40
Regime.sources = [@Glyphs()]
Regime.shape = @train/EpisodeShape()
Regime.iterations = 4
Regime.meta_batch = 2
Regime.validate_every = 2
Regime.validation_episodes = 2
Evaluation.sources = [@Glyphs()]
Evaluation.shape = @EpisodeShape()
Evaluation.n_episodes = 3
EpisodeShape.n_way = 5
EpisodeShape.n_query = 2
train/EpisodeShape.n_query = 1
"""


def write_tiny(folder: Path, *more: str) -> Path:
    """Write tiny.gin into `folder`, with `more` lines at its end; its last line number is 24 + len(more)."""
    path = folder / "tiny.gin"
    path.write_text(TINY + "".join(line + "\n" for line in more), encoding="utf-8")
    return path


def prepared(folder: Path, *more: str) -> tuple[Plan, Workspace]:
    """The plan of tiny.gin with `more` lines, its pools in `folder`/cache; runs go to `folder`/runs."""
    experiment, _ = load_experiment(write_tiny(folder, *more))
    cache = folder / "cache"
    made = plan(experiment, data_dir=None, cache=cache)
    for need in made.pools:
        ensure_pool(need.dataset, need.source, need.split, need.images, data_dir=None, cache=cache)
    (folder / "runs").mkdir(exist_ok=True)
    return made, Workspace(runs=folder / "runs", cache=cache)


def tiny_runs(folder: Path, seeds: object = 1) -> tuple[RunSpec, ...]:
    """The runs of tiny.gin, written into `folder`; their pools are not prepared."""
    experiment, _ = load_experiment(write_tiny(folder), [f"Experiment.seeds={seeds}"])
    return plan(experiment, data_dir=None, cache=folder / "cache").runs


def refused(config: Path, *bindings: str) -> str:
    """The sentence with which the file is refused."""
    with pytest.raises(ConfigError) as caught:
        load_experiment(config, bindings)
    message = str(caught.value)
    assert "Traceback" not in message
    assert "In call to" not in message, "gin's own wording has leaked"
    assert message.endswith((".", "?"))
    return message
