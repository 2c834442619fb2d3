"""Rows of a pool, read as they are asked for: the right ones, in little memory, and never half of one."""

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.pool_images import PoolImages

SHAPE, OFFSET = (40, 6, 5, 3), 128

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@pytest.fixture
def pixels() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.uint8)


@pytest.fixture
def path(tmp_path: Path, pixels: Pixels) -> Path:
    path = tmp_path / "images.npy"
    path.write_bytes(b"x" * OFFSET + pixels.tobytes())
    return path


@pytest.mark.parametrize(
    "rows",
    [[0], [39], [3, 4, 5], [5, 4, 3], [7, 7, 7], list(range(40)), [0, 39, 1, 38, 12], []],
    ids=str,
)
def test_rows_come_as_asked_for(path: Path, pixels: Pixels, rows: list[int]) -> None:
    images = PoolImages(path, SHAPE, OFFSET)
    found = images[rows]
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, pixels[np.array(rows, dtype=int)])
    found[:] = 0  # a copy: the pool is as it was
    np.testing.assert_array_equal(images[np.array(rows, dtype=int)], pixels[np.array(rows, dtype=int)])
    assert len(images) == 40


@pytest.mark.parametrize("rows", [[40], [-1], [3, 1000], [0, -40]])
def test_rows_that_are_not_there_are_an_error(path: Path, rows: list[int]) -> None:
    with pytest.raises(IndexError, match=r"images\.npy has rows 0 to 39; got"):
        PoolImages(path, SHAPE, OFFSET)[rows]


def test_parts_are_all_rows_or_a_range_in_order(path: Path, pixels: Pixels) -> None:
    images = PoolImages(path, SHAPE, OFFSET)
    assert [len(part) for part in images.parts(at_once=16)] == [16, 16, 8]
    np.testing.assert_array_equal(np.concatenate(list(images.parts(at_once=7))), pixels)
    np.testing.assert_array_equal(np.concatenate(list(images.parts(range(5, 31), at_once=7))), pixels[5:31])


def test_short_reads_are_read_on(path: Path, pixels: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a signal or a network file system may give them."""
    real = os.preadv

    def short(handle: int, buffers: list[memoryview], offset: int) -> int:
        return real(handle, [buffers[0][:17]], offset)

    monkeypatch.setattr(os, "preadv", short)
    np.testing.assert_array_equal(PoolImages(path, SHAPE, OFFSET)[[30, 2]], pixels[[30, 2]])


def test_a_file_that_shrinks_is_an_error_for_the_rows_it_has_lost(path: Path, pixels: Pixels) -> None:
    images = PoolImages(path, SHAPE, OFFSET)
    with path.open("rb+") as handle:
        handle.truncate(OFFSET + 10 * 90 + 45)
    np.testing.assert_array_equal(images[[9, 0]], pixels[[9, 0]])
    with pytest.raises(EOFError, match=r"images\.npy ends before byte 1118"):
        images[[10]]


def test_a_missing_file_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        PoolImages(tmp_path / "images.npy", SHAPE, OFFSET)


def test_copies_have_a_file_of_their_own_and_close_it(path: Path, pixels: Pixels) -> None:
    images = PoolImages(path, SHAPE, OFFSET)
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    for made in (copy.deepcopy(images), pickle.loads(pickle.dumps(images))):
        np.testing.assert_array_equal(made[[5, 1]], pixels[[5, 1]])
    del made
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before
    np.testing.assert_array_equal(images[[5, 1]], pixels[[5, 1]])


PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from harness.pool_images import PoolImages

def resident():
    (line,) = [l for l in Path("/proc/self/status").read_text().splitlines() if l.startswith("VmRSS:")]
    return int(line.split()[1]) // 1024

path, shape, way = Path(sys.argv[1]), (6000, 84, 84, 3), sys.argv[2]
images = PoolImages(path, shape, 0) if way == "ours" else np.memmap(path, np.uint8, "r", 0, shape)
order = np.random.default_rng(0).permutation(len(images))
images[order[:100]]
before, seen = resident(), 0
for start in range(0, len(order), 100):
    seen += len(images[order[start : start + 100]])
print(seen, resident() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read from /proc")
def test_memory_does_not_grow_with_what_is_read(tmp_path: Path) -> None:
    """127 MB are read; a memory map keeps most of them resident, which shows that the measure works."""
    path, grown = tmp_path / "images", {}
    with path.open("wb") as handle:
        for _ in range(60):
            handle.write(bytes(100 * 84 * 84 * 3))
    for way in ("ours", "mapped"):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(path), way], capture_output=True, text=True, check=True
        )
        seen, grown[way] = (int(number) for number in done.stdout.split())
        assert seen == 6000
    assert grown["ours"] < 8 < 40 < grown["mapped"]
