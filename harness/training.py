"""The outer loop: take what an update learns from, step on its loss, validate now and then, keep checkpoints."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from harness import checkpoint
from harness.checkpoint import TrainingState
from harness.episode_sequence import EpisodeSequence
from harness.evaluation import mean_accuracy
from harness.interruption import DeferredInterrupt
from harness.learner import Learner
from harness.method import Trainable
from harness.outer_gradients import Alone, Gradient, Outer, SharedGradients, Team, of_the_whole
from harness.outer_steps import learning_rate, new_optimiser
from harness.progress import Progress, Report
from harness.read_ahead import ReadAhead
from harness.resources import CHECKPOINT_SECONDS
from harness.spec import RunSpec, TrainSpec
from harness.store import RunFolder
from harness.updates import Updates

REPORT_SECONDS = 0.5


Gradients = AbstractContextManager[Gradient]

Recruit = Callable[[RunSpec, Learner, torch.optim.Optimizer], Team]
"""Forms a team to train a learner, with this process as its first worker."""


class TrainingDivergedError(Exception):
    """The outer loss is no longer a number; the run fails with this message."""


@dataclass(kw_only=True)
class Trainer:
    """One training: what it needs, and `run`, which carries it from where it stands to its last iteration.

    `updates`: what iterations learn from, None for a method that is not trained; its spec has no iterations.
    `validation` holds one sequence for each validation source. `recruit` forms the team of a training that several
    workers share; None for this one alone. `checkpoint_seconds`: between two checkpoints, beside those at validations.
    """

    spec: RunSpec
    method: Trainable
    learner: Learner
    updates: Updates | None
    validation: Sequence[EpisodeSequence]
    folder: RunFolder
    report: Report
    recruit: Recruit | None = None
    checkpoint_seconds: float = CHECKPOINT_SECONDS

    def run(self) -> TrainingState:
        """Train to the last iteration, resuming from the folder's checkpoint; the learner holds the result.

        Ctrl-C finishes the update in hand, saves a checkpoint and raises KeyboardInterrupt.
        Raises TrainingDivergedError for a loss of nan or inf.
        """
        train = self.spec.train
        optimiser = new_optimiser(self.method, train, self.learner)
        found = checkpoint.latest(self.folder, self.spec.training_id)
        if found and found[0] != self.folder.checkpoint:
            self.folder.checkpoint.unlink(
                missing_ok=True
            )  # damaged, and must not take the place of the good one
        state = checkpoint.restore(found[1], self.learner, optimiser) if found else TrainingState()
        self.folder.cut_curve(state.iteration)
        clock = _Clock(state)
        self._keep(state)
        if self.updates is None:
            if found is None:
                self._validate(state)
                self._save(optimiser, state)
            return state
        gradients = self._gradients(self.updates, optimiser, state.iteration)
        with DeferredInterrupt() as interrupt, gradients as gradient:
            while state.iteration < train.iterations:
                self._iterate(optimiser, state, gradient)
                self._keep(state)
                state.seconds = clock.seconds()
                validated = state.iteration % train.validate_every == 0 or state.iteration == train.iterations
                if validated:
                    self._validate(state)
                stopping = interrupt.requested
                if validated or stopping or clock.due("checkpoint", self.checkpoint_seconds):
                    self._save(optimiser, state)
                if validated or stopping or clock.due("report", REPORT_SECONDS):
                    self.report(self._progress(state, clock))
                if stopping:
                    raise KeyboardInterrupt
        if interrupt.requested:  # it came with the last update: the state is saved already
            raise KeyboardInterrupt
        return state

    def _save(self, optimiser: torch.optim.Optimizer, state: TrainingState) -> None:
        checkpoint.save(self.folder, self.spec.training_id, self.learner, optimiser, state)
        if self.folder.mirror is not None:
            self.folder.mirror.push_when_due()

    def _keep(self, state: TrainingState) -> None:
        """The learner as it is now, where a snapshot was asked for."""
        if state.iteration in self.spec.train.snapshots:
            path = self.folder.snapshot(state.iteration)
            checkpoint.save_snapshot(path, self.spec.training_id, self.learner)

    def _gradients(self, updates: Updates, optimiser: torch.optim.Optimizer, first: int) -> Gradients:
        """Where the outer gradients come from, from update `first` on."""
        if self.spec.compute.training_workers == 1:
            return of_the_whole(self.spec, updates, self.learner, first)
        team = self.recruit(self.spec, self.learner, optimiser) if self.recruit else Alone()
        return SharedGradients(spec=self.spec, updates=updates, learner=self.learner, team=team)

    def _iterate(self, optimiser: torch.optim.Optimizer, state: TrainingState, gradient: Gradient) -> None:
        """One outer update."""
        outer = take_step(self.method, self.spec.train, self.learner, optimiser, state.iteration, gradient)
        state.waiting_seconds += outer.waiting_seconds
        if not math.isfinite(outer.loss):
            raise TrainingDivergedError(
                f"The outer loss of {self.method.name} is {outer.loss} at iteration {state.iteration + 1}. "
                "Lower the inner or outer learning rate, or set Regime.gradient_clip."
            )
        state.iteration += 1
        state.loss_sum += outer.loss
        state.loss_count += 1
        if self.spec.compute.training_workers > 1:
            known = state.updates_by_workers
            known[outer.workers] = known.get(outer.workers, 0) + 1

    def _validate(self, state: TrainingState) -> None:
        """Accuracy on the fixed validation episodes; keep the learner if it is the best so far."""
        accuracies = []
        for sequence in self.validation:
            with ReadAhead(sequence, range(self.spec.train.validation_episodes)) as episodes:
                accuracies.append(mean_accuracy(self.method, self.learner, episodes, seed=self.spec.seed))
        accuracy = sum(accuracies) / len(accuracies) if accuracies else None
        if accuracy is not None and accuracy > state.best_valid:
            state.best_valid, state.best_iteration = accuracy, state.iteration
            state.best = {name: value.clone() for name, value in self.learner.state_dict().items()}
        state.last_loss = state.loss_sum / state.loss_count if state.loss_count else None
        state.last_valid = accuracy
        self.folder.append_curve(
            {
                "iteration": state.iteration,
                "loss": state.last_loss,
                "valid_accuracy": state.last_valid,
                "seconds": round(state.seconds, 3),
            }
        )
        state.loss_sum, state.loss_count = 0.0, 0

    def _progress(self, state: TrainingState, clock: "_Clock") -> Progress:
        return Progress(
            run_id=self.spec.run_id,
            state="training",
            done=state.iteration,
            total=self.spec.train.iterations,
            per_second=clock.rate(state.iteration),
            loss=state.loss_sum / state.loss_count if state.loss_count else state.last_loss,
            valid_accuracy=state.last_valid,
        )


def take_step(
    trainer: Trainable,
    train: TrainSpec,
    learner: Learner,
    optimiser: torch.optim.Optimizer,
    iteration: int,
    gradient: Gradient,
) -> Outer:
    """One outer update, the same on every worker of a team; without a step where the loss is nan or inf."""
    learner.train()
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(trainer, train, iteration)
    optimiser.zero_grad(set_to_none=True)
    outer = gradient(iteration)
    if math.isfinite(outer.loss):
        if train.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(learner.parameters(), train.gradient_clip)
        optimiser.step()
    return outer


class _Clock:
    """Wall time of a training across interruptions, and what is due."""

    def __init__(self, state: TrainingState) -> None:
        self._began, self._before = time.perf_counter(), state.seconds
        self._first = state.iteration
        self._last: dict[str, float] = {}

    def seconds(self) -> float:
        return self._before + time.perf_counter() - self._began

    def rate(self, iteration: int) -> float:
        return (iteration - self._first) / max(time.perf_counter() - self._began, 1e-9)

    def due(self, what: str, every: float) -> bool:
        now = time.perf_counter()
        if now - self._last.setdefault(what, self._began) < every:
            return False
        self._last[what] = now
        return True
