"""Meta-Dataset's records: found wherever they may be, and read as Meta-Dataset reads them."""

import json
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from harness.errors import DataError, MissingDataError
from harness_datasets import file_edges, image_files
from harness_datasets.dtd import DTD
from harness_datasets.records import SPEC, find_records
from harness_datasets.records_writing import flat_spec, write_records
from packing import FORMS, drawn, pack, write_tree
from records_files import (
    CLASSES,
    as_metadataset_reads,
    assert_same,
    files_of,
    opened,
    read,
    starts,
    write_small,
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "channels", "images"), [("dtd", 3, 1200), ("quickdraw", 1, 5120), ("traffic_sign", 3, 1720)]
)
def test_real_records_are_read_as_metadataset_reads_them(
    source: str, channels: int, images: int, data_dir: Path, tmp_path: Path
) -> None:
    archive = data_dir / "meta_dataset_records" / f"{source}.zip"
    if not archive.is_file():
        pytest.skip(f"no {archive}")
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path)
    spec = json.loads((tmp_path / source / SPEC).read_text())
    names = [spec["class_names"][str(k)] for k in range(len(spec["class_names"]))]
    records, class_id, count = opened(data_dir, source, channels), 0, 0
    official = as_metadataset_reads(*(tmp_path / source / f"{k}.tfrecords" for k in range(len(names))))
    for split in ("train", "valid", "test"):
        sizes = records.class_sizes(split)
        n_classes = spec["classes_per_split"][split.upper()]
        assert list(sizes) == names[class_id : class_id + n_classes]
        for name, found in read(records, split).items():
            assert len(found) == sizes[name] == spec["images_per_class"][str(class_id)]
            for image in found:
                label, pixels = official[count]
                assert label == class_id
                np.testing.assert_array_equal(np.broadcast_to(image, pixels.shape), pixels)
                count += 1
            class_id += 1
    assert class_id == len(names)
    assert count == len(official) == images


def test_real_records_are_the_same_wherever_they_lie(data_dir: Path, tmp_path: Path) -> None:
    archive = data_dir / "meta_dataset_records" / "traffic_sign.zip"
    if not archive.is_file():
        pytest.skip(f"no {archive}")
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path)
    in_zip = opened(data_dir, "traffic_sign")
    for place in (archive, archive.parent, tmp_path, tmp_path / "traffic_sign"):
        found = opened(place, "traffic_sign")
        assert found.fingerprint() == in_zip.fingerprint()
        assert found.class_sizes("test") == in_zip.class_sizes("test")
    first = next(iter(in_zip.class_sizes("test")))
    assert_same(
        read(opened(tmp_path, "traffic_sign"), "test", {first: [0, 3, 39]}),
        read(in_zip, "test", {first: [0, 3, 39]}),
    )


@pytest.mark.parametrize("below", ["", "dtd", "records/dtd", "meta_dataset_records/dtd"])
def test_records_are_found_in_every_place(below: str, tmp_path: Path) -> None:
    write_small(tmp_path / "elsewhere")
    content = files_of(tmp_path / "elsewhere" / "dtd", "")
    write_tree(tmp_path / "data" / below, content)
    assert opened(tmp_path / "data").location == tmp_path / "data" / below
    if below:
        pack(
            tmp_path / "zips" / Path(below).parent, "dtd", {f"dtd/{k}": v for k, v in content.items()}, "zip"
        )
        assert opened(tmp_path / "zips").location == tmp_path / "zips" / f"{below}.zip"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("edge", [file_edges.EDGE, 50])
def test_every_form_gives_the_same_fingerprint_and_images(
    form: str, edge: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_edges, "EDGE", edge)
    folder = write_small(tmp_path)
    packed = pack(tmp_path / "packed", "dtd", files_of(folder, "dtd/"), form)
    one, other = opened(tmp_path), opened(packed)
    assert one.fingerprint() == other.fingerprint() == opened(tmp_path / "packed").fingerprint()
    assert one.fingerprint().startswith("records-")
    for split in CLASSES:
        assert one.class_sizes(split) == other.class_sizes(split)
        assert_same(read(one, split), read(other, split))


@pytest.mark.parametrize("edge", [file_edges.EDGE, 50])
@pytest.mark.parametrize(("method", "inside"), [(zipfile.ZIP_STORED, "dtd/"), (zipfile.ZIP_DEFLATED, "")])
def test_zips_may_be_stored_and_have_no_folder(
    method: int, inside: str, edge: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_edges, "EDGE", edge)
    folder = write_small(tmp_path / "tree")
    with zipfile.ZipFile(tmp_path / "dtd.zip", "w", method) as archive:
        for name, content in files_of(folder, inside).items():
            archive.writestr(name, content)
    zipped, tree = opened(tmp_path), opened(tmp_path / "tree")
    assert zipped.fingerprint() == tree.fingerprint()
    assert_same(read(zipped, "test"), read(tree, "test"))


def test_one_archive_may_hold_several_sources(tmp_path: Path) -> None:
    both = {}
    for name in ("dtd", "fungi"):
        both |= files_of(write_small(tmp_path / "tree", name), f"all/{name}/")
    archive = pack(tmp_path, "all", both, "zip")
    assert (opened(archive, "dtd").spec.name, opened(archive, "fungi").spec.name) == ("dtd", "fungi")
    assert opened(archive, "fungi").fingerprint() == opened(tmp_path / "tree", "fungi").fingerprint()
    assert_same(read(opened(archive, "fungi"), "test"), read(opened(tmp_path / "tree", "dtd"), "test"))
    assert find_records(archive, "aircraft") is None


def test_what_is_of_another_source_is_passed_over(tmp_path: Path) -> None:
    write_small(tmp_path, "fungi").rename(tmp_path / "dtd")
    assert find_records(tmp_path, "dtd") is None
    with pytest.raises(MissingDataError, match=r"dtd.* is not there"):
        DTD(route="records").fingerprint(tmp_path)
    (tmp_path / "dtd").rename(tmp_path / "fungi")
    write_tree(tmp_path / "dtd" / "images", {"banded.jpg": b"the original archive, unpacked"})
    assert find_records(tmp_path, "dtd") is None
    write_small(tmp_path / "records")
    assert opened(tmp_path).location == tmp_path / "records" / "dtd"
    assert find_records(tmp_path / "nowhere", "dtd") is None


def test_images_come_in_order_in_parts_of_one_size_and_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_small(tmp_path)
    official = as_metadataset_reads(folder / "3.tfrecords")
    records, rows = opened(tmp_path), np.arange(6)
    shapes = [images.shape for _, images in records.read("test", {"woven": rows})]
    assert shapes == [(2, 10, 12, 3), (1, 14, 9, 3), (2, 10, 12, 3), (1, 14, 9, 3)]
    monkeypatch.setattr(image_files, "PART_BYTES", 400)
    parts = list(records.read("test", {"zigzagged": np.arange(2), "woven": rows}))
    assert [(name, len(images)) for name, images in parts] == [("zigzagged", 1)] * 2 + [("woven", 1)] * 6
    for (_, images), (_, pixels) in zip(parts[2:], official, strict=True):
        np.testing.assert_array_equal(images[0], pixels)
    assert_same(read(records, "test", {"woven": [1, 2, 5]}), {"woven": [official[k][1] for k in (1, 2, 5)]})
    assert read(records, "test", {"woven": []}) == {}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_all_formats_are_read_in_grey_and_in_colour(kind: str, mode: str, tmp_path: Path) -> None:
    content = drawn(5, mode=mode, kind=kind)
    write_records(tmp_path / "dtd", flat_spec("dtd", {"test": ["a"]}, [1]), [(0, [content])])
    ((_, official),) = as_metadataset_reads(tmp_path / "dtd" / "0.tfrecords")
    np.testing.assert_array_equal(read(opened(tmp_path), "test")["a"][0], official)
    if kind in ("PNG", "JPEG"):
        grey = read(opened(tmp_path, channels=1), "test")["a"][0]
        assert grey.shape == (10, 12, 1)
        luma = official @ np.array([0.299, 0.587, 0.114])
        assert np.median(np.abs(grey[..., 0] - luma)) < 1


def test_the_fingerprint_is_of_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_edges, "EDGE", 64)
    folder = write_small(tmp_path)
    before, file = opened(tmp_path).fingerprint(), folder / "3.tfrecords"
    content = file.read_bytes()
    seen = {before}
    for changed in (
        b"?" + content[1:],
        content[:-1] + b"?",
        content + b"?",
        content[:63] + b"?" + content[64:],
    ):
        file.write_bytes(changed)
        seen.add(opened(tmp_path).fingerprint())
    file.write_bytes(content)
    spec = (folder / SPEC).read_bytes()
    (folder / SPEC).write_bytes(spec.replace(b"woven", b"Woven"))
    seen.add(opened(tmp_path).fingerprint())
    assert len(seen) == 6
    (folder / SPEC).write_bytes(spec)
    assert opened(tmp_path).fingerprint() == before


def test_what_the_fingerprint_misses_the_checksums_find(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_edges, "EDGE", 64)
    folder = write_small(tmp_path)
    before, file = opened(tmp_path).fingerprint(), folder / "3.tfrecords"
    content = bytearray(file.read_bytes())
    content[starts(bytes(content))[2] + 100] ^= 1
    file.write_bytes(content)
    assert opened(tmp_path).fingerprint() == before
    with pytest.raises(DataError, match=r"Record 2 of 3\.tfrecords of class 'woven'"):
        read(opened(tmp_path), "test")


def test_memory_does_not_grow_with_the_images_of_a_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_files, "PART_BYTES", 20 * 12 * 10 * 3)
    image, peaks = drawn(1), []
    for count in (200, 2000):
        place = tmp_path / str(count)
        write_records(place / "dtd", flat_spec("dtd", {"test": ["a"]}, [count]), [(0, [image] * count)])
        records, rows = opened(place), np.arange(count)
        tracemalloc.start()
        assert sum(len(images) for _, images in records.read("test", {"a": rows})) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 100_000  # all 2000 images are 720 kB
