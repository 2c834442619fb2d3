"""A file system in memory that fails when it is told to, and remembers what it was asked."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import fsspec
from fsspec.implementations.memory import MemoryFileSystem

URL = "faulty://bucket/experiment"

Fault = Callable[[str, str], None]
"""(operation, path): raises what the operation is to raise."""


class FaultyFileSystem(MemoryFileSystem):
    """`asked`: (operation, path) of all that was asked. `tear`: how many uploads still lose their last bytes."""

    protocol = "faulty"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    asked: ClassVar[list[tuple[str, str]]] = []
    faults: ClassVar[list[Fault]] = []
    tear: ClassVar[list[int]] = [0]

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.removeprefix("faulty://")))

    def _ask(self, operation: str, path: str) -> None:
        self.asked.append((operation, path))
        for fault in self.faults:
            fault(operation, path)

    def pipe_file(self, path: str, value: bytes, **options: Any) -> None:
        self._ask("write", path)
        super().pipe_file(path, self._torn(value), **options)

    def put_file(self, lpath: str, rpath: str, **options: Any) -> None:
        self._ask("write", rpath)
        super().pipe_file(rpath, self._torn(Path(lpath).read_bytes()), **options)

    def get_file(self, rpath: str, lpath: str, **options: Any) -> None:
        self._ask("fetch", rpath)
        super().get_file(rpath, lpath, **options)

    def cat_file(self, path: str, *more: Any, **options: Any) -> bytes:
        self._ask("read", path)
        return bytes(super().cat_file(path, *more, **options))

    def find(self, path: str, *more: Any, **options: Any) -> Any:
        self._ask("list", path)
        return super().find(path, *more, **options)

    def rm_file(self, path: str) -> None:
        self._ask("delete", path)
        super().rm_file(path)

    def mv(self, path1: str, path2: str, **options: Any) -> None:
        self._ask("move", path2)
        self.store[self._strip_protocol(path2)] = self.store.pop(self._strip_protocol(path1))

    def _torn(self, content: bytes) -> bytes:
        if self.tear[0]:
            self.tear[0] -= 1
            return content[:-3]
        return content


@contextmanager
def faulty() -> Iterator[type[FaultyFileSystem]]:
    """The file system, empty and whole, behind faulty:// for as long as the block lasts."""
    fsspec.register_implementation("faulty", FaultyFileSystem, clobber=True)
    FaultyFileSystem.clear_instance_cache()
    for state in (FaultyFileSystem.store, FaultyFileSystem.asked, FaultyFileSystem.faults):
        state.clear()  # type: ignore[attr-defined]
    FaultyFileSystem.tear[0] = 0
    yield FaultyFileSystem


def failing(error: Exception, *, of: str, times: int = 10**9, path: str = "") -> Fault:
    """Operations `of` that kind raise `error`, the first so many times, on paths with `path` in them."""
    left = [times]

    def fault(operation: str, where: str) -> None:
        if operation == of and path in where and left[0]:
            left[0] -= 1
            raise error

    return fault
