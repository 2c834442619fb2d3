"""Pools: complete or not there, equal to what was read, prepared once."""

import errno
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from harness import pool_writing
from harness.dataset import ClassImages
from harness.errors import DataError, WorkspaceError
from harness.plugins import Component
from harness.pools import ensure_pool, find_prepared, open_pool, pool_digest, status, verify_pool
from harness.spec import SourceSpec

SIZES = {"a": 3, "b": 5, "c": 4}


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """A tiny source that counts how often it is read; `fault` says what goes wrong while reading."""

    name: str = "numbers"
    fault: str = ""
    seconds: float = 0.0
    reads: list[str] = field(default_factory=list)

    channels: ClassVar[int] = 3
    splits: ClassVar[tuple[str, ...]] = ("train", "test")
    needs_data: ClassVar[bool] = False

    def fingerprint(self, data_dir: Path | None) -> str:
        return "changed" if self.fault == "fingerprint" else "numbers-1"

    def class_sizes(self, split: str, data_dir: Path | None) -> Mapping[str, int]:
        return {} if self.fault == "empty" else SIZES

    def read(self, split: str, image_size: int, data_dir: Path | None) -> Iterator[ClassImages]:
        self.reads.append(split)
        for index, (name, size) in enumerate(SIZES.items()):
            time.sleep(self.seconds)
            if index == 1 and self.fault == "interrupt":
                raise KeyboardInterrupt
            if index == 1 and self.fault == "unreadable":
                raise OSError(errno.EIO, "Input/output error")
            if index == 1 and self.fault == "ends early":
                return
            shape = (size - (self.fault == "count" and index == 1), image_size, image_size, 3)
            pixels = np.random.default_rng(index).integers(0, 256, shape)
            yield (
                "x" if self.fault == "name" and index else name,
                pixels.astype(np.int64 if self.fault == "dtype" else np.uint8),
            )
        if self.fault == "extra":
            yield "d", pixels.astype(np.uint8)


SPEC = SourceSpec(
    name="numbers", component=Component(plugin="numbers", params={"seed": 1}), fingerprint="numbers-1"
)
KEY = SPEC.pool_key("test", 8)


def prepare(cache: Path, dataset: Numbers, split: str = "test", **options: Any) -> Any:
    return ensure_pool(dataset, SPEC, split, 8, data_dir=None, cache=cache, **options)


def expected_pixels() -> np.ndarray[Any, Any]:
    return np.concatenate([images for _, images in Numbers().read("test", 8, None)])


def left_in(cache: Path) -> list[str]:
    return sorted(p.name for p in (cache / "pools").iterdir() if p.suffix != ".lock")


def test_a_pool_holds_what_was_read(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    pool = prepare(tmp_path, Numbers(), progress=lambda *step: seen.append(step))
    np.testing.assert_array_equal(pool.images, expected_pixels())
    assert isinstance(pool.images, np.memmap)
    assert not pool.images.flags.writeable
    assert pool.images.dtype == np.uint8
    assert pool.class_names == tuple(SIZES)
    assert pool.class_sizes.dtype == np.int64
    assert pool.class_sizes.tolist() == list(SIZES.values())
    assert (pool.source, pool.split, pool.image_size, pool.channels) == ("numbers", "test", 8, 3)
    assert (pool.key, pool.fingerprint) == (KEY, "numbers-1")
    assert pool.sha256 == pool_digest(expected_pixels().astype(np.uint8))
    assert seen == [("numbers/test", done, 3) for done in (1, 2, 3)]
    assert left_in(tmp_path) == [KEY]
    again = open_pool(tmp_path, KEY)
    np.testing.assert_array_equal(again.images, pool.images)


def test_a_pool_is_read_once(tmp_path: Path) -> None:
    dataset = Numbers()
    prepare(tmp_path, dataset)
    prepare(tmp_path, dataset)
    assert dataset.reads == ["test"]
    prepare(tmp_path, dataset, "train")
    assert dataset.reads == ["test", "train"]


@pytest.mark.parametrize("rows", [1, 5, 100])
def test_the_digest_does_not_depend_on_how_much_is_read_at_once(rows: int) -> None:
    images = expected_pixels().astype(np.uint8)
    assert pool_digest(images, rows) == pool_digest(images)
    assert pool_digest(images[::-1], rows) != pool_digest(images)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("fingerprint", "not what was planned"),
        ("empty", "no images in split 'test'"),
        ("name", "announced 'b'"),
        ("count", "'b' with 4 images where it announced 'b' with 5"),
        ("dtype", "int64"),
        ("extra", "'d' after the 3 it announced"),
        ("ends early", "yields 1 classes; it announced 3"),
        ("unreadable", "Input/output error"),
    ],
)
def test_a_source_that_breaks_its_word_makes_no_pool(tmp_path: Path, fault: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        prepare(tmp_path, Numbers(fault=fault))
    assert left_in(tmp_path) == []
    assert prepare(tmp_path, Numbers()).class_names == tuple(SIZES)


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path, Numbers(fault="interrupt"))
    assert left_in(tmp_path) == []


def test_what_a_killed_process_left_is_swept_and_never_used(tmp_path: Path) -> None:
    stale = tmp_path / "pools" / f".{KEY}.99999999.partial"
    stale.mkdir(parents=True)
    (stale / "images.npy").write_bytes(b"half")
    with pytest.raises(DataError, match="not there"):
        open_pool(tmp_path, KEY)
    prepare(tmp_path, Numbers())
    assert left_in(tmp_path) == [KEY]


def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: Any, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pool_writing, "_write_all", full)
    with pytest.raises(WorkspaceError, match="disk is full"):
        prepare(tmp_path, Numbers())
    assert left_in(tmp_path) == []
    monkeypatch.undo()
    assert len(prepare(tmp_path, Numbers()).images) == 12


def test_a_cache_that_is_a_file_is_a_workspace_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(WorkspaceError, match="a file stands where a folder is needed"):
        prepare(tmp_path / "cache", Numbers())


def test_a_missing_pool_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"{KEY} is not there.*harness data prepare"):
        open_pool(tmp_path, KEY)


def truncate(folder: Path) -> None:
    with (folder / "images.npy").open("rb+") as handle:
        handle.truncate(500)


def rewrite_facts(folder: Path, **changes: Any) -> None:
    path = folder / "pool.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def scramble(folder: Path) -> None:
    path = folder / "images.npy"
    path.write_bytes(b"\0" * path.stat().st_size)


DAMAGES = {
    "truncated": (truncate, "has 500 bytes"),
    "no images": (lambda folder: (folder / "images.npy").unlink(), "has 0 bytes"),
    "no facts": (lambda folder: (folder / "pool.json").unlink(), "pool.json is missing"),
    "half facts": (lambda folder: (folder / "pool.json").write_text("{"), "pool.json cannot be read"),
    "facts of another kind": (lambda folder: (folder / "pool.json").write_text("{}"), "pool.json cannot be"),
    "other shape": (lambda folder: rewrite_facts(folder, image_size=9), "images.npy holds"),
    "fewer sizes": (lambda folder: rewrite_facts(folder, class_sizes=[12]), "3 class names and 1 class"),
    "scrambled": (scramble, "images.npy cannot be opened"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_pool_is_refused_and_then_prepared_anew(tmp_path: Path, damage: str) -> None:
    prepare(tmp_path, Numbers())
    harm, message = DAMAGES[damage]
    harm(tmp_path / "pools" / KEY)
    with pytest.raises(DataError, match=message):
        open_pool(tmp_path, KEY)
    assert find_prepared(tmp_path, SPEC.component) is None
    assert message in status(tmp_path)[0]["problem"]
    np.testing.assert_array_equal(prepare(tmp_path, Numbers()).images, expected_pixels())
    assert left_in(tmp_path) == [KEY]


def test_verify_finds_one_changed_pixel(tmp_path: Path) -> None:
    prepare(tmp_path, Numbers())
    assert verify_pool(tmp_path, KEY).sha256 == open_pool(tmp_path, KEY).sha256
    path = tmp_path / "pools" / KEY / "images.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    open_pool(tmp_path, KEY)
    with pytest.raises(DataError, match="sha256"):
        verify_pool(tmp_path, KEY)


def test_status_lists_pools_with_their_size_on_disk(tmp_path: Path) -> None:
    assert status(tmp_path) == []
    prepare(tmp_path, Numbers())
    prepare(tmp_path, Numbers(), "train")
    rows = status(tmp_path)
    assert [(row["source"], row["split"]) for row in rows] == [("numbers", "test"), ("numbers", "train")]
    assert (rows[0]["classes"], rows[0]["images"], rows[0]["image_size"]) == (3, 12, 8)
    on_disk = sum(p.stat().st_size for p in (tmp_path / "pools" / KEY).iterdir())
    assert rows[0]["bytes"] == on_disk > 12 * 8 * 8 * 3
    assert rows[0]["problem"] is None


def test_the_newest_pool_of_a_source_gives_its_fingerprint(tmp_path: Path) -> None:
    assert find_prepared(tmp_path, SPEC.component) is None
    prepare(tmp_path, Numbers())
    assert find_prepared(tmp_path, SPEC.component) == "numbers-1"
    assert find_prepared(tmp_path, Component(plugin="numbers", params={"seed": 2})) is None
    older = replace(SPEC, fingerprint="changed")
    ensure_pool(Numbers(fault="fingerprint"), older, "test", 8, data_dir=None, cache=tmp_path)
    rewrite_facts(tmp_path / "pools" / older.pool_key("test", 8), prepared="2001-01-01T00:00:00.000000+00:00")
    assert find_prepared(tmp_path, SPEC.component) == "numbers-1"
    rewrite_facts(tmp_path / "pools" / KEY, prepared="2000-01-01T00:00:00.000000+00:00")
    assert find_prepared(tmp_path, SPEC.component) == "changed"


def _prepare_slowly(cache: str, results: Any) -> None:
    dataset = Numbers(seconds=0.3)
    pool = prepare(Path(cache), dataset)
    results.put((len(dataset.reads), pool.sha256))


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
    from harness import pools

    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(pools.fcntl, "flock", refuse)

    @dataclass(frozen=True, kw_only=True)
    class Overtaken(Numbers):
        """While it reads, somebody else prepares the same pool."""

        def read(self, split: str, image_size: int, data_dir: Path | None) -> Iterator[ClassImages]:
            monkeypatch.setattr(pools.os, "getpid", lambda: 4242)
            prepare(tmp_path, Numbers())
            monkeypatch.undo()
            yield from super().read(split, image_size, data_dir)

    pool = prepare(tmp_path, Overtaken())
    np.testing.assert_array_equal(pool.images, expected_pixels())
    assert left_in(tmp_path) == [KEY]


def test_memory_stays_bounded_by_a_class(tmp_path: Path) -> None:
    program = """
import resource, sys
from pathlib import Path
import numpy as np
from harness.plugins import Component
from harness.pools import ensure_pool
from harness.spec import SourceSpec

class Large:
    name, channels, splits, needs_data = "large", 1, ("test",), False
    def fingerprint(self, data_dir): return "1"
    def class_sizes(self, split, data_dir): return {f"c{i:03}": 20 for i in range(100)}
    def read(self, split, image_size, data_dir):
        for i in range(100):
            yield f"c{i:03}", np.full((20, image_size, image_size, 1), i, np.uint8)

spec = SourceSpec(name="large", component=Component(plugin="large", params={}), fingerprint="1")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
pool = ensure_pool(Large(), spec, "test", 256, data_dir=None, cache=Path(sys.argv[1]))
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(pool.images.nbytes // 1024, grown)
"""
    pytest.importorskip("resource")
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    pool_kib, grown_kib = map(int, done.stdout.split())
    assert pool_kib > 100_000
    assert grown_kib < pool_kib / 4
