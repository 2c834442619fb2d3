"""A search whose trials follow from what earlier ones scored: Optuna proposes, through Ray Tune's searcher."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, ClassVar

from harness.errors import ConfigError
from harness.extras import install_command
from harness.parameters import check_whole
from harness.search.ranges import Range
from harness.search.settings import RangeSearch, Rounds

METRIC = "accuracy"


@dataclass(frozen=True, kw_only=True)
class TuneSearch(RangeSearch):
    """Try what Optuna's tree-structured Parzen estimator proposes (Bergstra et al. 2011), first trials at random.

    It is told the mean accuracy of all methods and regimes on their validation episodes, a round of `at_once` trials
    after another; each method and regime still chooses for itself among all trials. The same seed and accuracies give
    the same trials.
    """

    at_once: int = 4

    kind: ClassVar[str] = "search by Ray Tune and Optuna"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("TuneSearch.at_once", self.at_once, low=1)

    def check(self) -> None:
        """Raises ConfigError where Optuna, or what Ray Tune needs, is not installed."""
        for package in ("ray", "optuna", "tensorboardX"):
            if find_spec(package) is None:
                raise ConfigError(
                    f"TuneSearch needs {package}, which is not installed: `{install_command('tune')}` in the folder of "
                    "harness, or use @RandomSearch()."
                )

    def rounds(self, seed: int) -> Rounds:
        """`at_once` trials each."""
        ranges, searcher = self.read_ranges, self._searcher(seed)
        for start in range(0, self.trials, self.at_once):
            names = [f"trial {k}" for k in range(start, min(start + self.at_once, self.trials))]
            suggested = [searcher.suggest(name) for name in names]
            accuracies = yield [
                {binding: _written(found, values[binding]) for binding, found in ranges.items()}
                for values in suggested
            ]
            for name, accuracy in zip(names, accuracies, strict=True):
                result = None if accuracy is None else {METRIC: accuracy}
                searcher.on_trial_complete(name, result=result, error=result is None)

    def _searcher(self, seed: int) -> Any:
        import optuna
        from ray.tune.search.optuna import OptunaSearch

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        space = {name: _distribution(found) for name, found in self.read_ranges.items()}
        sampler = optuna.samplers.TPESampler(seed=seed)
        return OptunaSearch(space=space, metric=METRIC, mode="max", sampler=sampler)


def _distribution(found: Range) -> Any:
    from optuna import distributions

    if found.kind == "choice":
        return distributions.CategoricalDistribution(found.values)
    if found.kind == "whole":
        return distributions.IntDistribution(int(found.low), int(found.high))
    return distributions.FloatDistribution(found.low, found.high, log=found.kind == "log_uniform")


def _written(found: Range, value: Any) -> str:
    return str(value) if found.kind in ("choice", "whole") else found.written(value)
