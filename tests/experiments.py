"""Small experiments for the tests of config, plan, launch and the command line."""

from pathlib import Path

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
