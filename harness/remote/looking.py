"""Copies of an experiment at a URL for commands that look and do not run, apart from the mirror that runs work in.

A copy has what reports are made of. An outline has the small files, and of the others only their sizes: enough to say
where runs stand and what may go.
"""

from pathlib import Path

from harness.errors import WorkspaceError
from harness.files import explained, make_folder, write_aside
from harness.record import CONFIG, RECORD
from harness.remote import manifest
from harness.remote.experiment_mirror import ExperimentMirror
from harness.remote.objects import Objects
from harness.remote.places import MIRRORS, RUNS, Place, Url
from harness.remote.run_mirror import PROGRESS, SPEC, STATUS

SMALL = (RECORD, CONFIG, SPEC, STATUS, PROGRESS, manifest.FILE)


def looked_at(place: Place, cache: Path) -> Path:
    """The folder itself, or a copy of what is at the URL: an experiment, or with /runs/<run id> in it one run.

    A run's networks come along where it is named. Raises WorkspaceError where nothing is there.
    """
    if isinstance(place, Path):
        return place
    root, run_id, rest = _parts(place)
    copy = ExperimentMirror(url=root.text, folder=cache / MIRRORS / f"{root.label}-copy", is_copy=True)
    copy.objects.check()
    copy.pull_record()
    copy.pull_runs([run_id] if run_id else None, networks=bool(run_id))
    path = copy.folder / "runs" / run_id / rest if run_id else copy.folder
    if not (path.exists() if run_id else (copy.folder / "runs").is_dir()):
        raise _nothing(place)
    return path


def copied_report(url: Url, cache: Path) -> ExperimentMirror:
    """A copy of the experiment, in which its report can be written and pushed."""
    folder = looked_at(url, cache)
    return ExperimentMirror(url=url.text, folder=folder, is_copy=True)


def outlined(place: Place, cache: Path) -> Path:
    """The folder itself, or an outline of what is at the URL. Raises WorkspaceError where nothing is there."""
    if isinstance(place, Path):
        return place
    folder = outline(place, cache)
    if not (folder / "runs").is_dir():
        raise _nothing(place)
    return folder


def outline(url: Url, cache: Path) -> Path:
    """Make the outline anew; an empty folder where nothing is at the URL."""
    objects = Objects(url=url.text)
    objects.check()
    folder = make_folder(cache / MIRRORS / f"{url.label}-outline")
    keys = {key: size for key, size in objects.listing().items() if key.startswith("runs/") or key in SMALL}
    for path in sorted(folder.rglob("*"), reverse=True):
        with explained(path):
            if path.is_dir():
                if not any(path.iterdir()):
                    path.rmdir()
            elif str(path.relative_to(folder).as_posix()) not in keys:
                path.unlink()
    small = [key for key in keys if key.rpartition("/")[2] in SMALL]
    contents = objects.read_all(key for key in small if not _is_kept(folder / key))
    for key, content in contents.items():
        make_folder((folder / key).parent)
        write_aside(folder / key, lambda aside, content=content: aside.write_bytes(content))  # type: ignore[misc]
    for key in keys.keys() - set(small):
        _placeholder(folder / key, keys[key], url)
    return folder


def _is_kept(path: Path) -> bool:
    """A run's spec never changes."""
    return path.name == SPEC and path.exists()


def _placeholder(path: Path, size: int, url: Url) -> None:
    """A file of that size which takes no room; it ends as a table does where it is as large as it is to be."""
    make_folder(path.parent)
    with explained(path), path.open("wb") as handle:
        handle.truncate(size)
        if path.suffix == ".parquet" and size >= 4:
            described = path.with_name(manifest.FILE)
            entries = manifest.entries_of(described.read_bytes() if described.exists() else None, url.text)
            if path.name in entries and entries[path.name].n_bytes == size:
                handle.seek(size - 4)
                handle.write(b"PAR1")


def _parts(url: Url) -> tuple[Url, str, str]:
    """(experiment, run id, path in the run's folder) of a URL; the latter two empty for a whole experiment."""
    root, mark, tail = url.text.rpartition(RUNS)
    if not mark:
        return url, "", ""
    run_id, _, rest = tail.partition("/")
    return Url(root), run_id, rest


def _nothing(url: Url) -> WorkspaceError:
    return WorkspaceError(
        f"There are no runs at {url}: name what `harness run CONFIG --out URL` was given, or one of its runs."
    )
