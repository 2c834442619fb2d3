"""What a person sees while runs are in flight: a live table on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from harness.attempt import Outcome
from harness.cost import duration
from harness.plan import Plan
from harness.progress import Progress

PLAIN_SECONDS = 30.0
"""Between two lines about the same run, where there is no terminal."""

HASH_SHOWN = 3
"""Characters of a run's hash that its shortened name has at least."""

NUMBERS_WIDTH = 62
"""Columns of a terminal that the live table needs beside the runs' names."""


@dataclass
class Display:
    """Takes what `launch` and the pools say and shows it on `console`.

    Lines are never more often than every PLAIN_SECONDS for one run, unless its state changes. starting: what is started
    before the first run says something.
    """

    console: Console
    n_runs: int
    starting: str = "workers"
    live: Live | None = None
    flying: dict[str, Progress] = field(default_factory=dict)
    heard: bool = False
    ended: int = 0
    last: dict[str, tuple[str, float]] = field(default_factory=dict)

    def progress(self, progress: Progress) -> None:
        """A run says how far it is."""
        self.flying[progress.run_id] = progress
        self.heard = True
        if self.live is not None:
            self.live.update(self.table())
        elif self._due(progress.run_id, progress.state):
            self.console.print(_line(progress), highlight=False, soft_wrap=True)

    def outcome(self, outcome: Outcome) -> None:
        """A run has ended."""
        self.flying.pop(outcome.run_id, None)
        self.ended += 1
        if self.live is not None:
            self.live.update(self.table())  # before the line that says so: it counts the same
        after = f" after {duration(outcome.seconds)}" if outcome.seconds else ""  # it may not have begun
        style = "red" if outcome.state == "failed" else "green"
        self.console.print(
            f"[{style}]{outcome.state}[/] {outcome.run_id}{after} ({self.ended} of {self.n_runs})",
            highlight=False,
            soft_wrap=True,
        )

    def say(self, sentence: str) -> None:
        """Show a sentence as it is. From any thread."""
        self.console.print(escape(sentence), highlight=False, soft_wrap=True)

    def pool(self, name: str, done: int, total: int) -> None:
        """A pool is being prepared."""
        if self._due(f"pool {name}", "last" if done >= total else "first"):
            self.console.print(
                f"preparing {name}: {done} of {total} classes", highlight=False, soft_wrap=True
            )

    def table(self) -> Table:
        """One line a run in flight."""
        title = f"{self.ended} of {self.n_runs} runs ended"
        if not self.flying and self.ended < self.n_runs:
            title += f"; starting {'the next' if self.heard else self.starting} ..."
        table = Table(box=None, title=title, title_justify="left")
        table.show_header = bool(self.flying)
        for name in ("run", "state", "done", "per s", "loss", "valid", "left"):
            table.add_column(name, justify="left" if name in ("run", "state") else "right", no_wrap=True)
        for progress in self.flying.values():
            name = shortened(progress.run_id, self.console.width - NUMBERS_WIDTH)
            table.add_row(name, progress.state, *_cells(progress))
        return table

    def _due(self, subject: str, state: str) -> bool:
        now = time.monotonic()
        known = self.last.get(subject)
        due = known is None or known[0] != state or now - known[1] >= PLAIN_SECONDS
        if due:
            self.last[subject] = (state, now)
        return due


@contextmanager
def showing(console: Console, n_runs: int, starting: str = "workers") -> Iterator[Display]:
    """A display, as `Display` says, for the length of the block: live where `console` is a terminal."""
    display = Display(console=console, n_runs=n_runs, starting=starting)
    if not console.is_terminal:
        yield display
        return
    with Live(console=console, refresh_per_second=2, transient=True) as live:
        display.live = live
        live.update(display.table())
        yield display


def shortened(run_id: str, width: int) -> str:
    """`run_id` in at most `width` characters, at least 12: with less of its hash, then also without its middle.

    Some of the hash stays, which tells the trials of a search apart; `harness show` takes what is left for the run.
    """
    width = max(width, 12)
    if len(run_id) <= width:
        return run_id
    least = run_id[: run_id.rfind("-") + 1 + HASH_SHOWN]
    if len(least) <= width:
        return run_id[:width]
    tail = least[-(width // 2) :]
    return f"{least[: width - 1 - len(tail)]}…{tail}"


def _cells(progress: Progress) -> tuple[str, ...]:
    left = progress.seconds_left
    return (
        f"{progress.done}/{progress.total}",
        f"{progress.per_second:.1f}" if progress.per_second else "",
        "" if progress.loss is None else f"{progress.loss:.3f}",
        "" if progress.valid_accuracy is None else f"{100 * progress.valid_accuracy:.1f} %",
        "" if left is None else duration(left),
    )


def _line(progress: Progress) -> str:
    done, rate, loss, valid, left = _cells(progress)
    parts = [f"{progress.run_id}: {progress.state} {done}"]
    parts += [f"{rate}/s"] if rate else []
    parts += [f"loss {loss}"] if loss else []
    parts += [f"valid {valid}"] if valid else []
    parts += [f"{left} left"] if left else []
    return ", ".join(parts)


def say_what_is_unlike(planned: Plan, data_dir: Path | None, console: Console) -> None:
    """Print in what the experiment is unlike the one asked for: what is left out, subsets, and old pools.

    data_dir: where raw data was looked for; None for nowhere.
    """
    where = "there" if data_dir is None else f"in {data_dir}"
    said = [("Left out", f"{left.source}, {left.where}: {left.reason}") for left in planned.left_out]
    said += [("A subset", f"{clause}; not comparable with published numbers") for clause in planned.subsets]
    said += [("From its pools", f"{name}, as its raw data is not {where}") for name in planned.from_pools]
    said += [("Not probed", clause) for clause in planned.unprobed]
    for what, clause in said:
        console.print(f"[bold]{what}:[/] {escape(clause)}.", highlight=False, soft_wrap=True)
