"""Preparing pools: whatever goes wrong, nothing half-made is used, and finished work is not done again."""

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import pool_writing
from harness.dataset import ClassImages
from harness.errors import DataError, WorkspaceError
from harness.pools import open_pool
from numbers_source import KEY, SIZES, SPEC, Numbers, content, expected_pixels, left_in, prepare

PARTIAL = f".{KEY}.partial"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("fingerprint", "not what was planned"),
        ("empty split", "no images in split 'test'"),
        ("empty class", "Class 'c' of source numbers/test has no images"),
        ("groups", "groups class 'z', which it does not have"),
        ("name", "'x', which is not the next it announced"),
        ("order", "'c', which is not the next it announced"),
        ("count", "'b' with 4 images where it announced 5"),
        ("dtype", "int64"),
        ("extra", "'d', which is not the next it announced"),
        ("twice", "'a', which is not the next it announced"),
        ("ends early", "yields no class 'b', which it announced; 2 classes are missing"),
        ("unreadable", "Input/output error"),
    ],
)
def test_a_source_that_breaks_its_word_makes_no_pool(tmp_path: Path, fault: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        prepare(tmp_path, Numbers(fault=fault))
    assert left_in(tmp_path) == []
    assert prepare(tmp_path, Numbers()).class_names == tuple(SIZES)


def test_a_source_whose_images_are_not_of_its_native_size_makes_no_pool(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\(8, 8, 3\) for class 'a'; uint8 9 x 9 x 3 is needed"):
        prepare(tmp_path, Numbers(), spec=replace(SPEC, native_size=9))
    assert left_in(tmp_path) == []


def test_an_interrupted_preparation_is_carried_on_behind_its_last_whole_class(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path, Numbers(fault="interrupt"))
    assert left_in(tmp_path) == [PARTIAL]
    with pytest.raises(DataError, match="not there"):
        open_pool(tmp_path, KEY)
    dataset, seen = Numbers(), []
    pool = prepare(tmp_path, dataset, progress=lambda *step: seen.append(step))
    assert dataset.asked == [("b", "c")]
    assert seen == [("numbers/test", 2, 3), ("numbers/test", 3, 3)]
    np.testing.assert_array_equal(content(pool), expected_pixels())
    whole = prepare(tmp_path / "other", Numbers())
    assert (pool.sha256, pool.mean, pool.std) == (whole.sha256, whole.mean, whole.std)
    assert left_in(tmp_path) == [KEY]


def damage_pixels(folder: Path) -> None:
    path = folder / "images.npy"
    changed = bytearray(path.read_bytes())
    changed[-8 * 8 * 3 * 3 - 5] ^= 1  # in class a, behind which some of b is written
    path.write_bytes(changed)


def tear_journal(folder: Path) -> None:
    path = folder / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-9])


def other_size(folder: Path) -> None:
    path = folder / "journal.jsonl"
    path.write_text(json.dumps({**json.loads(path.read_text()), "images": 2}) + "\n")


DAMAGES = {
    "pixels": damage_pixels,
    "torn journal": tear_journal,
    "no journal": lambda folder: (folder / "journal.jsonl").unlink(),
    "no images": lambda folder: (folder / "images.npy").unlink(),
    "short images": lambda folder: os.truncate(folder / "images.npy", 200),
    "another size": other_size,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_left_is_trusted_only_as_far_as_its_digests_go(tmp_path: Path, damage: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path, Numbers(fault="interrupt"))
    DAMAGES[damage](tmp_path / "pools" / PARTIAL)
    dataset = Numbers()
    np.testing.assert_array_equal(content(prepare(tmp_path, dataset)), expected_pixels())
    assert dataset.asked == [("a", "b", "c")]


def test_a_killed_preparation_is_carried_on(tmp_path: Path) -> None:
    program = """
import os, signal, sys
from pathlib import Path
from numbers_source import Numbers, prepare

def step(where, done, total):
    if done == 2:
        os.kill(os.getpid(), signal.SIGKILL)

prepare(Path(sys.argv[1]), Numbers(), progress=step)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=Path(__file__).parent, check=False
    )
    assert done.returncode == -signal.SIGKILL
    dataset = Numbers()
    np.testing.assert_array_equal(content(prepare(tmp_path, dataset)), expected_pixels())
    assert dataset.asked == [("c",)]
    assert left_in(tmp_path) == [KEY]


def test_a_full_disk_is_one_sentence_and_what_is_done_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, written = pool_writing.write_all, list[int]()

    def full(handle: Any, data: bytes) -> None:
        written.append(len(data))
        if len(written) > 3:  # within the second class
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle, data)

    monkeypatch.setattr(pool_writing, "write_all", full)
    with pytest.raises(WorkspaceError, match="disk is full"):
        prepare(tmp_path, Numbers())
    assert left_in(tmp_path) == [PARTIAL]
    monkeypatch.undo()
    dataset = Numbers()
    np.testing.assert_array_equal(content(prepare(tmp_path, dataset)), expected_pixels())
    assert dataset.asked == [("b", "c")]
    assert left_in(tmp_path) == [KEY]


def test_a_cache_that_is_a_file_is_a_workspace_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(WorkspaceError, match="a file stands where a folder is needed"):
        prepare(tmp_path / "cache", Numbers())


def _prepare_slowly(cache: str, results: Any) -> None:
    dataset = Numbers(seconds=0.3)
    pool = prepare(Path(cache), dataset)
    results.put((len(dataset.asked), pool.sha256))


@pytest.mark.slow
def test_two_processes_at_once_prepare_a_pool_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    workers = [context.Process(target=_prepare_slowly, args=(str(tmp_path), results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    answers = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(timeout=60)
    assert sorted(reads for reads, _ in answers) == [0, 1]
    assert len({sha256 for _, sha256 in answers}) == 1
    assert left_in(tmp_path) == [KEY]


def test_without_file_locks_the_first_to_finish_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness import pool_lock, pools

    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(pool_lock.fcntl, "flock", refuse)

    @dataclass(frozen=True, kw_only=True)
    class Overtaken(Numbers):
        """While it reads, somebody else prepares the same pool."""

        def read(self, split: str, classes: Sequence[str], data_dir: Path | None) -> Iterator[ClassImages]:
            monkeypatch.setattr(pools.os, "getpid", lambda: 4242)
            prepare(tmp_path, Numbers())
            monkeypatch.undo()
            yield from super().read(split, classes, data_dir)

    pool = prepare(tmp_path, Overtaken())
    np.testing.assert_array_equal(content(pool), expected_pixels())
    assert left_in(tmp_path) == [KEY]


def test_memory_stays_bounded_by_a_part_of_a_class(tmp_path: Path) -> None:
    program = """
import resource, sys
from pathlib import Path
import numpy as np
from harness.plugins import Component
from harness.pools import ensure_pool
from harness.resizing import resize_pixels
from harness.spec import ImageSpec, SourceSpec

class Large:
    name, channels, splits, needs_data = "large", 1, ("test",), False
    def fingerprint(self, data_dir): return "1"
    def class_sizes(self, split, data_dir): return {f"c{i}": 1000 for i in range(3)}
    def read(self, split, classes, data_dir):
        for i, name in enumerate(classes):
            for part in range(50):
                yield name, np.full((20, 200, 200, 1), i, np.uint8)

spec = SourceSpec(name="large", component=Component(plugin="large", params={}), fingerprint="1")
images = ImageSpec(size=256, channels=1, scaling="unit", resize="bilinear")
resize_pixels(np.zeros((20, 200, 200, 1), np.uint8), 256, "bilinear")  # torch is loaded before we look
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
pool = ensure_pool(Large(), spec, "test", images, data_dir=None, cache=Path(sys.argv[1]))
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(int(np.prod(pool.images.shape)) // 1024, grown)
"""
    pytest.importorskip("resource")
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    pool_kib, grown_kib = map(int, done.stdout.split())
    assert pool_kib > 150_000
    assert grown_kib < pool_kib / 8  # a class alone is a third of it
