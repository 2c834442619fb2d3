"""What a run will roughly cost, before it has run. Good for ordering runs and for planning a day, no more.

The model: a run's work is the number of pixels that pass through the network, forwards or backwards. A rate
in pixels a second turns it into time: measured on finished runs of the same trainer and network where there
are any, otherwise a guess for one CPU core.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

from harness import plugins
from harness.episode import Shape, VariableShape
from harness.method import BatchTrained, Method, Trainable, can_adapt
from harness.plugins import Component
from harness.probe import Probe
from harness.spec import RunSpec, canonical
from harness.store import Workspace, run_folders

if TYPE_CHECKING:
    from harness.learner import Learner

GUESSED_RATE = 5e6
"""Pixels a second of one CPU core, between those seen for MAML and for ANIL on four strided blocks; others differ."""

MEAN_FILL = 0.75
"""Of the largest support set, what Meta-Dataset's episodes hold on average (0.2 on Omniglot, 0.8 on MSCOCO)."""

BACKWARD = 2
"""A backward pass costs about two forward passes."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Seconds of one core that a run still takes. `measured`: the rate comes from finished runs."""

    run_id: str
    seconds: float
    measured: bool


def training_work(spec: RunSpec) -> float:
    """Pixels through the network while training and validating."""
    train = spec.train
    trainer: Trainable = plugins.build(plugins.METHODS, spec.trainer)
    if isinstance(trainer, BatchTrained):
        images = float(trainer.batch_size)
    else:
        steps = _steps(spec, spec.trainer, testing=False)
        images = train.meta_batch * (_queries(train.shape) + (1 + 2 * steps) * _supports(train.shape))
    rounds = max(1, -(-train.iterations // train.validate_every))
    validations = rounds * train.validation_episodes * len(train.validation_sources)
    return spec.images.size**2 * (
        train.iterations * (1 + BACKWARD) * images
        + validations * _prediction(train.validation_shape, _steps(spec, spec.trainer, testing=True))
    )


def evaluation_work(spec: RunSpec) -> float:
    """Pixels through the network while evaluating."""
    pixels = spec.images.size**2
    steps = _steps(spec, spec.method, testing=True)
    return sum(pixels * e.n_episodes * _prediction(e.shape, steps) for e in spec.evaluations)


def probing_work(spec: RunSpec) -> float:
    """Pixels through the network while the probes are measured; 0 without probes.

    Of what a probe computes besides, as a decomposition of features, it counts what `Probe.work` says.
    """
    method: Method = plugins.build(plugins.METHODS, spec.method)
    steps, n_layers = method.adaptation_steps, len(_learner(spec).body.layers)
    passes = 0.0
    for component in spec.probes:
        probe: Probe = plugins.build(plugins.PROBES, component)
        if probe.needs_adaptation and not can_adapt(method):
            continue
        work = probe.work(n_layers, steps)
        for evaluation in spec.evaluations:
            one = work.adaptations * _prediction(evaluation.shape, steps) + work.spare_passes * probe.n_spare
            passes += min(probe.n_episodes, evaluation.n_episodes) * one
    return spec.images.size**2 * passes


@dataclass(frozen=True, kw_only=True)
class Work:
    """Of one run, in pixels through the network: its training, its evaluation, its probes."""

    training: float
    evaluation: float
    probing: float

    @property
    def whole(self) -> float:
        """All of it."""
        return self.training + self.evaluation + self.probing


class Works:
    """The work of runs, found once for those that differ in their seeds alone: it takes a network to be built."""

    def __init__(self) -> None:
        self._found: dict[str, Work] = {}

    def of(self, spec: RunSpec) -> Work:
        """That of one run."""
        key = replace(spec, seed=0).run_id
        if key not in self._found:
            self._found[key] = Work(
                training=training_work(spec), evaluation=evaluation_work(spec), probing=probing_work(spec)
            )
        return self._found[key]


def estimate(runs: Sequence[RunSpec], workspace: Workspace) -> list[Estimate]:
    """What is left of each run, in order: give all runs of a plan, for the finished ones tell the rate.

    A finished run costs nothing. A training is charged once, to the first run that waits for it, and not at
    all where a finished run below `workspace` has it. What an interrupted run has behind it is not deducted.
    """
    works = Works()
    rates = _measured_rates(runs, workspace, works)
    charged = _finished_trainings(workspace)
    estimates = []
    for run in runs:
        if workspace.folder(run.run_id).is_done:
            estimates.append(Estimate(run_id=run.run_id, seconds=0.0, measured=True))
            continue
        work = works.of(run)
        pixels = work.evaluation + work.probing
        if run.training_id not in charged:
            charged.add(run.training_id)
            pixels += work.training
        rate = rates.get(_kind(run))
        seconds = pixels / (rate or GUESSED_RATE)
        estimates.append(Estimate(run_id=run.run_id, seconds=seconds, measured=rate is not None))
    return estimates


def _finished_trainings(workspace: Workspace) -> set[str]:
    """The trainings whose learner a new run takes over, whatever plan they were made for."""
    folders = run_folders(workspace.runs) if workspace.runs.is_dir() else []
    return {str(folder.spec().get("training_id")) for folder in folders if folder.is_done}


def _measured_rates(runs: Iterable[RunSpec], workspace: Workspace, works: Works) -> dict[str, float]:
    """Pixels a second of the finished runs, by trainer and network."""
    found: dict[str, list[float]] = {}
    for run in runs:
        folder = workspace.folder(run.run_id)
        seconds = folder.status().get("training_seconds")
        if folder.is_done and isinstance(seconds, int | float) and seconds > 0:
            found.setdefault(_kind(run), []).append(works.of(run).training / seconds)
    return {kind: median(rates) for kind, rates in found.items()}


def _kind(spec: RunSpec) -> str:
    return f"{canonical(spec.trainer)} {canonical(spec.network)} {spec.images.size}"


def _steps(spec: RunSpec, component: Component, *, testing: bool) -> float:
    """Inner steps, counted in passes through the whole body: steps on the head alone cost next to nothing."""
    from harness.gradient_adaptation import GradientAdaptation
    from harness.inner_loop_method import InnerLoopMethod

    method: Method = plugins.build(plugins.METHODS, component)
    if testing and isinstance(method, GradientAdaptation):
        steps = method.adaptation_steps
    elif isinstance(method, InnerLoopMethod):
        steps = method.inner_steps
    else:
        return 0.0
    learner = _learner(spec)
    layers = len(learner.body.layers)
    share = 1 - learner.first_adapted(method.adapted_layers(learner)) / layers
    return share * steps


def _learner(spec: RunSpec) -> "Learner":
    network = plugins.build(plugins.NETWORKS, spec.network)
    trainer: Trainable = plugins.build(plugins.METHODS, spec.trainer)
    return trainer.init(network.build(spec.images.channels, spec.images.size), spec.max_way)


def _prediction(shape: Shape, steps: float) -> float:
    return _queries(shape) + (1 + (1 + BACKWARD) * steps) * _supports(shape)


def _supports(shape: Shape) -> float:
    if isinstance(shape, VariableShape):
        return MEAN_FILL * shape.max_support
    return shape.n_way * shape.n_shot


def _queries(shape: Shape) -> float:
    if isinstance(shape, VariableShape):
        return shape.max_query * (shape.n_way or (shape.min_way + shape.max_way) / 2)
    return shape.n_way * shape.n_query


GUESSED = "a guess, good to a factor of three or so"


def basis(guesses: Sequence[Estimate]) -> str:
    """What the estimates go by, in words; the least certain counts."""
    return "rates of finished runs" if all(guess.measured for guess in guesses) else GUESSED


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
