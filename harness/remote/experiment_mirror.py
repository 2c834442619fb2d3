"""An experiment at a URL, as the process that launches its runs works on it: pulled before, pushed after."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ConfigError
from harness.files import make_folder, write_aside
from harness.record import CONFIG, RECORD
from harness.remote import manifest
from harness.remote.objects import Objects
from harness.remote.places import Url, mirror_of
from harness.remote.run_mirror import STATUS, RunMirror, pull_specs
from harness.remote.tombstones import deleted_runs, leave

FIGURES = "figures/"

REPORT = (
    "leaderboard.csv",
    "leaderboard.parquet",
    "leaderboard.tex",
    "reuse.csv",
    "trends.csv",
    "distances.csv",
    "across.parquet",
    "returns.csv",
    "tasks.csv",
    "verdicts.csv",
    CONFIG,
    "report.md",
    "report.html",
    RECORD,
)
"""What lies beside runs/ and belongs to the report, beside its figures; in the order in which it is sent."""


@dataclass(frozen=True, kw_only=True)
class ExperimentMirror:
    """The experiment at `url`, mirrored in `folder`. All methods raise WorkspaceError where the URL fails them.

    is_copy: nothing was made in the folder, so that it has what is at the URL and no more.
    """

    url: str
    folder: Path
    is_copy: bool = False

    @property
    def objects(self) -> Objects:
        """What lies at the URL."""
        return Objects(url=self.url)

    def run(self, run_id: str) -> RunMirror:
        """One run's mirror."""
        return RunMirror(url=self.url, path=self.folder / "runs" / run_id)

    def pull_record(self) -> None:
        """The record and configuration of the last `harness run`, and what was measured after its runs."""
        names = [f"runs/{RECORD}", f"runs/{CONFIG}", RECORD, CONFIG]
        found = self.objects.read_all(names)
        for name in names:
            if name in found:
                make_folder((self.folder / name).parent)
                write_aside(
                    self.folder / name,
                    lambda aside, content=found[name]: aside.write_bytes(content),  # type: ignore[misc]
                )
            else:
                (self.folder / name).unlink(missing_ok=True)

    def pull_runs(
        self, wanted: Collection[str] | None = None, *, networks: bool = False, finish: bool = False
    ) -> list[str]:
        """Take what changed of the runs at the URL: of `wanted`, or of all; their networks too where asked for.

        finish: send what the URL lacks of runs that are finished here. Returns the runs that are finished here and that
        the URL has lost, though nobody has deleted them.
        """
        objects = self.objects
        listing = objects.listing("runs")
        there = sorted({key.split("/")[1] for key in listing if key.count("/") == 2})
        pull_specs(objects, self.folder / "runs", there)
        ids = sorted({*there, *self._sent_before()}) if wanted is None else wanted
        keys = [f"runs/{run_id}/{STATUS}" for run_id in ids]
        statuses = objects.read_all(
            key for key in keys if key in listing
        )  # before the manifests, see RunMirror
        keys = [f"runs/{run_id}/{manifest.FILE}" for run_id in ids]
        manifests = objects.read_all(key for key in keys if key in listing)
        deleted = set(ids) if self.is_copy else deleted_runs(objects)
        lost = []
        for run_id in ids:
            mirror, status = self.run(run_id), statuses.get(f"runs/{run_id}/{STATUS}")
            described = manifests.get(f"runs/{run_id}/{manifest.FILE}")
            if mirror.take(status, described, deleted=run_id in deleted, networks=networks):
                lost.append(run_id)
            if finish and mirror.is_finished:
                mirror.finish(listing, status)
        self._pull_tables(listing)
        return lost

    def _sent_before(self) -> list[str]:
        """The runs here that have been at the URL."""
        return [path.parent.name for path in (self.folder / "runs").glob(f"*/{manifest.FILE}")]

    def _pull_tables(self, listing: dict[str, int]) -> None:
        """Distances and comparisons: their names say what they hold, so one that is here is the same."""
        for key in listing:
            if key.count("/") == 1 and key.endswith(".parquet") and not (self.folder / key).exists():
                self.objects.fetch(key, self.folder / key)

    def push_record(self) -> None:
        """What the runs are made for, before they begin and when they have ended."""
        for name in (CONFIG, RECORD):
            self.objects.send(self.folder / "runs" / name, f"runs/{name}")

    def push_report(self) -> None:
        """The report with its figures and tables; what an earlier report has left at the URL goes."""
        objects = self.objects
        listing = objects.listing()
        for path in sorted((self.folder / "runs").glob("*.parquet")):
            if listing.get(f"runs/{path.name}") != path.stat().st_size:
                objects.send(path, f"runs/{path.name}")
        figures = sorted(path for path in (self.folder / FIGURES).glob("*") if path.is_file())
        names = [*(f"{FIGURES}{path.name}" for path in figures), *REPORT]
        sent = [name for name in names if (self.folder / name).is_file()]
        for name in sent:
            objects.send(self.folder / name, name)
        written = (key for key in listing if key.startswith(FIGURES) or key in REPORT)
        objects.delete(key for key in written if key not in sent)

    def delete(self, run_ids: Iterable[str], tables: Iterable[str] = ()) -> None:
        """Remove runs and files right below runs/ at the URL: status first, lest a run seem done without results.

        Other machines then delete what they have of these runs.
        """
        listing, gone = self.objects.listing("runs"), set(run_ids)
        keys = [key for key in listing if key.count("/") > 1 and key.split("/")[1] in gone]
        keys.sort(key=lambda key: (not key.endswith(f"/{STATUS}"), key))
        self.objects.delete([*keys, *(f"runs/{name}" for name in tables)])
        leave(self.objects, sorted(gone))


def experiment_mirror(url: Url, cache: Path) -> ExperimentMirror:
    """That of this machine; raises ConfigError where the URL's file system has no driver here."""
    Objects(url=url.text).check()
    return ExperimentMirror(url=url.text, folder=mirror_of(cache, url.text).resolve())


def check_backend(url: Url, backend: str) -> None:
    """Raises ConfigError for a URL that only this process sees, where others are to work on it."""
    if url.protocol == "memory" and backend != "serial":
        raise ConfigError(
            f"{url} lies in the memory of one process, where Ray's workers do not see it: use --backend serial, or "
            "another URL."
        )


def lasting(url: Url) -> str:
    """One sentence on a URL whose content does not outlast the command; empty for all others."""
    if url.protocol != "memory":
        return ""
    return (
        f"Note: {url} lies in this process's memory: all results are gone when the command ends. Name a folder, or "
        "another URL, to keep them."
    )
