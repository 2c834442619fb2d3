"""Where runs live on disk, and how they are read back.

    runs/<run_id>/spec.json        the run's spec
                  status.json      {"state": one of results.STATES, ...}
                  curve.jsonl      one line a validation
                  checkpoint.pt    the learner (current and best), the optimiser, the counters
                  checkpoint.previous.pt  the one before it, until the run is done
                  provenance.json  which code it was made with (see harness.provenance)
                  progress.json    how far it is and where, while it is in flight (see harness.heartbeat)
                  episodes.parquet one row an episode; there only when the run has been evaluated
                  probes.parquet   one row a number of a probe; there only when the run has probes and is done
                  probes_<i>.parquet  those of evaluation i while the others are still measured

One writer a file. Files are written aside and renamed; only curve.jsonl grows line by line, and a torn last
line is left out when it is read.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from harness.errors import WorkspaceError
from harness.files import explained, make_folder, write_aside, write_json, write_text
from harness.results import CURVE_KEYS, EPISODE_COLUMNS, PROBE_COLUMNS, STATES
from harness.spec import Launchable
from harness.written_tables import is_as_written

if TYPE_CHECKING:
    from harness.remote.run_mirror import RunMirror


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """The folders a worker uses: `runs` for results, `cache` for pools.

    url: where the experiment lies, of which `runs` is then a mirror (`harness.remote`); None where it lies here.
    """

    runs: Path
    cache: Path
    url: str | None = None

    def folder(self, run_id: str) -> "RunFolder":
        """The folder of one run; it need not exist."""
        if self.url is None:
            return RunFolder(self.runs / run_id)
        from harness.remote.run_mirror import RunMirror

        return RunFolder(self.runs / run_id, RunMirror(url=self.url, path=self.runs / run_id))

    def with_cache(self, cache: Path) -> "Workspace":
        """The same on a machine that has its cache elsewhere; a mirror lies in the cache."""
        if self.url is None:
            return replace(self, cache=cache)
        from harness.remote.places import mirror_of

        return Workspace(runs=mirror_of(cache, self.url) / "runs", cache=cache, url=self.url)


@dataclass(frozen=True)
class RunFolder:
    """One run's files; `mirror`: what exchanges them with the URL where the experiment lies, if it does."""

    path: Path
    mirror: "RunMirror | None" = field(default=None, compare=False)

    @property
    def checkpoint(self) -> Path:
        """checkpoint.pt, there or not."""
        return self.path / "checkpoint.pt"

    @property
    def previous_checkpoint(self) -> Path:
        """The checkpoint before that, there or not; only while the run trains."""
        return self.path / "checkpoint.previous.pt"

    def snapshot(self, iteration: int) -> Path:
        """The learner as it was after so many updates, there or not."""
        return self.path / f"snapshot-{iteration:06d}.pt"

    @property
    def episodes(self) -> Path:
        """episodes.parquet, there or not."""
        return self.path / "episodes.parquet"

    @property
    def probes(self) -> Path:
        """probes.parquet, there or not."""
        return self.path / "probes.parquet"

    @property
    def provenance(self) -> Path:
        """provenance.json, there or not."""
        return self.path / "provenance.json"

    def probe_part(self, place: int) -> Path:
        """The file of the probes' rows of evaluation number `place`, there or not."""
        return self.path / f"probes_{place}.parquet"

    @property
    def state(self) -> str | None:
        """The state in status.json; None for a run that never started or whose status cannot be read."""
        return self.status().get("state")

    @property
    def is_done(self) -> bool:
        """Whether the run is finished, and its spec, episodes and probes, if it has any, are there and whole."""
        spec = self.spec()
        if self.state != "done" or "method_name" not in spec or not _ends_as_parquet(self.episodes):
            return False
        return _ends_as_parquet(self.probes) if self.probes.exists() else not spec.get("probes")

    def status(self) -> dict[str, Any]:
        """status.json, or an empty dict when there is none or it is damaged."""
        return _json_or_empty(self.path / "status.json")

    def spec(self) -> dict[str, Any]:
        """spec.json, or an empty dict when there is none or it is damaged."""
        return _json_or_empty(self.path / "spec.json")

    def begin(self, spec: Launchable) -> None:
        """Make the folder and write the spec."""
        make_folder(self.path)
        write_json(self.path / "spec.json", spec.to_json())

    def write_status(self, state: str, **details: Any) -> None:
        """Replace status.json."""
        write_json(self.path / "status.json", {"state": state, **details})

    def append_curve(self, line: dict[str, Any]) -> None:
        """Add one line to curve.jsonl."""
        path = self.path / "curve.jsonl"
        with explained(path), path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(line) + "\n")

    def curve(self) -> list[dict[str, Any]]:
        """The lines of curve.jsonl up to the first that is none: the last one is torn where the process was killed."""
        path = self.path / "curve.jsonl"
        return _curve_lines(path.read_bytes())[0] if path.exists() else []

    def cut_curve(self, iteration: int) -> None:
        """Drop curve lines after `iteration`: they were written after the checkpoint that training resumes from."""
        kept = [line for line in self.curve() if line["iteration"] <= iteration]
        write_text(self.path / "curve.jsonl", "".join(json.dumps(line) + "\n" for line in kept))

    def write_episodes(self, frame: pd.DataFrame) -> None:
        """Replace episodes.parquet; columns and types as in results.EPISODE_COLUMNS."""
        typed = _typed(frame, EPISODE_COLUMNS)
        write_aside(self.episodes, lambda aside: typed.to_parquet(aside, index=False))

    def write_table(self, path: Path, frame: pd.DataFrame, columns: dict[str, str]) -> None:
        """Replace one of the folder's tables by `frame`, its columns and types as in `columns`."""
        typed = _typed(frame, columns)
        write_aside(path, lambda aside: typed.to_parquet(aside, index=False))

    def write_probe_part(self, place: int, frame: pd.DataFrame) -> None:
        """Replace the probes' rows of evaluation number `place`; columns and types as in results.PROBE_COLUMNS."""
        typed = _typed(frame, PROBE_COLUMNS)
        write_aside(self.probe_part(place), lambda aside: typed.to_parquet(aside, index=False))

    def join_probe_parts(self, n_parts: int) -> None:
        """Make probes.parquet of the parts 0 .. n_parts - 1, and remove these."""
        parts = [self.probe_part(place) for place in range(n_parts)]
        frames = [_typed(pd.read_parquet(path), PROBE_COLUMNS) for path in parts]
        whole = pd.concat(frames, ignore_index=True)
        write_aside(self.probes, lambda aside: whole.to_parquet(aside, index=False))
        for path in parts:
            path.unlink()


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A run that a report was built without, and why."""

    run_id: str
    reason: str


def run_folders(runs: Path) -> list[RunFolder]:
    """The run folders below `runs`, by name."""
    if not runs.is_dir():
        raise WorkspaceError(
            f"There is no folder {runs}. Name an experiment's folder, for example reports/quickstart."
        )
    return [RunFolder(path) for path in sorted(runs.iterdir()) if path.is_dir()]


def read_episodes(folders: list[RunFolder]) -> tuple[pd.DataFrame, list[LeftOut]]:
    """All episodes of the finished runs, and the runs that are not in them with the reason."""
    return read_finished([(folder, folder.episodes) for folder in folders], EPISODE_COLUMNS)


def read_probes(folders: list[RunFolder]) -> tuple[pd.DataFrame, list[LeftOut]]:
    """All rows of the probes of the finished runs that have any, and the runs that are not in them with the reason.

    Columns are results.PROBE_COLUMNS. Runs without probes are in neither.
    """
    probed = [folder for folder in folders if folder.probes.exists() or folder.spec().get("probes")]
    return read_finished([(folder, folder.probes) for folder in probed], PROBE_COLUMNS)


def read_tables(paths: Sequence[Path], columns: dict[str, str]) -> tuple[pd.DataFrame, list[LeftOut]]:
    """All rows of tables of `columns`, and those that are not there or damaged, by the name of their folder."""
    frames, left_out = [empty_table(columns)], []
    for path in paths:
        try:
            frames.append(_typed(pd.read_parquet(path), columns))
        except FileNotFoundError:
            left_out.append(LeftOut(run_id=path.parent.name, reason="it was not measured"))
        except Exception as error:  # pyarrow raises many kinds for a damaged file
            reason = f"{path.name} cannot be read ({type(error).__name__})"
            left_out.append(LeftOut(run_id=path.parent.name, reason=reason))
    return pd.concat(frames, ignore_index=True), left_out


def empty_table(columns: dict[str, str]) -> pd.DataFrame:
    """A frame of `columns`, name -> type, without rows."""
    return _typed(pd.DataFrame({column: [] for column in columns}), columns)


def read_finished(
    files: Sequence[tuple[RunFolder, Path]], columns: dict[str, str]
) -> tuple[pd.DataFrame, list[LeftOut]]:
    """All rows of files of finished runs, each with its run's folder, and the runs that are not in them and why."""
    frames: list[pd.DataFrame] = []
    left_out: list[LeftOut] = []
    for folder, path in files:
        reason = None
        if folder.state != "done":
            status = folder.status()
            nothing = "status.json is damaged" if (folder.path / "status.json").exists() else "no status"
            state = status.get("state", nothing)
            reason = f"not finished ({state})" if state in STATES and state != "failed" else str(state)
            reason += f": {status['error']}" if "error" in status else ""
        else:
            try:
                if is_as_written(path, folder.status()):
                    frames.append(_typed(pd.read_parquet(path), columns))
                else:
                    reason = f"{path.name} is damaged: it is not as the run wrote it"
            except Exception as error:  # pyarrow raises many kinds for a damaged file
                reason = f"{path.name} cannot be read ({type(error).__name__}: {error})"
        if reason is not None:
            left_out.append(LeftOut(run_id=folder.path.name, reason=reason))
    if len(frames) == 1:  # a copy of what is there would take as long as reading it
        return frames[0], left_out
    return (pd.concat(frames, ignore_index=True) if frames else empty_table(columns)), left_out


def read_curves(
    folders: Sequence[RunFolder], keys: Sequence[str] = tuple(CURVE_KEYS)
) -> tuple[pd.DataFrame, list[LeftOut]]:
    """All learning curves: run_id, method, trained_on, seed and the `keys` of their lines.

    Runs that share one training share one curve; each is listed under its own run_id. With the runs whose
    curve.jsonl cannot be read from some line on.
    """
    rows, cut = [], []
    for folder in folders:
        spec = folder.spec()
        lines, problem = _read_curve(folder)
        if problem:
            cut.append(LeftOut(run_id=folder.path.name, reason=problem))
        for line in lines if spec else []:
            rows.append(
                {
                    "run_id": folder.path.name,
                    "method": spec["method_name"],
                    "trained_on": spec["trained_on"],
                    "seed": spec["seed"],
                    **line,
                }
            )
    columns = ["run_id", "method", "trained_on", "seed", *keys]
    return pd.DataFrame(rows, columns=pd.Index(columns)), cut


def _read_curve(folder: RunFolder) -> tuple[list[dict[str, Any]], str]:
    """The lines, and what is wrong with the file, if anything is."""
    path = folder.path / "curve.jsonl"
    try:
        lines, whole = _curve_lines(path.read_bytes())
    except FileNotFoundError:
        return [], ""
    except OSError as error:
        return [], f"curve.jsonl cannot be read ({type(error).__name__})"
    return lines, "" if whole else f"line {len(lines) + 1} of curve.jsonl is damaged"


def _curve_lines(content: bytes) -> tuple[list[dict[str, Any]], bool]:
    """The lines up to the first that is none of a curve, and whether these are all."""
    lines: list[dict[str, Any]] = []
    for text in content.splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            return lines, False
        if not isinstance(line, dict) or not isinstance(line.get("iteration"), int):
            return lines, False
        if not all(isinstance(number, int | float | None) for number in line.values()):
            return lines, False
        lines.append(line)
    return lines, True


def _ends_as_parquet(path: Path) -> bool:
    """Whether the file is there and ends as its writer ended it: a torn one does not."""
    try:
        with path.open("rb") as handle:
            handle.seek(-4, os.SEEK_END)
            return handle.read() == b"PAR1"
    except OSError:
        return False


def _typed(frame: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    return frame[list(columns)].astype(columns)


def _json_or_empty(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
