"""The pixels of a pool, read row by row as episodes ask for them."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt


class PoolImages:
    """uint8 [N, H, W, C] on disk; `images[rows]` reads these rows.

    Rows are read one by one with `preadv`, not through a memory map: the resident memory of a process does not
    grow with what it has read, and a file that shrinks under it is an error instead of a killed process.
    A copy, in this process or another, opens the file anew.
    Raises OSError when the file cannot be opened or read, EOFError when it ends too soon.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int, int], offset: int) -> None:
        self.path, self.shape, self._offset = path, shape, offset
        self._row_bytes = int(np.prod(shape[1:]))
        self._handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))

    def __del__(self) -> None:
        if (handle := getattr(self, "_handle", None)) is not None:
            os.close(handle)

    def __reduce__(self) -> tuple[type["PoolImages"], tuple[Path, tuple[int, int, int, int], int]]:
        return PoolImages, (self.path, self.shape, self._offset)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        """The images at `rows` [n], in that order: uint8 [n, H, W, C]. Raises IndexError for rows not there."""
        numbers = np.asarray(rows, dtype=np.int64)
        out = np.empty((len(numbers), *self.shape[1:]), dtype=np.uint8)
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(self):
            raise IndexError(f"{self.path} has rows 0 to {len(self) - 1}; got {numbers.tolist()}")
        target, size, handle = out.reshape(-1).data, self._row_bytes, self._handle
        starts = range(0, out.nbytes, size)
        for start, offset in zip(starts, (self._offset + numbers * size).tolist(), strict=True):
            row = target[start : start + size]
            if os.preadv(handle, [row], offset) < size:
                self._fill(row, offset)
        return out

    def parts(self, rows: range | None = None, at_once: int = 1024) -> Iterator[npt.NDArray[np.uint8]]:
        """All rows, or those of a range, in order and so many at a time."""
        rows = range(len(self)) if rows is None else rows
        for start in range(0, len(rows), at_once):
            yield self[np.array(rows[start : start + at_once])]

    def _fill(self, row: memoryview, offset: int) -> None:
        """Read on where a read was short."""
        done = 0
        while done < len(row):
            more = os.preadv(self._handle, [row[done:]], offset + done)
            if not more:
                raise EOFError(f"{self.path} ends before byte {offset + len(row)}.")
            done += more
