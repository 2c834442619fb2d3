"""Writing files so that nothing is ever half there: aside, flushed, then renamed."""

import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from harness.errors import WorkspaceError


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals into one sentence about `path`.

    Raises WorkspaceError for a full disk, a read-only or unwritable folder, or any other I/O failure.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            cause, cure = "the disk is full", "Free some space"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            cause = "the folder is not writable"
            cure = "Choose another with --out or --cache, or change its permissions"
        elif error.errno in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
            cause, cure = "a file stands where a folder is needed, or the other way round", "Move it away"
        else:
            cause, cure = error.strerror or str(error), "Mend that"
        raise WorkspaceError(
            f"Cannot write {path}: {cause}. {cure} and run the same command again; finished work is kept."
        ) from error


def make_folder(path: Path) -> Path:
    """Create `path` with its parents. Raises WorkspaceError as `explained` does."""
    with explained(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def write_aside(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` on a temporary path in the same folder, then rename it to `path`.

    A reader sees the old file or the new one, never a part. Raises WorkspaceError as `explained` does, after
    removing the temporary file.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with explained(path):
            write(aside)
            with aside.open("rb+") as handle:
                os.fsync(handle.fileno())
            aside.replace(path)
    finally:
        with suppress(OSError):  # what has become read-only keeps it; the reason is on its way up
            aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    write_aside(path, lambda aside: aside.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, as hexadecimal text. Raises OSError."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
