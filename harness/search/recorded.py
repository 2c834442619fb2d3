"""A search as an experiment's record keeps it: enough to read its trials back from their folders alone."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import WorkspaceError
from harness.search.planned import PlannedSearch

WRITTEN_AGAIN = "Run the same `harness run` again: it writes it anew, and keeps this one under another name."


@dataclass(frozen=True, kw_only=True)
class RecordedSlot:
    """One method and regime. runs: the id of its run in each trial. chosen: the trial's place, None for none so far."""

    method: str
    trained_on: str
    concerns: tuple[str, ...]
    runs: tuple[str, ...]
    chosen: int | None


@dataclass(frozen=True, kw_only=True)
class RecordedSearch:
    """kind: what the search is called. seed: of all trials. values: of each trial, binding -> value as gin text."""

    kind: str
    seed: int
    values: tuple[Mapping[str, str], ...]
    slots: tuple[RecordedSlot, ...]

    @property
    def trial_runs(self) -> tuple[str, ...]:
        """The id of each run once, trial after trial."""
        every = (slot.runs[k] for k in range(len(self.values)) for slot in self.slots)
        return tuple(dict.fromkeys(every))

    def trials_of(self, run_id: str) -> str:
        """The numbers of the trials that a run is of, from 1, as `2` or `2, 5` or `2 and 7 more`; empty for none."""
        numbers = [
            k + 1 for k in range(len(self.values)) if any(slot.runs[k] == run_id for slot in self.slots)
        ]
        return (
            ", ".join(map(str, numbers)) if len(numbers) <= 4 else f"{numbers[0]} and {len(numbers) - 1} more"
        )

    def is_of_same_trials(self, other: "RecordedSearch | None") -> bool:
        """Whether the other has the same trials, or the first of them, or goes on with others; whatever was chosen."""
        if other is None or len(self.slots) != len(other.slots):
            return False
        n = min(len(self.values), len(other.values))
        return all(a.runs[:n] == b.runs[:n] for a, b in zip(self.slots, other.slots, strict=True))

    def with_later(self, earlier: "RecordedSearch") -> "RecordedSearch":
        """This one and the later trials of `earlier`, which has the same first ones; nothing is chosen yet."""
        if len(earlier.values) <= len(self.values):
            return self
        slots = tuple(replace(slot, chosen=None) for slot in earlier.slots)
        return replace(self, values=earlier.values, slots=slots)

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)


def recorded(planned: PlannedSearch, chosen: Sequence[int | None] | None = None) -> RecordedSearch:
    """The record of a search; `chosen` says which trial each slot chose, None that there is no choice yet."""
    return RecordedSearch(
        kind=planned.search.kind,
        seed=planned.seed,
        values=planned.values,
        slots=tuple(
            RecordedSlot(
                method=slot.method_name,
                trained_on=slot.trained_on,
                concerns=slot.concerns,
                runs=tuple(run.run_id for run in slot.trials),
                chosen=k,
            )
            for slot, k in zip(planned.slots, chosen or [None] * len(planned.slots), strict=True)
        ),
    )


def read_search(content: Any, path: Path) -> RecordedSearch | None:
    """The search of the JSON data of the record `path`, None for None. Raises WorkspaceError for anything else."""
    if content is None:
        return None
    try:
        found = RecordedSearch(
            kind=str(content["kind"]),
            seed=int(content["seed"]),
            values=tuple({str(name): str(text) for name, text in one.items()} for one in content["values"]),
            slots=tuple(_slot(one) for one in content["slots"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WorkspaceError(_damaged(path)) from error
    n = len(found.values)
    whole = all(len(slot.runs) == n and (slot.chosen is None or 0 <= slot.chosen < n) for slot in found.slots)
    if not whole or not all(Path(run).name == run and run not in ("", ".", "..") for run in found.trial_runs):
        raise WorkspaceError(_damaged(path))
    return found


def _slot(content: Mapping[str, Any]) -> RecordedSlot:
    chosen = content["chosen"]
    return RecordedSlot(
        method=str(content["method"]),
        trained_on=str(content["trained_on"]),
        concerns=tuple(map(str, content["concerns"])),
        runs=tuple(map(str, content["runs"])),
        chosen=None if chosen is None else int(chosen),
    )


def _damaged(path: Path) -> str:
    return f"{path} is damaged or foreign in what it says of a search. {WRITTEN_AGAIN}"
