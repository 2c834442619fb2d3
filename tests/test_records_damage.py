"""Records that are damaged or disagree with their specification: each named, with file, class and record."""

import errno
import io
import json
import struct
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import DataError, WorkspaceError
from harness_datasets.records import SPEC, find_records
from packing import drawn, pack
from records_files import encoded, example, files_of, framed, opened, read, starts, write_small


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


DAMAGES: Mapping[str, Callable[[bytes, int], bytes]] = {
    "in the length": flipped,
    "in the high bytes of the length": lambda content, at: flipped(content, at + 7),
    "in the checksum of the length": lambda content, at: flipped(content, at + 9),
    "in the data": lambda content, at: flipped(content, at + 200),
    "in the checksum of the data": lambda content, at: flipped(
        content, at + 12 + struct.unpack("<Q", content[at : at + 8])[0] + 1
    ),
    "cut off in the data": lambda content, at: content[: at + 100],
    "cut off before the last byte": lambda content, at: content[
        : at + 12 + struct.unpack("<Q", content[at : at + 8])[0] + 3
    ],
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("form", ["folder", "zip"])
def test_a_damaged_record_is_named(damage: str, form: str, tmp_path: Path) -> None:
    files = files_of(write_small(tmp_path / "whole"), "dtd/")
    content = files["dtd/3.tfrecords"]
    for record in (0, 4):
        damaged = DAMAGES[damage](content, starts(content)[record])
        place = tmp_path / f"{form}{record}"
        pack(place, "dtd", {**files, "dtd/3.tfrecords": damaged}, form)
        with pytest.raises(DataError, match=rf"^Record {record} of 3\.tfrecords of class 'woven' in {place}"):
            read(opened(place), "test")
        assert len(read(opened(place), "train")) == 2
        # Also where that record is not wanted: its neighbours' places cannot be trusted.
        with pytest.raises(DataError, match=rf"Record {record} of 3\.tfrecords"):
            read(opened(place), "test", {"woven": [0]})


def cut(path: Path, record: int, byte: int) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: starts(content)[record] + byte])


def rewrite(records: Callable[[list[bytes]], list[bytes]]) -> Callable[[Path], None]:
    """Writes the file of the class 'woven' again, with other records and right checksums."""

    def change(folder: Path) -> None:
        whole = [example(image=[image], label=[3]) for image in encoded(3, 6)]
        framed(records(whole), folder / "3.tfrecords")

    return change


def edit_spec(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        spec = json.loads((folder / SPEC).read_text())
        for key, value in changes.items():
            spec[key] = {**spec[key], **value} if isinstance(value, dict) else value
        (folder / SPEC).write_text(json.dumps(spec))

    return change


PICTURE = drawn(1, kind="JPEG")

IN_RECORDS: list[tuple[str, Callable[[Path], object], str]] = [
    ("one less", rewrite(lambda r: r[:-1]), r"3\.tfrecords of class 'woven' .* has 5 records, and .* says 6"),
    ("one more", rewrite(lambda r: [*r, r[0]]), r"3\.tfrecords of class 'woven' .* 7 records, and .* says 6"),
    ("none", rewrite(lambda r: r[:0]), r"3\.tfrecords of class 'woven' .* has 0 records, and .* says 6"),
    (
        "cut off in a length, which tensorflow takes for the end",
        lambda folder: cut(folder / "3.tfrecords", 4, 5),
        r"3\.tfrecords of class 'woven' .* has 4 records, and .* says 6",
    ),
    ("count in the spec", edit_spec(images_per_class={"3": 8}), r"'woven' .* has 6 records, and .* says 8"),
    (
        "another label",
        rewrite(lambda r: [*r[:2], example(image=[PICTURE], label=[4]), *r[3:]]),
        r"Record 2 of 3\.tfrecords of class 'woven' .* has the label 4, .* number 3",
    ),
    (
        "a class file in the place of another",
        lambda folder: (folder / "3.tfrecords").write_bytes((folder / "4.tfrecords").read_bytes()),
        r"Record 0 of 3\.tfrecords of class 'woven' .* has the label 4, .* number 3",
    ),
    (
        "no image",
        rewrite(lambda r: [*r[:5], example(label=[3])]),
        r"Record 5 of 3\.tfrecords of class 'woven' .* holds no `image` with a `label`",
    ),
    (
        "no label",
        rewrite(lambda r: [example(image=[PICTURE]), *r[1:]]),
        r"Record 0 of 3\.tfrecords .*no `image`",
    ),
    (
        "two images",
        rewrite(lambda r: [example(image=[PICTURE, PICTURE], label=[3]), *r[1:]]),
        r"Record 0 of 3\.tfrecords .* holds no `image` with a `label`",
    ),
    (
        "no example",
        rewrite(lambda r: [r[0], b"\xff\xff\xff", *r[2:]]),
        r"Record 1 of 3\.tfrecords .*no `image`",
    ),
    (
        "no picture",
        rewrite(lambda r: [*r[:4], example(image=[b"not an image"], label=[3]), r[5]]),
        r"The image in record 4 of 3\.tfrecords of class 'woven' .* is damaged or no JPEG, PNG or GIF",
    ),
    (
        "a BMP, which Meta-Dataset does not read",
        rewrite(lambda r: [*r[:4], example(image=[drawn(1, kind="BMP")], label=[3]), r[5]]),
        r"The image in record 4 of 3\.tfrecords of class 'woven' .* is damaged or no JPEG, PNG or GIF",
    ),
    (
        "an empty picture",
        rewrite(lambda r: [*r[:4], example(image=[b""], label=[3]), r[5]]),
        r"The image in record 4 of 3\.tfrecords of class 'woven' .* is damaged or no JPEG, PNG or GIF",
    ),
    (
        "a JPEG cut off",
        rewrite(lambda r: [*r[:4], example(image=[PICTURE[: len(PICTURE) // 2]], label=[3]), r[5]]),
        r"The image in record 4 of 3\.tfrecords of class 'woven' .* is damaged or no JPEG, PNG or GIF",
    ),
    (
        "a PNG cut off",
        rewrite(lambda r: [*r[:4], example(image=[drawn(1)[:60]], label=[3]), r[5]]),
        r"The image in record 4 of 3\.tfrecords of class 'woven' .* is damaged or no JPEG, PNG or GIF",
    ),
]


@pytest.mark.parametrize(("what", "change", "message"), IN_RECORDS, ids=[what for what, _, _ in IN_RECORDS])
def test_records_that_disagree_with_the_specification_are_named(
    what: str, change: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    folder = write_small(tmp_path)
    change(folder)
    with pytest.raises(DataError, match=message) as caught:
        read(opened(tmp_path), "test")
    assert str(tmp_path) in str(caught.value)


IN_FILES: list[tuple[str, Callable[[Path], object], str]] = [
    (
        "missing",
        lambda folder: (folder / "3.tfrecords").unlink(),
        r"lacks 3\.tfrecords \(class 'woven'\) \(1 files\)",
    ),
    (
        "more",
        lambda folder: (folder / "9.tfrecords").touch(),
        r"has, beyond its classes, 9\.tfrecords \(1 files\)",
    ),
    (
        "fewer in the spec",
        edit_spec(classes_per_split={"TEST": 3}, images_per_class={"5": 2}, class_names={"5": "x"}),
        r"lacks 5\.tfrecords \(class 'x'\)",
    ),
]


@pytest.mark.parametrize("form", ["folder", "zip"])
@pytest.mark.parametrize(("what", "change", "message"), IN_FILES, ids=[what for what, _, _ in IN_FILES])
def test_class_files_that_are_missing_or_too_many_are_named(
    what: str, change: Callable[[Path], object], message: str, form: str, tmp_path: Path
) -> None:
    folder = write_small(tmp_path / "tree")
    change(folder)
    place = pack(tmp_path, "dtd", files_of(folder, "dtd/"), form)
    for ask in (lambda r: r.fingerprint(), lambda r: r.class_sizes("test")):
        with pytest.raises(DataError, match=message) as caught:
            ask(opened(tmp_path))
        assert str(place) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edit_spec(images_per_class={"3": 0}), r"images_per_class\['3'\] is 0"),
        (edit_spec(class_names={"3": "lined"}), r"'lined' more than once"),
        (lambda folder: (folder / SPEC).write_text("{"), "no JSON"),
    ],
)
def test_a_specification_that_cannot_be_right_is_refused(
    change: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    folder = write_small(tmp_path)
    change(folder)
    with pytest.raises(DataError, match=message) as caught:
        find_records(tmp_path, "dtd")
    assert f"dtd/{SPEC} in {tmp_path}" in str(caught.value)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_that_the_archive_itself_finds_damaged_is_named(method: int, tmp_path: Path) -> None:
    files = files_of(write_small(tmp_path / "tree"), "dtd/")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        member = archive.getinfo("dtd/3.tfrecords")
    content = out.getvalue()
    middle = member.header_offset + 30 + len(member.filename) + member.compress_size // 2
    (tmp_path / "dtd.zip").write_bytes(flipped(content, middle))
    with pytest.raises(DataError, match=r"dtd/3\.tfrecords in .*dtd\.zip is damaged"):
        read(opened(tmp_path), "test")
    (tmp_path / "dtd.zip").write_bytes(
        content[: member.header_offset] + b"????" + content[member.header_offset + 4 :]
    )
    with pytest.raises(DataError, match=r"dtd/3\.tfrecords in .*dtd\.zip is damaged"):
        opened(tmp_path).fingerprint()
    (tmp_path / "dtd.zip").write_bytes(content[:-30])
    with pytest.raises(DataError, match=r"dtd\.zip .* truncated"):
        find_records(tmp_path, "dtd")


def test_a_file_that_vanishes_while_it_is_read_is_named(tmp_path: Path) -> None:
    folder = write_small(tmp_path)
    records = opened(tmp_path)
    parts = records.read("test", {"woven": np.arange(6), "zigzagged": np.arange(2)})
    next(parts)
    (folder / "4.tfrecords").unlink()
    with pytest.raises(DataError, match=r"4\.tfrecords of class 'zigzagged' in .* cannot be read"):
        list(parts)


def test_no_copy_of_a_packed_file_is_left_and_a_full_disk_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(tmp_path, "dtd", files_of(write_small(tmp_path / "tree"), "dtd/"), "zip")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    parts = opened(tmp_path).read("test", {"woven": np.arange(6)})
    next(parts)
    assert list((tmp_path / "tmp").iterdir()) == []

    class Full(io.BytesIO):
        def write(self, content: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    with pytest.raises(
        WorkspaceError, match=r"dtd/3\.tfrecords in .*dtd\.zip cannot be copied .*No space left"
    ):
        read(opened(tmp_path), "test")
