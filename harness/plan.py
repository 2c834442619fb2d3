"""Experiment -> runs: every method × regime × seed, and the pools they read.

Nothing is written and nothing trained. Everything that could go wrong later is looked for, and all problems
are listed at once.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from harness import plugins
from harness.dataset import Dataset
from harness.episode import EpisodeShape
from harness.errors import HarnessError, PlanError, did_you_mean, named_choices
from harness.experiment import Evaluation, Experiment
from harness.method import can_adapt
from harness.missing_sources import LeftOutSource, without_missing
from harness.planned_sources import PlannedSources, datasets_of, episodes_of, identity
from harness.planned_training import train_spec, training_classes
from harness.planned_workers import compute_of, worker_problems
from harness.spec import EvaluationSpec, ImageSpec, RunSpec, SourceSpec, canonical
from harness.subsets import subsets

LONGEST_RUN_ID = 200

MAX_WAY = 50
"""Rows of the head, unless an experiment has more ways: so that evaluations on more ways share a training."""


@dataclass(frozen=True, kw_only=True)
class PoolNeed:
    """A pool that must be on disk before the runs start."""

    dataset: Dataset
    source: SourceSpec
    split: str
    images: ImageSpec

    @property
    def key(self) -> str:
        """The name of the pool's folder."""
        return self.source.pool_key(self.split, self.images)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be done: the runs, in the order of the experiment, and the pools they read.

    `experiment` is what is left of the one asked for; `left_out` says what is not, and why. `from_pools`: names of
    the sources whose raw data is not there, taken from their pools. `subsets`: clauses, see `harness.subsets`.
    `unprobed`: clauses that say which probes a method does not allow.
    """

    experiment: Experiment
    runs: tuple[RunSpec, ...]
    pools: tuple[PoolNeed, ...]
    left_out: tuple[LeftOutSource, ...]
    from_pools: tuple[str, ...]
    subsets: tuple[str, ...]
    unprobed: tuple[str, ...] = ()


def plan(
    experiment: Experiment, *, data_dir: Path | None, cache: Path, known: PlannedSources | None = None
) -> Plan:
    """Turn `experiment` into runs.

    A source whose raw data is missing is taken from its pools in `cache`, where they are prepared.
    known: sources that were looked up for another plan, in the same places; what is looked up here joins them.
    Raises PlanError with every problem found.
    """
    problems: list[str] = []
    sources = known or PlannedSources(data_dir=data_dir, cache=cache, images=image_spec(experiment))
    sources = replace(sources, images=image_spec(experiment))
    problems += _name_problems(experiment)
    problems += _probe_problems(experiment)
    left_out: tuple[LeftOutSource, ...] = ()
    if experiment.missing_sources == "skip" and not problems:
        experiment, left_out = without_missing(experiment, sources)
        sources.images = image_spec(experiment)
    problems += _way_problems(experiment)
    _collect(problems, lambda: problems.extend(worker_problems(experiment)))
    for dataset in datasets_of(experiment):
        _collect(problems, lambda dataset=dataset: sources.spec(dataset))  # type: ignore[misc]
    for dataset, split, shape, why in episodes_of(experiment):
        problems += sources.episode_problems(dataset, split, shape, why)
    _collect(problems, lambda: _check_network(experiment))
    runs: list[RunSpec] = []
    if not problems:
        _collect(problems, lambda: runs.extend(_runs(experiment, sources)))
    problems += [
        f"The run name {run.run_id!r} is too long for a folder: give the regime a shorter Regime.name."
        for run in runs
        if len(run.run_id) > LONGEST_RUN_ID
    ]
    if problems:
        missing = [dataset.name for dataset in datasets_of(experiment) if sources.is_missing(dataset)]
        raise PlanError(list(dict.fromkeys(problems)), missing=list(dict.fromkeys(missing)))
    needs = tuple(_pools(experiment, sources))
    return Plan(
        experiment=experiment,
        runs=tuple(runs),
        pools=needs,
        left_out=left_out,
        from_pools=tuple(sorted(sources.from_pools)),
        subsets=tuple(subsets(sources, (need.dataset for need in needs))),
        unprobed=tuple(_unprobed(experiment)),
    )


def _collect(problems: list[str], step: Callable[[], object]) -> None:
    """Take a step; a mistake found in it joins `problems`."""
    try:
        step()
    except HarnessError as error:
        problems.append(str(error))


def _probe_problems(experiment: Experiment) -> list[str]:
    asked = experiment.dissimilarity.method if experiment.dissimilarity else None
    known = [method.name for method in experiment.methods]
    if asked is None or asked in known:
        return []
    return [
        f"Dissimilarity.method is {asked!r}, which is no method of this experiment.{did_you_mean(asked, known)} "
        f"Methods: {named_choices(known)}."
    ]


def _name_problems(experiment: Experiment) -> list[str]:
    methods = [method.name for method in experiment.methods]
    regimes = [regime.label for regime in experiment.regimes]
    problems = _reference_problems(experiment.full_adaptation, list(map(str, methods)))
    problems += [
        f"Two methods are called {name!r}: {_renaming('method')}" for name in _repeated(map(str, methods))
    ]
    problems += [f"Two regimes are called {name!r}: {_renaming('regime')}" for name in _repeated(regimes)]
    by_name: dict[str, set[str]] = {}
    for dataset in datasets_of(experiment):
        by_name.setdefault(dataset.name, set()).add(_safe_identity(dataset))
    problems += [
        f"Two sources of different settings are both called {name!r}: {_renaming('source')}"
        for name, kinds in by_name.items()
        if len(kinds) > 1
    ]
    problems += [
        f"Two probes are called {name!r}: {_renaming('probe')}"
        for name in _repeated(str(probe.name) for probe in experiment.probes)
    ]
    problems += [
        f"Experiment.trackers names {name} twice: remove one."
        for name in _repeated(tracker.name for tracker in experiment.trackers)
    ]
    seeds = _repeated(map(str, experiment.seed_list))
    problems += [f"Experiment.seeds lists {seed} twice: remove one." for seed in seeds]
    problems += [f"{what} is evaluated twice: remove one." for what in _repeated(_evaluated(experiment))]
    for kind, names in (("method", methods), ("regime", regimes), ("source", list(by_name))):
        problems += [
            f"The {kind} name {name!r} becomes part of a folder's name: "
            "use letters, digits, '-', '_', '.' and '+' only."
            for name in names
            if not _fits_a_folder(name)
        ]
    return problems


def _reference_problems(full_adaptation: str | None, methods: list[str]) -> list[str]:
    if full_adaptation is None or full_adaptation in methods:
        return []
    return [
        f"Experiment.full_adaptation must be the name of a method of the experiment ({named_choices(methods)}) or "
        f"None; got {full_adaptation!r}.{did_you_mean(full_adaptation, methods)}"
    ]


def _fits_a_folder(name: object) -> bool:
    if not isinstance(name, str) or not name:
        return False
    return not name.startswith(".") and all(c.isalnum() or c in "-_.+" for c in name)


def _renaming(kind: str) -> str:
    example = {"method": "MAML", "regime": "Regime", "source": "Omniglot", "probe": "Freeze"}[kind]
    return (
        f"give one a name with a scope, as in @other/{example}() and "
        f"other/{example}.name = 'other', or remove one."
    )


def _safe_identity(dataset: Dataset) -> str:
    try:
        return identity(plugins.describe(plugins.DATASETS, dataset))
    except HarnessError:  # reported where the source is looked up
        return repr(dataset)


def _repeated(values: Iterable[str]) -> list[str]:
    return [value for value, count in Counter(values).items() if count > 1]


def _evaluated(experiment: Experiment) -> Iterator[str]:
    for evaluation in experiment.evaluations:
        shape = evaluation.shape
        ways = f"{shape.n_way}-way " if shape.n_way else ""
        kind = f"{shape.n_shot}-shot" if isinstance(shape, EpisodeShape) else f"protocol {shape.protocol}"
        for dataset in evaluation.sources:
            yield f"{dataset.name}/{evaluation.split}, {ways}{kind},"


def _way_problems(experiment: Experiment) -> list[str]:
    ways, most = _most_ways(experiment), experiment.max_way
    if most is None or most >= ways:
        return []
    return [
        f"Experiment.max_way is {most}, fewer than the {ways} ways of some episodes: raise it to {ways}, "
        "or leave it out."
    ]


def _most_ways(experiment: Experiment) -> int:
    return max(shape.most_way for _, _, shape, _ in episodes_of(experiment))


def _check_network(experiment: Experiment) -> None:
    """Raises ConfigError for a network that cannot take the images, or cannot compute as asked."""
    body = experiment.network.build(image_spec(experiment).channels, experiment.images.size)
    experiment.compute.check_convolutions(body)


def image_spec(experiment: Experiment) -> ImageSpec:
    """How images of the experiment's sources reach the network."""
    images = experiment.images
    coloured = any(dataset.channels == 3 for dataset in datasets_of(experiment))
    channels = images.channels if images.channels is not None else 3 if coloured else 1
    return ImageSpec(size=images.size, channels=channels, scaling=images.scaling, resize=images.resize)


def _runs(experiment: Experiment, sources: PlannedSources) -> Iterator[RunSpec]:
    network = plugins.describe(plugins.NETWORKS, experiment.network)
    probes = tuple(plugins.describe(plugins.PROBES, probe) for probe in experiment.probes)
    evaluations = tuple(
        spec for evaluation in experiment.evaluations for spec in _evaluation_specs(evaluation, sources)
    )
    ways = experiment.max_way or max(MAX_WAY, _most_ways(experiment))
    for regime in experiment.regimes:
        for method in experiment.methods:
            described = plugins.describe(plugins.METHODS, method)
            trainer = method.trainer
            for seed in experiment.seed_list:
                run = RunSpec(
                    method_name=method.name,
                    method=described,
                    trainer=plugins.describe(plugins.METHODS, trainer),
                    trained_on=regime.label,
                    network=network,
                    batch_norm=experiment.network.batch_norm,
                    max_way=max(ways, training_classes(regime, trainer, sources)),
                    images=image_spec(experiment),
                    train=train_spec(regime, trainer, sources),
                    selection=regime.selection,
                    evaluations=evaluations,
                    seed=seed,
                    probes=probes,
                    compute=compute_of(experiment.compute, trainer),
                )
                canonical(run)  # raises ConfigError here rather than in a worker
                yield run


def _unprobed(experiment: Experiment) -> Iterator[str]:
    """One clause for each method that does not allow some of the probes."""
    asked = [probe.name for probe in experiment.probes if probe.needs_adaptation]
    for method in experiment.methods if asked else ():
        if not can_adapt(method):
            yield f"{method.name} adapts nothing to a task, so it has no rows of {named_choices(asked)}"


def _evaluation_specs(evaluation: Evaluation, sources: PlannedSources) -> Iterator[EvaluationSpec]:
    for dataset in evaluation.sources:
        yield EvaluationSpec(
            source=sources.spec(dataset),
            split=evaluation.split,
            shape=evaluation.shape,
            n_episodes=evaluation.n_episodes,
        )


def _pools(experiment: Experiment, sources: PlannedSources) -> Iterator[PoolNeed]:
    seen: set[str] = set()
    for dataset, split, _, _ in episodes_of(experiment):
        spec = sources.spec(dataset)
        need = PoolNeed(dataset=dataset, source=spec, split=split, images=sources.images)
        if need.key not in seen:
            seen.add(need.key)
            yield need
