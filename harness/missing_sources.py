"""What is left of an experiment whose sources are not all there, where it asks to go on without them."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from harness.dataset import Dataset
from harness.errors import DataError, MissingDataError, PlanError
from harness.experiment import Evaluation, Experiment, Regime
from harness.planned_sources import PlannedSources


@dataclass(frozen=True, kw_only=True)
class LeftOutSource:
    """A source that an experiment goes on without.

    where: what it was for, such as `training (all)` or `evaluation (test)`. reason: a clause, without the
    places of this machine. advice: one sentence for whoever wants it back.
    """

    source: str
    where: str
    reason: str
    advice: str


def without_missing(
    experiment: Experiment, sources: PlannedSources
) -> tuple[Experiment, tuple[LeftOutSource, ...]]:
    """The experiment without the sources that are not there, and without splits that have no classes.

    A source that is there and damaged, or has too few classes or images, stays: that is a problem to mend.
    Raises PlanError when a regime has nothing left to train on, or nothing is left to evaluate on.
    """
    search = _Search(sources)
    regimes = [_regime(regime, search) for regime in experiment.regimes]
    found = [_evaluation(evaluation, search) for evaluation in experiment.evaluations]
    evaluations = [evaluation for evaluation in found if evaluation is not None]
    problems = [
        f"No training source of the regime {regime.label!r} is there: {_listed(regime.sources)}. "
        "Fetch one, or train on sources that are there."
        for regime, left in zip(experiment.regimes, regimes, strict=True)
        if left is None
    ]
    if not evaluations:
        problems.append("No source to evaluate on is there: fetch one.")
    if problems:
        messages = [left.advice for left in search.left_out]
        missing = [left.source for left in search.left_out]
        raise PlanError(list(dict.fromkeys([*problems, *messages])), missing=list(dict.fromkeys(missing)))
    kept = [regime for regime in regimes if regime is not None]
    left = replace(experiment, regimes=kept, evaluations=evaluations)
    return left, tuple(dict.fromkeys(search.left_out))


@contextmanager
def hinted(config: Path, bindings: Sequence[str], *, demo: bool) -> Iterator[None]:
    """Add to a PlanError about missing sources the commands that help. `demo`: stand-ins can be drawn."""
    try:
        yield
    except PlanError as error:
        if error.missing:
            words = [str(config), *(word for binding in bindings for word in ("--set", binding))]
            command = shlex.join(words)
            error.hints = [
                "All of them in one folder: name it with --data DIR or HARNESS_DATA. One that is elsewhere, alone:",
                *(f"  harness data prepare {command} --only {name} --from PATH" for name in error.missing),
                "Without them: --set \"Experiment.missing_sources = 'skip'\"; the report says what was left out.",
                *(
                    [f"To see it all on drawn stand-ins, without any data: harness run {command} --demo"]
                    if demo
                    else []
                ),
            ]
        raise


class _Search:
    """Tells which sources are there, and remembers which are not."""

    def __init__(self, sources: PlannedSources) -> None:
        self._sources = sources
        self.left_out: list[LeftOutSource] = []

    def present(self, datasets: Sequence[Dataset], split: str, where: str) -> list[Dataset]:
        """Those of `datasets` that have classes in `split`, as far as can be told."""
        kept = []
        for dataset in datasets:
            found = self._why_not(dataset, split)
            if found is None:
                kept.append(dataset)
            else:
                reason, advice = found
                self.left_out.append(
                    LeftOutSource(source=dataset.name, where=where, reason=reason, advice=advice)
                )
        return kept

    def _why_not(self, dataset: Dataset, split: str) -> tuple[str, str] | None:
        try:
            self._sources.spec(dataset)
            if split in dataset.splits and len(self._sources.content(dataset, split).sizes):
                return None
        except MissingDataError as error:
            return "its raw data is not there", str(error)
        except DataError:  # it is there and damaged: a problem that planning reports
            return None
        reason = f"what is there of it has no classes in the {split} split"
        return reason, f"The source {dataset.name!r}: {reason}. Use another source or split."


def _regime(regime: Regime, search: _Search) -> Regime | None:
    """The regime with what is there; None when nothing is left to train on.

    Where no validation source is left, the last checkpoint counts: there is nothing to select by.
    """
    label = regime.name or "the regime"
    training = search.present(regime.sources, "train", f"training ({label})")
    if not training:
        return None
    wanted = training if regime.validation_sources is None else regime.validation_sources
    validation = search.present(wanted, "valid", f"validation ({label})")
    if not validation and regime.validation_sources is not None:
        validation = search.present(training, "valid", f"validation ({label})")
    selection = regime.selection if validation else "last"
    return replace(regime, sources=training, validation_sources=validation, selection=selection)


def _evaluation(evaluation: Evaluation, search: _Search) -> Evaluation | None:
    """The evaluation with what is there; None when that is nothing."""
    kept = search.present(evaluation.sources, evaluation.split, f"evaluation ({evaluation.split})")
    return replace(evaluation, sources=kept) if kept else None


def _listed(datasets: Sequence[Dataset]) -> str:
    return ", ".join(dataset.name for dataset in datasets)
