"""Control experiment -> runs. Pure; everything that could go wrong later is looked for, and all of it told at once."""

from collections.abc import Callable, Iterator

from harness import plugins
from harness.control.adaptation import adaptation_of
from harness.control.experiment import ControlEvaluation, ControlExperiment, ControlRegime
from harness.control.policy import fresh_policy
from harness.control.run_spec import (
    ControlEvaluationSpec,
    ControlRunSpec,
    ControlSourceSpec,
    ControlTrainSpec,
    outer_component,
)
from harness.control.source import ControlSource
from harness.errors import HarnessError, PlanError
from harness.inner_loop_method import InnerLoopMethod
from harness.parameters import check_split
from harness.spec import canonical

LONGEST_RUN_ID = 200


def plan_control(experiment: ControlExperiment) -> tuple[ControlRunSpec, ...]:
    """The runs, in the order of the experiment. Raises PlanError with every problem found."""
    problems: list[str] = []
    problems += _repeated("methods", [method.name for method in experiment.methods])
    problems += _repeated("regimes", [regime.label for regime in experiment.regimes])
    problems += _repeated("probes", [probe.name for probe in experiment.probes])
    problems += [
        f"ControlExperiment.trackers names {name} twice: remove one."
        for name in _twice([tracker.name for tracker in experiment.trackers])
    ]
    problems += _repeated("seeds", [str(seed) for seed in experiment.seed_list])
    for source in _sources(experiment):
        _collect(problems, lambda source=source: source.fingerprint())  # type: ignore[misc]
    for regime in experiment.regimes:
        _collect(problems, lambda r=regime: check_split(r.source.name, "train", r.source.splits))  # type: ignore[misc]
        for method in experiment.methods:
            _collect(problems, lambda m=method, r=regime: _check_method(experiment, m, r))  # type: ignore[misc]
        if not list(_evaluations(experiment, regime)):
            size = _size(regime.source)
            problems.append(
                f"A policy trained on {regime.label} (observations of {size[0]}, actions of {size[1]} numbers) can act "
                "in none of the evaluated sources: add one of these sizes to ControlEvaluation.sources."
            )
    for evaluation in experiment.evaluations:
        for source in evaluation.sources:
            _collect(problems, lambda s=source, e=evaluation: check_split(s.name, e.split, s.splits))  # type: ignore[misc]
    problems += _met_by_nobody(experiment)
    problems += _tested_twice(experiment)
    runs = [] if problems else list(_runs(experiment))
    problems += [
        f"The run name {run.run_id!r} is too long for a folder: give the regime a shorter ControlRegime.name."
        for run in runs
        if len(run.run_id) > LONGEST_RUN_ID
    ]
    if problems:
        raise PlanError(list(dict.fromkeys(problems)))
    return tuple(runs)


def _collect(problems: list[str], step: Callable[[], object]) -> None:
    try:
        step()
    except HarnessError as error:
        problems.append(str(error))


def _repeated(what: str, names: list[str]) -> list[str]:
    return [
        f"ControlExperiment.{what} has {name!r} twice: give one another name, or remove it."
        for name in _twice(names)
    ]


def _twice(names: list[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]


def _met_by_nobody(experiment: ControlExperiment) -> list[str]:
    """Sources that no policy of the experiment can act in, which would be left out without a word."""
    trained = {_size(regime.source) for regime in experiment.regimes}
    return [
        f"No policy of this experiment can act in {source.name} (observations of {source.observation_size}, actions of "
        f"{source.action_size} numbers): train one on a source of these sizes, in ControlExperiment.regimes, or take "
        "it out of ControlEvaluation.sources."
        for evaluation in experiment.evaluations
        for source in evaluation.sources
        if _size(source) not in trained
    ]


def _size(source: ControlSource) -> tuple[int, int]:
    return source.observation_size, source.action_size


def _tested_twice(experiment: ControlExperiment) -> list[str]:
    """What would be measured twice: the same tasks, met by the same trajectories."""
    tests = [
        (source.name, evaluation.split, source, evaluation.sampling)
        for evaluation in experiment.evaluations
        for source in evaluation.sources
    ]
    twice = dict.fromkeys(test[:2] for place, test in enumerate(tests) if test in tests[:place])
    return [
        f"ControlExperiment.evaluations tests on the {split} split of {name} twice with the same parameters and "
        "sampling: remove one, and give the other ControlEvaluation.n_tasks that suffice."
        for name, split in twice
    ]


def _sources(experiment: ControlExperiment) -> Iterator[ControlSource]:
    yield from (regime.source for regime in experiment.regimes)
    yield from (source for evaluation in experiment.evaluations for source in evaluation.sources)


def _check_method(experiment: ControlExperiment, method: InnerLoopMethod, regime: ControlRegime) -> None:
    policy = fresh_policy(experiment.network, method, regime.source, seed=0)
    adaptation_of(method, policy, training=True)


def _source_spec(source: ControlSource) -> ControlSourceSpec:
    component = plugins.describe(plugins.CONTROL_SOURCES, source)
    return ControlSourceSpec(name=source.name, component=component, fingerprint=source.fingerprint())


def _evaluations(
    experiment: ControlExperiment, regime: ControlRegime
) -> Iterator[tuple[ControlEvaluation, ControlSource]]:
    """Those that a policy of the regime can act in: their observations and actions have the size of its own."""
    for evaluation in experiment.evaluations:
        for source in evaluation.sources:
            if _size(source) == _size(regime.source):
                yield evaluation, source


def _runs(experiment: ControlExperiment) -> Iterator[ControlRunSpec]:
    network = plugins.describe(plugins.POLICY_NETWORKS, experiment.network)
    probes = tuple(plugins.describe(plugins.POLICY_PROBES, probe) for probe in experiment.probes)
    for regime in experiment.regimes:
        evaluations = tuple(
            ControlEvaluationSpec(
                source=_source_spec(source),
                split=evaluation.split,
                sampling=evaluation.sampling,
                n_tasks=evaluation.n_tasks,
            )
            for evaluation, source in _evaluations(experiment, regime)
        )
        train = ControlTrainSpec(
            source=_source_spec(regime.source),
            sampling=regime.sampling,
            outer=outer_component(regime.outer),
            iterations=regime.iterations,
            meta_batch=regime.meta_batch,
        )
        for method in experiment.methods:
            described = plugins.describe(plugins.POLICY_METHODS, method)
            for seed in experiment.seed_list:
                run = ControlRunSpec(
                    method_name=method.name,
                    method=described,
                    trained_on=regime.label,
                    network=network,
                    train=train,
                    evaluations=evaluations,
                    seed=seed,
                    compute=experiment.compute,
                    probes=probes,
                )
                canonical(run)  # raises ConfigError here rather than in a worker
                yield run
