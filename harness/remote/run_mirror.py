"""One run's files, here and at a URL: what is pushed when, and what is pulled.

Pushed: the curve, then snapshots and checkpoint.pt, then results, then the manifest, and status.json last, so that a
run is never `done` at the URL before its results are there. Pulled: status.json is read first and written last, for
the same reason here. Whoever changed a run at the URL last is right: a run that was deleted there on purpose
(`remote.tombstones`) is deleted here, one that another machine has taken further or begun anew replaces the one here,
and what was only gone on with here stays, as does what the URL has lost: that is sent again.
"""

import shutil
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import HarnessError
from harness.files import explained, make_folder, write_aside
from harness.remote import manifest
from harness.remote.manifest import Entry, entries_of, entry_of
from harness.remote.objects import TRIES, Objects
from harness.remote.tombstones import tombstone
from harness.siblings import training_of
from harness.store import RunFolder

PUSH_SECONDS = 60.0
"""Between two pushes of a run in flight, at least."""

SHARE = 20.0
"""And at least so many times as long as the last one took: pushing takes no more than a twentieth of a run's time."""

BEAT_SECONDS = 30.0
"""Between two pushes of progress.json."""

NETWORK = ".pt"
"""The end of the names of files that hold networks: large, and not needed for a report."""

STATUS, SPEC, PROGRESS, PROVENANCE = "status.json", "spec.json", "progress.json", "provenance.json"
RESULTS = ("episodes.parquet", "probes.parquet")
PICTURES = ("paths.npz", "frames.png")
"""What a run on control tasks keeps for its report."""


@dataclass(kw_only=True)
class RunMirror:
    """The run in the local folder `path`, and at `url`/runs/<the folder's name>."""

    url: str
    path: Path
    _pushed_at: float = field(default_factory=time.monotonic)
    _took: float = 0.0
    _beat_at: float = float("-inf")
    _beating: threading.Thread | None = None

    def pull(self, training_id: str | None = None, *, networks: bool = True) -> None:
        """Take what another machine has left of this run, and of runs that share its training; see `take`.

        Raises WorkspaceError where the URL cannot be read.
        """
        objects = Objects(url=self.url)
        status = objects.read(self._key(STATUS))
        described = objects.read(self._key(manifest.FILE))
        deleted = described is None and objects.read(tombstone(self.path.name)) is not None
        self.take(status, described, deleted=deleted, networks=networks and not self.is_finished)
        if training_id is not None and not self.is_finished:
            self._pull_siblings(objects, training_id)

    def take(
        self, status: bytes | None, described: bytes | None, *, deleted: bool, networks: bool = True
    ) -> bool:
        """Make the local files those that the manifest `described` names; without `networks`, not the networks.

        status: that at the URL, read before the manifest. deleted: what is not there was deleted on purpose. Where the
        URL is as this machine has left it, files that are here stay, for it may have gone on with them since.
        Returns whether the URL has lost the run, finished here: the next push sends all of it again.
        """
        known = self._known()
        if described is None:
            if known is not None and deleted:
                shutil.rmtree(self.path, ignore_errors=True)
            elif known is not None:
                (self.path / manifest.FILE).unlink(missing_ok=True)
                return self.is_finished
            elif status is not None and self._folder.state is None:
                self._write(STATUS, status)
            return False
        entries = entries_of(described, self.url)
        if not entries:  # damaged: nothing can be told from it, and the next push replaces it
            (self.path / manifest.FILE).unlink(missing_ok=True)
            return False
        changed = described != known and not self._has_results(entries)
        if changed:
            own = [path for path in self._to_send() if path.name not in entries]
            for path in (self.path / STATUS, self._folder.previous_checkpoint, *own):
                path.unlink(missing_ok=True)
        for name, entry in entries.items():
            self._take_file(name, entry, changed=changed, networks=networks)
        if self.is_finished and not changed:
            return False
        self._write(manifest.FILE, described)
        if status is not None:
            self._write(STATUS, status)
        return False

    def push(self, *, again: Collection[str] = (), tries: int = TRIES) -> None:
        """Send what has changed here; also the files named `again`, which the URL has lost.

        Raises WorkspaceError where the URL cannot be written; what was sent is there, the rest is sent next time.
        """
        began, objects = time.monotonic(), Objects(url=self.url, tries=tries)
        known = entries_of(self._known(), self.url)
        entries, sent = dict(known), self._to_send()
        for path in sent:
            entry = entry_of(path)
            if known.get(path.name) != entry or path.name in again:
                objects.send(path, self._key(path.name))
                entries[path.name] = entry
        here = {path.name for path in sent}
        joined = [name for name in entries if name.startswith("probes_") and name not in here]
        for name in joined:
            del entries[name]
        content = manifest.written(entries)
        if content != self._known() or manifest.FILE in again:
            objects.write(self._key(manifest.FILE), content)
            if self._known() is None:  # it has been begun anew, so that it is deleted no more
                objects.delete([tombstone(self.path.name)])
            self._write(manifest.FILE, content)
        self._push_status(objects)
        objects.delete(map(self._key, joined))
        self._pushed_at, self._took = time.monotonic(), time.monotonic() - began

    def push_when_due(self) -> None:
        """As `push`, unless the last one was lately, or takes long. Raises as `push` does."""
        if time.monotonic() - self._pushed_at >= max(PUSH_SECONDS, SHARE * self._took):
            self.push()

    def push_status(self, *, tries: int = TRIES) -> None:
        """Send spec.json and status.json alone, of a run whose other files are not all here."""
        objects = Objects(url=self.url, tries=tries)
        if (self.path / SPEC).exists():
            objects.send(self.path / SPEC, self._key(SPEC))
        self._push_status(objects)

    def push_progress(self, *, last: bool = False) -> None:
        """Send progress.json now and then, in a thread: a hint, for which no run waits and which no run misses.

        last: the run has stopped, so send it now, in one try.
        """

        def send() -> None:
            with suppress(HarnessError, OSError):
                Objects(url=self.url, tries=1).send(self.path / PROGRESS, self._key(PROGRESS))

        if last:
            send()
            return
        busy = self._beating is not None and self._beating.is_alive()
        if busy or time.monotonic() - self._beat_at < BEAT_SECONDS:
            return
        self._beat_at = time.monotonic()
        self._beating = threading.Thread(target=send, name="harness-beat", daemon=True)
        self._beating.start()

    def finish(self, listing: Mapping[str, int], status_there: bytes | None) -> None:
        """Send what the URL lacks of a run that is finished here: what was never sent, and what was torn or lost.

        listing: key -> size of the files at the URL.
        """
        wanted = [SPEC, *(name for name in (PROVENANCE, *PICTURES, *RESULTS) if (self.path / name).exists())]
        lost = {name for name in wanted if listing.get(self._key(name)) != (self.path / name).stat().st_size}
        if self._key(manifest.FILE) not in listing:
            lost.add(manifest.FILE)
        if lost or status_there != (self.path / STATUS).read_bytes():
            self.push(again=lost)

    @property
    def is_finished(self) -> bool:
        """Whether the run is finished here."""
        return self._folder.is_done

    @property
    def _folder(self) -> RunFolder:
        return RunFolder(self.path)

    def _key(self, name: str) -> str:
        return f"runs/{self.path.name}/{name}"

    def _known(self) -> bytes | None:
        """The manifest that this machine has last seen or sent; None where it has seen none."""
        try:
            return (self.path / manifest.FILE).read_bytes()
        except OSError:
            return None

    def _write(self, name: str, content: bytes) -> None:
        make_folder(self.path)
        write_aside(self.path / name, lambda aside: aside.write_bytes(content))

    def _push_status(self, objects: Objects) -> None:
        if (self.path / STATUS).exists():
            objects.write(self._key(STATUS), (self.path / STATUS).read_bytes())

    def _to_send(self) -> list[Path]:
        """In the order in which they are sent: whoever resumes from a checkpoint must find its curve."""

        def found() -> Iterator[Path]:
            yield from (self.path / name for name in (SPEC, PROVENANCE, "curve.jsonl"))
            yield from sorted(self.path.glob(f"snapshot-*{NETWORK}"))
            yield self.path / "checkpoint.pt"
            yield from sorted(self.path.glob("probes_*.parquet"))
            yield from (self.path / name for name in (*PICTURES, *RESULTS))

        return [path for path in found() if path.is_file()]

    def _has_results(self, entries: Mapping[str, Entry]) -> bool:
        """Whether the run is finished here, with just the results that are at the URL."""
        own = [name for name in RESULTS if (self.path / name).exists()]
        return self.is_finished and all(entries.get(name) == entry_of(self.path / name) for name in own)

    def _take_file(self, name: str, entry: Entry, *, changed: bool, networks: bool) -> None:
        path = self.path / name
        if path.exists() and (not changed or entry_of(path) == entry):
            return
        if not networks and name.endswith(NETWORK):
            with explained(path):
                path.unlink(missing_ok=True)  # another machine has gone on from it
            return
        self._fetch(name, entry)

    def _fetch(self, name: str, entry: Entry) -> None:
        """Fetch a file until it is what the manifest says.

        Where it stays different, a machine was lost between sending the file and the manifest. Of results nothing is
        then kept; a checkpoint or a curve is newer than the manifest, and whoever reads it notices where it is torn.
        """
        path = self.path / name
        for _ in range(2):
            if not Objects(url=self.url).fetch(self._key(name), path):
                return
            if entry_of(path) == entry:
                return
        if name.endswith(".parquet"):
            path.unlink()

    def _pull_siblings(self, objects: Objects, training_id: str) -> None:
        """The networks of runs that share the training, where there are none of them here."""
        runs = self.path.parent
        listing = objects.listing("runs")
        ids = sorted({key.split("/")[1] for key in listing if key.count("/") == 2} - {self.path.name})
        pull_specs(objects, runs, ids)
        for sibling in (RunFolder(runs / run_id) for run_id in ids):
            own = f"runs/{sibling.path.name}/"
            if training_of(sibling.path) != training_id or sibling.checkpoint.exists():
                continue
            names = [key.removeprefix(own) for key in listing if key.startswith(own)]
            for name in (
                PROVENANCE,
                "curve.jsonl",
                *sorted(name for name in names if name.endswith(NETWORK)),
            ):
                if name in names:
                    objects.fetch(own + name, sibling.path / name)


def pull_specs(objects: Objects, runs: Path, ids: Collection[str]) -> None:
    """Fetch spec.json of the runs that are not here yet; a run's spec never changes."""
    missing = [f"runs/{run_id}/{SPEC}" for run_id in ids if not (runs / run_id / SPEC).exists()]
    for key, content in objects.read_all(missing).items():
        path = runs.parent / key
        make_folder(path.parent)
        write_aside(path, lambda aside, content=content: aside.write_bytes(content))  # type: ignore[misc]
