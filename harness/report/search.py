"""The sections on a search: what each method and regime chose, in short and with every trial and what it scored."""

from collections.abc import Sequence
from pathlib import Path

from harness.report.blocks import Block, Said, Section
from harness.report.markdown import bold
from harness.report.settings import DASH, Table
from harness.search.choice import Score, Unscored, score
from harness.search.recorded import RecordedSearch, RecordedSlot
from harness.store import RunFolder

NOTHING = "nothing that is searched concerns it"
NO_TRIAL = "no trial has finished"


def search_sections(search: RecordedSearch, runs: Path) -> tuple[Section, Section]:
    """What was chosen in short, and the whole, with the scores from the folders of the trials below `runs`.

    The same runs and record give the same sections.
    """
    return _in_short(search), _whole(search, runs)


def _in_short(search: RecordedSearch) -> Section:
    """One sentence for each regime; methods that chose alike stand together."""
    said = []
    for regime in dict.fromkeys(slot.trained_on for slot in search.slots):
        alike: dict[str, list[str]] = {}
        for slot in search.slots:
            if slot.trained_on == regime:
                alike.setdefault(_choice(search, slot), []).append(slot.method)
        text = "; ".join(f"{', '.join(methods)}: {choice}" for choice, methods in alike.items())
        said.append(Said(f"Trained on {regime}", f"{text}."))
    return Section(title="Chosen on validation", note="", blocks=(Block(said=tuple(said)),))


def _whole(search: RecordedSearch, runs: Path) -> Section:
    found = {run_id: score(RunFolder(runs / run_id)) for run_id in search.trial_runs}
    n, seed = len(search.values), search.seed
    note = (
        f"A {search.kind} of {n} {'trial' if n == 1 else 'trials'}, each trained with seed {seed} alone, chose these "
        "values for each method and regime by itself: the highest accuracy on episodes of the valid split, which are "
        "not those that selected the checkpoint; the first of equal ones. ± is half the 95 % interval over these "
        "episodes: it says nothing about another seed. The accuracy of what was chosen is the largest of several, so "
        "it flatters; results are of the test."
    )
    chosen = Table(
        columns=("Method", "Trained on", "Chosen", "Validation accuracy, %", "Trial"),
        rows=tuple(_chosen(search, slot, found) for slot in search.slots),
    )
    blocks = [Block(table=chosen)]
    blocks += [_trials(search, slot, found) for slot in search.slots if slot.concerns]
    return Section(title="", note=note, blocks=tuple(blocks))


def _chosen(
    search: RecordedSearch, slot: RecordedSlot, found: dict[str, Score | Unscored]
) -> tuple[str, ...]:
    if slot.chosen is None:
        return slot.method, slot.trained_on, NO_TRIAL, DASH, DASH
    run = slot.runs[slot.chosen]
    return (
        slot.method,
        slot.trained_on,
        _choice(search, slot),
        _said(found[run]),
        _numbers(_sharing(slot, run)),
    )


def _choice(search: RecordedSearch, slot: RecordedSlot) -> str:
    if slot.chosen is None:
        return NO_TRIAL
    values = search.values[slot.chosen]
    return ", ".join(f"{name} = {values[name]}" for name in slot.concerns) or NOTHING


def _trials(search: RecordedSearch, slot: RecordedSlot, found: dict[str, Score | Unscored]) -> Block:
    """One row for each of its runs: trials in which nothing else differs are one run."""
    rows = []
    for run in dict.fromkeys(slot.runs):
        trials = _sharing(slot, run)
        values = (search.values[trials[0]][name] for name in slot.concerns)
        reached = _said(found[run])
        is_chosen = slot.chosen is not None and slot.runs[slot.chosen] == run
        rows.append((_numbers(trials), *values, bold(reached) if is_chosen else reached))
    return Block(
        title=f"Trials of {slot.method}, trained on {slot.trained_on}",
        table=Table(columns=("Trial", *slot.concerns, "Validation accuracy, %"), rows=tuple(rows)),
    )


def _sharing(slot: RecordedSlot, run: str) -> list[int]:
    return [k for k, other in enumerate(slot.runs) if other == run]


def _numbers(trials: Sequence[int]) -> str:
    """Counted from 1: `3`, `1, 4`, or `1, 3 and 18 more`."""
    shown = ", ".join(str(k + 1) for k in trials[:4])
    return shown if len(trials) <= 4 else f"{shown} and {len(trials) - 4} more"


def _said(found: Score | Unscored) -> str:
    if isinstance(found, Unscored):
        return found.reason
    return f"{100 * found.accuracy:.1f} ± {100 * found.half:.1f}"
