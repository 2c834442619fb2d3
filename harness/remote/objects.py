"""The files behind a URL: listed, read, sent, fetched and deleted, with retries. The only file that imports fsspec.

Object stores put a file whole or not at all; elsewhere it is written aside and moved. A sent file is looked at again:
one of another size was torn on its way and is sent anew. Keys are paths relative to the URL, with slashes.
"""

import errno
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from harness.errors import ConfigError, HarnessError, WorkspaceError
from harness.files import explained, make_folder
from harness.remote.places import safe_key

TRIES = 5
PAUSE_SECONDS = 1.0
"""Before the second try; twice as long before each further one, so that five tries are over after 15 seconds."""

PUTS_WHOLE = frozenset(("memory", "s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "hf"))
"""Protocols whose stores show a file only when all of it is there."""

ARCHIVES = frozenset(("zip", "tar", "libarchive", "dir", "cached", "blockcache", "filecache", "simplecache"))
NO_FOLDERS = ARCHIVES | {"http", "https", "data", "git", "github", "gist", "reference"}
"""Protocols of fsspec's that are one file or need another URL within, and those that only read."""

T = TypeVar("T")


class TornError(OSError):
    """What arrived is not what was sent."""


@dataclass(frozen=True, kw_only=True)
class Objects:
    """The files below `url`. `tries`: how often an operation is tried before WorkspaceError is raised."""

    url: str
    tries: int = TRIES

    def listing(self, below: str = "") -> dict[str, int]:
        """Key -> size of all files below a folder; empty where there is none.

        Raises WorkspaceError for a key that would lead out of the folder.
        """
        fs, root = self._opened()
        base = f"{root}/{below}" if below else root

        def find() -> dict[str, int]:
            fs.invalidate_cache()
            try:
                found: dict[str, dict[str, Any]] = fs.find(base, detail=True)
            except FileNotFoundError:
                return {}
            files = ((name, info) for name, info in found.items() if info.get("type") != "directory")
            return {self._key(name, root): int(info.get("size") or 0) for name, info in files}

        return self._tried(find)

    def _key(self, name: str, root: str) -> str:
        if not name.startswith(f"{root}/"):
            raise WorkspaceError(
                f"{self.url} holds {name!r}, which does not lie below it: remove that there."
            )
        return safe_key(name.removeprefix(f"{root}/"), self.url)

    def read(self, key: str) -> bytes | None:
        """The content; None where there is no such file."""
        return self.read_all([key]).get(key)

    def read_all(self, keys: Iterable[str]) -> dict[str, bytes]:
        """The content of those that are there, side by side where the store can."""
        fs, root = self._opened()
        paths = {f"{root}/{safe_key(key, self.url)}": key for key in keys}

        def cat() -> dict[str, bytes]:
            fs.invalidate_cache()
            found = fs.cat(list(paths), on_error="return") if paths else {}
            for value in found.values():
                if isinstance(value, BaseException) and not isinstance(value, FileNotFoundError):
                    raise value
            return {paths[path]: value for path, value in found.items() if isinstance(value, bytes)}

        return self._tried(cat)

    def write(self, key: str, content: bytes) -> None:
        """Replace a file."""
        self._put(key, len(content), lambda fs, path: fs.pipe_file(path, content))

    def send(self, path: Path, key: str) -> None:
        """Replace a file by a local one."""
        self._put(key, path.stat().st_size, lambda fs, target: fs.put_file(str(path), target))

    def _put(self, key: str, size: int, put: Callable[[Any, str], object]) -> None:
        fs, root = self._opened()
        target = f"{root}/{safe_key(key, self.url)}"
        whole = self.url.partition(":")[0].lower() in PUTS_WHOLE

        def once() -> None:
            folder, _, name = target.rpartition("/")
            aside = target if whole else f"{folder}/.{name}.{secrets.token_hex(4)}.partial"
            try:
                if not whole:
                    fs.makedirs(folder, exist_ok=True)
                put(fs, aside)
                fs.invalidate_cache()
                arrived = fs.info(aside).get("size")
                if arrived != size:
                    raise TornError(f"{arrived} of {size} bytes of {key} arrived")
                if not whole:
                    fs.mv(aside, target)
            except BaseException:
                if not whole:
                    with suppress(Exception):
                        fs.rm_file(aside)
                raise

        self._tried(once)

    def fetch(self, key: str, path: Path) -> bool:
        """Replace the local file `path` by that at the URL, whole or not at all; False where there is none."""
        fs, root = self._opened()
        source = f"{root}/{safe_key(key, self.url)}"
        make_folder(path.parent)
        aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")

        def get() -> bool:
            try:
                fs.invalidate_cache()
                size = fs.info(source).get("size")
                fs.get_file(source, str(aside))
            except FileNotFoundError:
                return False
            if size is not None and aside.stat().st_size != size:
                raise TornError(f"{aside.stat().st_size} of {size} bytes of {key} arrived")
            return True

        try:
            found = self._tried(get)
            if found:
                with explained(path):
                    aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        return found

    def delete(self, keys: Iterable[str]) -> None:
        """Remove those that are there, one after another in their order."""
        fs, root = self._opened()

        def remove(path: str) -> None:
            with suppress(FileNotFoundError):
                fs.rm_file(path)

        for key in keys:
            path = f"{root}/{safe_key(key, self.url)}"
            self._tried(lambda path=path: remove(path))  # type: ignore[misc]

    def check(self) -> None:
        """Raises ConfigError where the URL's file system is unknown, keeps no folders, or lacks its driver here."""
        protocol = self.url.partition(":")[0].lower()
        if protocol in NO_FOLDERS:
            raise ConfigError(
                f"{self.url} is no place where runs can be kept, as {protocol}:// has no folders to write: use a URL "
                "such as s3://bucket/experiment, or a path."
            )
        self._opened()

    def _opened(self) -> tuple[Any, str]:
        """The file system, and the URL's path in it."""
        protocol = self.url.partition(":")[0].lower()
        from fsspec.core import url_to_fs

        try:
            with _at_once(self.url):
                fs, root = url_to_fs(self.url)
        except ImportError as error:
            raise ConfigError(_driver_missing(protocol, error)) from error
        except ValueError as error:
            raise ConfigError(
                f"{self.url} cannot be used ({error}): write a URL such as s3://bucket/experiment, or a path."
            ) from error
        return fs, str(root).rstrip("/")

    def _tried(self, operation: Callable[[], T]) -> T:
        """What `operation` returns, tried again after a while when it fails for a reason that may pass."""
        for number in range(1, self.tries + 1):
            try:
                with _at_once(self.url):
                    return operation()
            except HarnessError:
                raise
            except Exception as error:  # each store's driver raises kinds of its own
                if number == self.tries:
                    raise WorkspaceError(_gave_up(self.url, error, self.tries)) from error
                time.sleep(PAUSE_SECONDS * 2 ** (number - 1))
        raise AssertionError("tries is at least 1")


@contextmanager
def _at_once(url: str) -> Iterator[None]:
    """Say what no second try would mend: refused access, and a place that is not there."""
    try:
        yield
    except FileNotFoundError as error:
        raise WorkspaceError(
            f"{url} cannot be written ({error}): make the bucket first, or correct the URL."
        ) from error
    except NotImplementedError as error:
        raise WorkspaceError(
            f"{url} cannot be written: its file system only reads. Use another URL."
        ) from error
    except HarnessError:
        raise
    except Exception as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full:
            raise WorkspaceError(
                f"{url} is full ({_word(error)}). Free some space and run the same command again; what is done is kept."
            ) from error
        if isinstance(error, PermissionError) or "Credential" in type(error).__name__:
            raise WorkspaceError(
                f"{url} refuses access ({_word(error)}). Put credentials that may read and write it where its driver "
                "looks for them (for s3:// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile), on every node."
            ) from error
        raise


def _driver_missing(protocol: str, error: ImportError) -> str:
    """`s3:// needs s3fs: pip install s3fs`."""
    from fsspec.registry import known_implementations

    package = str(known_implementations.get(protocol, {}).get("class", "")).partition(".")[0]
    if package in ("", "fsspec"):
        return f"{protocol}:// cannot be used here ({error}): install what it names, on every node."
    return f"{protocol}:// needs {package}: pip install {package}, on every node."


def _gave_up(url: str, error: Exception, tries: int) -> str:
    waited = PAUSE_SECONDS * (2 ** (tries - 1) - 1)
    return (
        f"{url} cannot be reached ({_word(error)}; tried {tries} times in {waited:.0f} seconds). What is done is kept "
        "on this machine: the same command carries on and sends it."
    )


def _word(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
