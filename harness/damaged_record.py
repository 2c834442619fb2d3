"""A record that is damaged is put aside, so that `harness run` can write it again from what the command says."""

from itertools import count
from pathlib import Path

from harness.errors import WorkspaceError
from harness.files import explained
from harness.record import RECORD, read_file

SET_ASIDE = f"{Path(RECORD).stem}.damaged"
"""How the names of damaged records begin."""


def put_aside(folder: Path) -> list[tuple[Path, Path]]:
    """Rename the records of the experiment in `folder` that would be read and are damaged; (was, is) of each.

    Raises WorkspaceError for one that cannot be read at all, of which nothing is known, or not be renamed.
    """
    moved: list[tuple[Path, Path]] = []
    for path in (folder / "runs" / RECORD, folder / RECORD):
        if not path.exists():
            continue
        with explained(path):
            path.read_bytes()
        try:
            read_file(path)
        except WorkspaceError:
            kept = _free_name(path)
            with explained(path):
                path.rename(kept)
            moved.append((path, kept))
        else:
            break
    return moved


def is_there(folder: Path) -> bool:
    """Whether a record has been put aside in that very folder."""
    return any(folder.glob(f"{SET_ASIDE}*"))


def _free_name(path: Path) -> Path:
    names = (f"{SET_ASIDE}{'' if k == 1 else f'-{k}'}{path.suffix}" for k in count(1))
    return next(place for name in names if not (place := path.with_name(name)).exists())
