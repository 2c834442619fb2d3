"""One launch of an experiment's runs and what goes with it: announced, recorded, shown, tracked and timed."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from harness import damaged_record
from harness.attempt import Execute, Outcome
from harness.cost import basis, duration, estimate
from harness.display import showing
from harness.errors import FEW_NAMES
from harness.launch import launch
from harness.plan import Plan
from harness.plugin_code import plugin_digests
from harness.provenance import changed_before
from harness.record import read_record, timed, write_record
from harness.remote.experiment_mirror import ExperimentMirror
from harness.resources import Resources
from harness.search.recorded import RecordedSearch
from harness.spec import Launchable
from harness.store import Workspace
from harness.tracking.following import following
from harness.tracking.tracker import Tracker
from harness.wording import counted, first_few
from harness.written_tables import discard_damaged


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Where and how an experiment's runs are launched, and what its record says of that.

    mirror: of the URL where the experiment lies; None for a folder. command, config: as `record.write_record` takes
    them. backend, workers, address, data_dir: as `launch.launch` does.
    """

    workspace: Workspace
    mirror: ExperimentMirror | None
    command: str
    config: str
    backend: str
    workers: int | None
    address: str | None
    data_dir: Path | None
    console: Console

    def say(self, text: str) -> None:
        """One line, as it is."""
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)

    def note(self, text: str) -> None:
        """As `say`, where there is something to say."""
        if text:
            self.say(text)

    def record_before(self) -> dict[str, Any]:
        """The record that is there; a damaged one is put aside first, which is said. Raises as `put_aside` does."""
        folder = self.workspace.runs.parent
        for was, kept in damaged_record.put_aside(folder):
            self.say(f"{was} is damaged: it is kept as {kept.name}, and written again from this command.")
        return read_record(folder)

    def announce(self, planned: Plan, what: str) -> None:
        """Say what is ahead: `what`, how much of it is done, and what the rest takes."""
        self.discard_damaged(planned.runs)
        guesses = [guess for guess in estimate(planned.runs, self.workspace) if guess.seconds > 0]
        seconds = sum(guess.seconds for guess in guesses)
        self.say_ahead(planned.experiment.name, planned.runs, what, seconds, basis(guesses))

    def discard_damaged(self, runs: Sequence[Launchable]) -> None:
        """Finished runs of whose tables one is not as it was written are to make it again, which is said."""
        for path in discard_damaged(self.workspace.folder(run.run_id) for run in runs):
            self.say(f"{path} is damaged, and is made again.")

    def say_ahead(
        self, experiment: str, runs: Sequence[Launchable], what: str, seconds: float, by: str
    ) -> None:
        """As `announce`, of runs whose rest takes so many seconds of one core. by: what that goes by, in words."""
        done = sum(self.workspace.folder(run.run_id).is_done for run in runs)
        finished = f", {done} of them done already" if done else ""
        ahead = f"; very roughly {duration(seconds)} of one core ({by})" if done < len(runs) else ""
        self.say(f"{experiment}: {what}{finished}{ahead}.")

    def say_what_is_replaced(self, before: dict[str, Any], runs: Sequence[Launchable]) -> None:
        """One experiment's folder holds one report: say so when the record `before` was about other runs."""
        others = set(before.get("runs", ())) - {run.run_id for run in runs}
        if others:
            self.say(
                f"Note: the report in {self.workspace.runs.parent} will be about these runs only; "
                f"{counted(len(others), 'run')} of other settings {'leaves' if len(others) == 1 else 'leave'} it and "
                f"{'stays' if len(others) == 1 else 'stay'} in runs/. Use --out to keep both reports."
            )

    def launch(
        self,
        planned: Plan,
        *,
        began: float,
        search: RecordedSearch | None = None,
        trials: bool = False,
        after: Callable[[], None] | None = None,
    ) -> list[Outcome]:
        """Record `planned`, execute its runs and, within the time that counts from `began`, do what comes `after`.

        search: where there is one, what is known of it. trials: the runs are its trials and no results.
        Raises as `launch.launch` does.
        """
        before, results = (
            read_record(self.workspace.runs.parent),
            replace(planned, runs=() if trials else planned.runs),
        )
        write_record(before, results, self.command, self.config, self.workspace, search)

        def ended() -> None:
            self.pull(planned)
            if after is not None:
                after()

        asked = planned.experiment
        return self.execute(
            planned.runs,
            asked.resources,
            began=began,
            after=ended,
            experiment=asked.name,
            trackers=asked.trackers,
        )

    def execute(
        self,
        runs: Sequence[Launchable],
        resources: Resources,
        *,
        began: float,
        after: Callable[[], None],
        experiment: str,
        trackers: Sequence[Tracker] = (),
        execute: Execute | None = None,
    ) -> list[Outcome]:
        """Execute runs whose record is written, shown, logged and timed; then, within that time, what comes `after`.

        Raises as `launch.launch` does, which says what `resources` and `execute` are.
        """
        if self.mirror:
            self.mirror.push_record()
        installed = plugin_digests(run.to_json() for run in runs)
        for sentence in changed_before(runs, self.workspace, installed):
            self.say(f"Note: {sentence}")
        waiting = sum(not self.workspace.folder(run.run_id).is_done for run in runs)
        with (
            showing(self.console, waiting, _starting(self.backend, self.address)) as display,
            following(runs, self.workspace, display, experiment=experiment, trackers=trackers) as watcher,
            timed(self.workspace.runs, began, waiting > 0),
        ):
            outcomes = launch(
                runs,
                self.workspace,
                backend=self.backend,
                workers=self.workers,
                address=self.address,
                resources=resources,
                data_dir=self.data_dir,
                on_progress=watcher.progress,
                on_outcome=watcher.outcome,
                on_note=self.say,
                execute=execute,
            )
            after()
        return outcomes

    def push_report(self) -> None:
        """Where the experiment lies at a URL: send its report and what its record has become there."""
        if self.mirror:
            self.mirror.push_record()
            self.mirror.push_report()
            self.say(f"Sent to {self.mirror.url}")

    def pull(self, planned: Plan, *, finish: bool = False, everything: bool = False) -> None:
        """What is at the URL of the runs, their networks too where something is measured on these after the runs.

        finish: send what the URL lacks of runs that are finished here. everything: also of runs that are in no plan.
        """
        asked = planned.experiment
        networks = asked.dissimilarity is not None or asked.across is not None
        wanted = None if everything else [run.run_id for run in planned.runs]
        self.pull_runs(wanted, networks=networks, finish=finish)

    def pull_runs(
        self, wanted: Collection[str] | None, *, networks: bool = False, finish: bool = False
    ) -> None:
        """As `ExperimentMirror.pull_runs`, where the experiment lies at a URL; says what that has lost."""
        lost = self.mirror.pull_runs(wanted, networks=networks, finish=finish) if self.mirror else []
        if self.mirror and lost:
            named = first_few(lost, FEW_NAMES)
            then = "what is here was sent again" if finish else "the same command sends what is here again"
            self.say(f"{self.mirror.url} has lost {counted(len(lost), 'finished run')} ({named}): {then}.")


def _starting(backend: str, address: str | None) -> str:
    """What takes its time before the first run says something."""
    if backend == "serial":
        return "the first run"
    return "workers in Ray's cluster" if address else "Ray and its workers, which takes up to half a minute"
