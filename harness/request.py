"""What `harness run` and `harness retry` are asked for, and the stage on which that is done."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from harness import damaged_record
from harness.errors import ConfigError
from harness.record import RECORD
from harness.remote.experiment_mirror import ExperimentMirror, check_backend, experiment_mirror, lasting
from harness.remote.places import Place, Url
from harness.stage import Stage
from harness.store import Workspace


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the command line asks for. `out`: a folder or a URL; None for reports/<the experiment's name>."""

    config: Path
    bindings: Sequence[str]
    out: Place | None
    workers: int | None
    backend: str
    address: str | None
    fresh: bool
    data_dir: Path | None
    cache: Path
    demo: bool = False
    first: str = ""

    @property
    def command(self) -> str:
        """The command that gives these results again, without what concerns this machine only.

        `first`, where there is one: the command whose runs are tried again.
        """
        if self.first:
            return self.first
        words = ["harness", "run", str(self.config)]
        words += [word for binding in self.bindings for word in ("--set", binding)]
        words += ["--demo"] if self.demo else []
        return shlex.join(words + (["--out", str(self.out)] if self.out else []))

    def mirror(self) -> ExperimentMirror | None:
        """Of the URL where the experiment is to lie; None for a folder. ConfigError where it cannot lie there."""
        if not isinstance(self.out, Url):
            return None
        check_backend(self.out, self.backend)
        return experiment_mirror(self.out, self.cache)

    def stage(self, experiment: str, config: str, mirror: ExperimentMirror | None, console: Console) -> Stage:
        """Where and how the runs of `experiment` are launched. config: as `record.write_record` takes it.

        Raises ConfigError where a report lies that no `harness run` has written.
        """
        folder = mirror.folder if mirror else self._folder(experiment)
        _check_not_foreign(folder)
        stage = Stage(
            workspace=Workspace(runs=folder / "runs", cache=self.cache, url=mirror.url if mirror else None),
            mirror=mirror,
            command=self.command,
            config=config,
            backend=self.backend,
            workers=self.workers,
            address=self.address,
            data_dir=self.data_dir,
            console=console,
        )
        if isinstance(self.out, Url):
            stage.note(lasting(self.out))
        return stage

    def _folder(self, experiment: str) -> Path:
        return self.out if isinstance(self.out, Path) else Path("reports") / experiment


def _check_not_foreign(folder: Path) -> None:
    """Raises ConfigError where a report lies that no `harness run` has written."""
    theirs = [folder / name for name in ("report.md", "report.html") if (folder / name).exists()]
    if theirs and not any(
        (place / RECORD).exists() or damaged_record.is_there(place) for place in (folder, folder / "runs")
    ):
        raise ConfigError(
            f"{theirs[0]} is there and no experiment's ({folder / RECORD} is missing), and would be replaced: name "
            "another folder with --out, or move it away."
        )
