"""Pools: equal to what was read, refused when damaged, listed with what they hold."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from harness import pools
from harness.dataset import ClassImages
from harness.errors import DataError
from harness.plugins import Component
from harness.pool_status import find_prepared, status
from harness.pools import Pool, class_rows, ensure_pool, open_pool, verify_pool
from harness.resizing import resize_pixels
from harness.spec import SourceSpec
from numbers_source import (
    IMAGES,
    KEY,
    SIZES,
    SPEC,
    Numbers,
    content,
    expected_pixels,
    left_in,
    pixels_of,
    prepare,
)


def test_a_pool_holds_what_was_read(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    pool = prepare(tmp_path, Numbers(), progress=lambda *step: seen.append(step))
    np.testing.assert_array_equal(content(pool), expected_pixels())
    assert pool.class_names == tuple(SIZES)
    assert pool.class_sizes.dtype == np.int64
    assert pool.class_sizes.tolist() == list(SIZES.values())
    assert [list(rows) for rows in class_rows(pool)] == [[0, 1, 2], [3, 4, 5, 6, 7], [8, 9, 10, 11]]
    assert (pool.source, pool.split, pool.image_size, pool.channels) == ("numbers", "test", 8, 3)
    assert (pool.key, pool.fingerprint) == (KEY, "numbers-1")
    assert seen == [("numbers/test", done, 3) for done in (1, 2, 3)]
    assert left_in(tmp_path) == [KEY]
    assert sorted(p.name for p in (tmp_path / "pools" / KEY).iterdir()) == ["images.npy", "pool.json"]
    again = open_pool(tmp_path, KEY)
    np.testing.assert_array_equal(content(again), expected_pixels())
    np.testing.assert_array_equal(np.load(tmp_path / "pools" / KEY / "images.npy"), expected_pixels())


def test_a_pool_knows_its_groups_by_class_number_and_the_statistics_of_its_pixels(tmp_path: Path) -> None:
    pool = prepare(tmp_path, Numbers())
    groups = pool.groups
    assert (groups.kind, groups.names) == ("superclasses", ("early", "late"))
    assert [members.tolist() for members in groups.members] == [[0, 1], [2]]
    pixels = expected_pixels().reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(pool.mean, pixels.mean(0))
    np.testing.assert_allclose(pool.std, pixels.std(0))


def test_a_pool_is_read_once(tmp_path: Path) -> None:
    dataset = Numbers()
    prepare(tmp_path, dataset)
    prepare(tmp_path, dataset)
    assert len(dataset.asked) == 1
    prepare(tmp_path, dataset, "train")
    assert len(dataset.asked) == 2


@dataclass(frozen=True, kw_only=True)
class Sizes(Numbers):
    """Images of another size in every class; or all of `native_size`."""

    sides: tuple[int, int, int] = (5, 8, 20)
    native_size: ClassVar[int | None] = None

    def read(self, split: str, classes: Sequence[str], data_dir: Path | None) -> Iterator[ClassImages]:
        for name in classes:
            side = self.sides[list(SIZES).index(name)]
            yield name, resize_pixels(pixels_of(name), side, "bilinear")


def test_images_of_any_size_become_the_size_asked_for(tmp_path: Path) -> None:
    pool = prepare(tmp_path, Sizes())
    stored = content(pool)
    assert stored.shape == (12, 8, 8, 3)
    for name, side, rows in zip(SIZES, (5, 8, 20), class_rows(pool), strict=True):
        native = resize_pixels(pixels_of(name), side, "bilinear")
        np.testing.assert_array_equal(stored[rows], resize_pixels(native, 8, "bilinear"))


@pytest.mark.parametrize("resize", ["bilinear", "antialias"])
def test_a_pool_is_never_enlarged_beyond_its_source_and_then_shared_by_all_larger_sizes(
    tmp_path: Path, resize: str
) -> None:
    small = replace(SPEC, native_size=8)
    for size in (8, 16, 84):
        images = replace(IMAGES, size=size, resize=resize)
        pool = ensure_pool(Sizes(sides=(8, 8, 8)), small, "test", images, data_dir=None, cache=tmp_path)
        np.testing.assert_array_equal(content(pool), expected_pixels())
    assert len(left_in(tmp_path)) == 1
    four = replace(IMAGES, size=4, resize=resize)
    pool = ensure_pool(Sizes(sides=(8, 8, 8)), small, "test", four, data_dir=None, cache=tmp_path)
    assert content(pool).shape == (12, 4, 4, 3)
    assert len(left_in(tmp_path)) == 2


def test_ways_of_resizing_have_pools_of_their_own() -> None:
    assert SPEC.pool_key("test", IMAGES) != SPEC.pool_key("test", replace(IMAGES, resize="antialias"))
    assert SPEC.pool_key("test", IMAGES) == SPEC.pool_key("test", replace(IMAGES, scaling="unit", channels=1))


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
    "other shape": (lambda folder: rewrite_facts(folder, image_size=9), "it holds uint8"),
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
    np.testing.assert_array_equal(content(prepare(tmp_path, Numbers())), expected_pixels())
    assert left_in(tmp_path) == [KEY]


def test_verify_finds_one_changed_pixel_and_names_the_class(tmp_path: Path) -> None:
    prepare(tmp_path, Numbers())
    assert verify_pool(tmp_path, KEY).sha256 == open_pool(tmp_path, KEY).sha256
    path = tmp_path / "pools" / KEY / "images.npy"
    whole = path.read_bytes()
    for row, name in ((0, "a"), (4, "b"), (11, "c")):
        changed = bytearray(whole)
        changed[len(whole) - (12 - row) * 8 * 8 * 3 + 17] ^= 1
        path.write_bytes(changed)
        open_pool(tmp_path, KEY)
        with pytest.raises(DataError, match=f"the pixels of class '{name}' are not those prepared"):
            verify_pool(tmp_path, KEY)


def touched(path: Path) -> None:
    """As written a second after the pool was prepared."""
    later = path.with_name("pool.json").stat().st_mtime_ns + 10**9
    os.utime(path, ns=(later, later))


def test_a_pool_whose_pixels_were_changed_is_prepared_anew(tmp_path: Path) -> None:
    prepare(tmp_path, Numbers())
    path = tmp_path / "pools" / KEY / "images.npy"
    changed = bytearray(path.read_bytes())
    changed[-17] ^= 1
    path.write_bytes(changed)
    touched(path)
    np.testing.assert_array_equal(content(prepare(tmp_path, Numbers())), expected_pixels())
    assert left_in(tmp_path) == [KEY]


def test_the_pixels_of_a_pool_are_read_before_a_run_only_where_they_were_touched_and_then_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def counted(folder: Path) -> Pool:
        read.append(folder)
        return whole(folder)

    whole = pools.verify_folder
    monkeypatch.setattr(pools, "verify_folder", counted)
    prepare(tmp_path, Numbers())
    prepare(tmp_path, Numbers())
    assert read == []
    folder = tmp_path / "pools" / KEY
    os.utime(folder / "images.npy", ns=(time.time_ns() - 10**9,) * 2)
    os.utime(folder / "pool.json", ns=(time.time_ns() - 2 * 10**9,) * 2)
    prepare(tmp_path, Numbers())
    prepare(tmp_path, Numbers())
    assert read == [folder]


def test_verify_finds_a_digest_that_does_not_belong(tmp_path: Path) -> None:
    prepare(tmp_path, Numbers())
    rewrite_facts(tmp_path / "pools" / KEY, sha256="0" * 64)
    with pytest.raises(DataError, match="do not fit together"):
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
    older: SourceSpec = replace(SPEC, fingerprint="changed")
    prepare(tmp_path, Numbers(fault="fingerprint"), spec=older)
    folder = tmp_path / "pools" / older.pool_key("test", IMAGES)
    rewrite_facts(folder, prepared="2001-01-01T00:00:00.000000+00:00")
    assert find_prepared(tmp_path, SPEC.component) == "numbers-1"
    rewrite_facts(tmp_path / "pools" / KEY, prepared="2000-01-01T00:00:00.000000+00:00")
    assert find_prepared(tmp_path, SPEC.component) == "changed"
