"""Search -> trials: for each method and regime, what is trained with which values, and what would then be run.

A trial is the experiment's text with the trial's values bound, planned like any other. Of its runs, those of one seed
are scored on validation episodes instead of being tested; the rest are what the experiment runs if it is chosen.
Equal runs of different trials are one run.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from harness.errors import ConfigError, PlanError
from harness.experiment import Experiment
from harness.plan import Plan, PoolNeed, image_spec, plan
from harness.planned_sources import PlannedSources
from harness.search.settings import Search, Values
from harness.spec import EvaluationSpec, RunSpec

Load = Callable[[Sequence[str]], Experiment]
"""The bindings of a trial -> the experiment with them."""

STREAM = "/search"
"""Episodes of their own: those that selected the checkpoint flatter the trial whose checkpoints vary most, and those
of a test on the valid split must not have chosen what they test."""

PROBED = 3
"""Trials at which it is tried out whether another value of a binding makes another run."""


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One method and regime, which chooses for itself.

    concerns: the bindings that make a difference to it. trials: its run in each trial, on validation episodes. finals:
    of each trial, the runs of all seeds on the experiment's evaluations, with the trial's values.
    """

    method_name: str
    trained_on: str
    concerns: tuple[str, ...]
    trials: tuple[RunSpec, ...]
    finals: tuple[tuple[RunSpec, ...], ...]


@dataclass(frozen=True, kw_only=True)
class PlannedSearch:
    """The trials of an experiment that are known. base: its plan without any. values: of each trial.

    pools: what all of them read.
    """

    base: Plan
    search: Search
    seed: int
    values: tuple[Values, ...]
    slots: tuple[Slot, ...]
    pools: tuple[PoolNeed, ...]
    planner: "_Planner" = field(repr=False, compare=False)

    def extended(self, more: Sequence[Values]) -> "PlannedSearch":
        """The search with further trials. Raises as `plan_search` does."""
        return self.planner.planned([*self.values, *more])

    @property
    def trial_runs(self) -> tuple[RunSpec, ...]:
        """Each run once, trial after trial."""
        every = (slot.trials[k] for k in range(len(self.values)) for slot in self.slots)
        return tuple({run.run_id: run for run in every}.values())

    def of_trials(self) -> Plan:
        """The trials as a plan."""
        return replace(self.base, runs=self.trial_runs, pools=self.pools)

    def of_everything(self) -> Plan:
        """The trials and all runs that any choice would lead to, as a plan."""
        finals = [run for slot in self.slots for runs in slot.finals for run in runs]
        runs = {run.run_id: run for run in (*self.trial_runs, *finals)}
        return replace(self.base, runs=tuple(runs.values()), pools=self.pools)

    def with_chosen(self, chosen: Sequence[int | None]) -> Plan:
        """The experiment's plan with the chosen trial of each slot; a slot without one has no runs."""
        runs = (
            run for slot, k in zip(self.slots, chosen, strict=True) if k is not None for run in slot.finals[k]
        )
        return replace(self.base, runs=tuple(runs), pools=self.pools)


class _Planner:
    """Plans trials of one experiment, each of them once."""

    def __init__(self, search: Search, base: Plan, load: Load, *, data_dir: Path | None, cache: Path) -> None:
        self._search, self._base, self._load = search, base, load
        self._known = PlannedSources(data_dir=data_dir, cache=cache, images=image_spec(base.experiment))
        self._plans: dict[tuple[tuple[str, str], ...], Plan] = {}
        self.seed = base.experiment.seed_list[0] if search.seed is None else search.seed

    def planned(self, values: Sequence[Values]) -> PlannedSearch:
        """The search with these trials. Raises as `plan_search` does."""
        search, plans = self._search, [self._plan(trial) for trial in values]
        trials = [self._trial_runs(trial) for trial in values]
        concerns = _concerns(values, trials, self._trial_runs)
        _check_effects(search, concerns)
        return PlannedSearch(
            base=self._base,
            search=search,
            seed=self.seed,
            values=tuple(values),
            slots=tuple(
                Slot(
                    method_name=method,
                    trained_on=regime,
                    concerns=tuple(name for name in search.bindings if place in concerns[name]),
                    trials=tuple(runs[place] for runs in trials),
                    finals=tuple(tuple(_of(made, place)) for made in plans),
                )
                for place, (regime, method) in enumerate(_places(self._base.runs))
            ),
            pools=tuple({need.key: need for made in (self._base, *plans) for need in made.pools}.values()),
            planner=self,
        )

    def _plan(self, trial: Values) -> Plan:
        key = tuple(trial.items())
        if key not in self._plans:
            bindings = [f"{name} = {text}" for name, text in key]
            experiment = self._load(bindings)
            try:
                made = plan(
                    experiment, data_dir=self._known.data_dir, cache=self._known.cache, known=self._known
                )
            except PlanError as error:
                said = ", ".join(bindings)
                raise PlanError([f"With {said}: {problem}" for problem in error.problems]) from None
            _check_alike(self._search, trial, self._base, made)
            self._plans[key] = made
        return self._plans[key]

    def _trial_runs(self, trial: Values) -> list[RunSpec]:
        """Slot by slot: its run on the search's seed, on validation episodes and without probes."""
        made = self._plan(trial)
        found = []
        for place in range(len(_places(made.runs))):
            run = next(_of(made, place))
            evaluations = _validation(run, self._search)
            found.append(replace(run, seed=self.seed, evaluations=evaluations, probes=()))
        return found


def plan_search(
    search: Search, base: Plan, load: Load, *, data_dir: Path | None, cache: Path
) -> PlannedSearch:
    """Plan every trial of the first round, which is all of them unless they depend on what others score.

    Nothing is written and nothing trained.
    Raises ConfigError for a trial that cannot be read, that would score on other episodes than the others, or be tested
    otherwise, for a binding that makes no difference to any, and for what is not installed; PlanError where there is
    nothing to validate on.
    """
    search.check()
    _check_validation(base)
    planner = _Planner(search, base, load, data_dir=data_dir, cache=cache)
    return planner.planned(next(search.rounds(planner.seed)))


def _places(runs: Sequence[RunSpec]) -> list[tuple[str, str]]:
    """(trained on, method) of every slot, in the order of the experiment."""
    return list(dict.fromkeys((run.trained_on, run.method_name) for run in runs))


def _of(made: Plan, place: int) -> Iterator[RunSpec]:
    key = _places(made.runs)[place]
    return (run for run in made.runs if (run.trained_on, run.method_name) == key)


def _validation(run: RunSpec, search: Search) -> tuple[EvaluationSpec, ...]:
    train = run.train
    return tuple(
        EvaluationSpec(
            source=source,
            split="valid",
            shape=train.validation_shape,
            n_episodes=search.n_episodes or train.validation_episodes,
            stream=STREAM,
        )
        for source in train.validation_sources
    )


def _check_validation(base: Plan) -> None:
    without = dict.fromkeys(run.trained_on for run in base.runs if not run.train.validation_sources)
    if without:
        raise PlanError(
            [
                f"Experiment.search chooses on validation episodes, and the regime {name!r} has no validation source: "
                "name one in Regime.validation_sources, or leave out the search."
                for name in without
            ]
        )


def _check_alike(search: Search, trial: Values, base: Plan, made: Plan) -> None:
    """Raises ConfigError for a trial whose runs cannot stand beside those of the others."""
    said = ", ".join(f"{name} = {text}" for name, text in trial.items())
    subject = f"{type(search).__name__}: the trial with {said}"
    if _places(made.runs) != _places(base.runs):
        raise ConfigError(
            f"{subject} changes what methods or regimes are called, so their trials cannot be told apart: give the "
            "regime a Regime.name, and leave names out of the search."
        )
    for one, other in zip(base.runs, made.runs, strict=True):
        if _validation(one, search) != _validation(other, search):
            raise ConfigError(
                f"{subject} is scored on other validation episodes than the rest, so that their accuracies cannot be "
                "compared: give the searched class a scope of its own, as in train/EpisodeShape.n_shot, or set "
                "Regime.validation_shape and Regime.validation_sources."
            )
        if one.evaluations != other.evaluations:
            raise ConfigError(
                f"{subject} is tested on other episodes than the rest: give the searched class a scope of its own, "
                "as in train/EpisodeShape.n_shot, so that Evaluation stays as it is."
            )


def _concerns(
    values: Sequence[Values], trials: Sequence[Sequence[RunSpec]], run: Callable[[Values], Sequence[RunSpec]]
) -> dict[str, set[int]]:
    """Binding -> the slots to which it makes a difference; one that has the same value in all trials concerns all.

    At the first few trials, the binding alone is given the value of another trial; in a grid that is a trial, too.
    """
    known = {tuple(trial.items()): runs for trial, runs in zip(values, trials, strict=True)}
    found: dict[str, set[int]] = {}
    for name in values[0]:
        pairs = _neighbours(name, values)
        found[name] = set() if pairs else set(range(len(trials[0])))
        for one, other in pairs:
            runs = known.get(tuple(other.items())) or run(other)
            mine = known[tuple(one.items())]
            found[name] |= {
                place for place, (a, b) in enumerate(zip(mine, runs, strict=True)) if a.run_id != b.run_id
            }
    return found


def _neighbours(name: str, values: Sequence[Values]) -> list[tuple[Values, Values]]:
    """Pairs of trials that differ in `name` alone; where there are none, the first few with another trial's value."""
    alike: dict[tuple[str, ...], list[Values]] = {}
    for trial in values:
        rest = tuple(text for other, text in trial.items() if other != name)
        alike.setdefault(rest, []).append(trial)
    inside = [pair for group in alike.values() for pair in pairwise(group) if pair[0][name] != pair[1][name]]
    if inside:
        return inside
    firsts: list[tuple[Values, Values]] = []
    for trial in values[:PROBED]:
        other = next((one[name] for one in values if one[name] != trial[name]), None)
        firsts += [] if other is None else [(trial, {**trial, name: other})]
    return firsts


def _check_effects(search: Search, concerns: Mapping[str, set[int]]) -> None:
    for name, places in concerns.items():
        if not places:
            raise ConfigError(
                f"{type(search).__name__}: {name!r} makes no difference to the training or validation of any method "
                "here: leave it out."
            )
