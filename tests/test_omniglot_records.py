"""Omniglot in Meta-Dataset's records: the same source as its archives, and no slower to read."""

from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from harness.errors import DataError
from harness_datasets import omniglot_characters, records
from harness_datasets.omniglot import Omniglot
from harness_datasets.raw_archives import Opener
from harness_datasets.raw_files import RawFolder
from harness_datasets.tfrecord_file import on_disk
from omniglot_files import SMALL, make_small, read_all, write_archives, write_recorded
from packing import pack


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    return make_small(monkeypatch)


@pytest.mark.parametrize("split", ["shuffled", "lake"])
@pytest.mark.parametrize("rotations", [False, True])
def test_records_and_archives_are_the_same_source(
    split: str, rotations: bool, tmp_path: Path, small: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(omniglot_characters, "SHUFFLED_TRAIN", 2)
    monkeypatch.setattr(omniglot_characters, "SHUFFLED_VALID", 2)
    write_archives(tmp_path / "original", small)
    write_recorded(tmp_path / "records" / "omniglot", small)
    original, records = (
        Omniglot(split=split, rotations=rotations, route=route) for route in ("original", "records")
    )
    one, other = read_all(original, tmp_path / "original"), read_all(records, tmp_path / "records")
    for part in original.splits:
        assert original.class_sizes(part, tmp_path / "original") == records.class_sizes(
            part, tmp_path / "records"
        )
        assert original.class_groups(part, tmp_path / "original") == records.class_groups(
            part, tmp_path / "records"
        )
        if split == "shuffled":
            assert len(one[part]) == (8 if rotations else 2)
        for (name, images), (twin, others) in zip(one[part], other[part], strict=True):
            assert name == twin
            np.testing.assert_array_equal(images, others)


@pytest.mark.parametrize("form", ["folder", "zip", "tar.gz"])
def test_an_archive_of_records_is_opened_once_and_each_character_read_once(
    form: str, tmp_path: Path, small: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_recorded(tmp_path / "tree" / "omniglot", small)
    files = {
        f"omniglot/{path.name}": path.read_bytes() for path in (tmp_path / "tree" / "omniglot").iterdir()
    }
    pack(tmp_path / "packed", "omniglot", files, form)
    write_archives(tmp_path / "original", small)
    seen: list[tuple[object, str]] = []

    def noted(raw: RawFolder, opened: Opener, path: str) -> AbstractContextManager[str]:
        seen.append((opened, path))
        return on_disk(raw, opened, path)

    monkeypatch.setattr(records, "on_disk", noted)
    limited = Omniglot(split="lake", rotations=True, max_images_per_class=7)
    read, expected = read_all(limited, tmp_path / "packed"), read_all(limited, tmp_path / "original")
    for split, classes in expected.items():
        assert [name for name, _ in read[split]] == [name for name, _ in classes]
        for (_, one), (_, other) in zip(read[split], classes, strict=True):
            np.testing.assert_array_equal(one, other)
    assert len(seen) == len({path for _, path in seen}) == 6
    assert len({opened for opened, _ in seen}) == 3  # one a split


@pytest.mark.slow
@pytest.mark.parametrize("split", ["shuffled", "lake"])
def test_tfds_has_the_same_drawings_in_the_same_classes(split: str, data_dir: Path) -> None:
    if not ((data_dir / "omniglot").is_dir() and (data_dir / "tfds" / "omniglot").is_dir()):
        pytest.skip(f"no Omniglot, or none of TFDS, in {data_dir}")
    original, tfds = (Omniglot(split=split, route=route, rotations=True) for route in ("original", "tfds"))
    for part in original.splits:
        assert original.class_sizes(part, data_dir) == tfds.class_sizes(part, data_dir)
        assert original.class_groups(part, data_dir) == tfds.class_groups(part, data_dir)
    names = list(tfds.class_sizes("valid", data_dir))[:200]
    one, other = (list(dataset.read("valid", names, data_dir)) for dataset in (original, tfds))
    for (name, images), (twin, others) in zip(one, other, strict=True):
        assert name == twin
        # TFDS has shuffled the drawings of a character.
        assert sorted(image.tobytes() for image in images) == sorted(image.tobytes() for image in others)


def test_records_are_preferred_and_found_beside_the_original(tmp_path: Path, small: dict[str, bytes]) -> None:
    write_archives(tmp_path / "omniglot", small)
    original = Omniglot(split="lake").fingerprint(tmp_path)
    assert original.startswith("omniglot-")
    write_recorded(tmp_path / "records" / "omniglot", small)
    assert Omniglot(split="lake").fingerprint(tmp_path).startswith("records-")
    assert Omniglot(split="lake", route="original").fingerprint(tmp_path) == original


def test_records_without_all_characters_or_drawings_are_refused(
    tmp_path: Path, small: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_recorded(tmp_path / "fewer" / "omniglot", small, drawings=19)
    with pytest.raises(
        DataError, match=r"lack 3 of the 3 characters of its train split, or some of their 20"
    ):
        Omniglot(split="lake").class_sizes("train", tmp_path / "fewer")
    write_recorded(tmp_path / "omniglot", small)
    more = {**SMALL, "images_evaluation": {"ULOG": 3}}
    monkeypatch.setattr(omniglot_characters, "ALPHABETS", more)
    with pytest.raises(DataError, match=r"lack 1 of the 3 characters of its test split.*'ULOG/character03'"):
        Omniglot(split="lake").class_sizes("test", tmp_path)
