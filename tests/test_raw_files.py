"""Archives and folders read alike, and what is not to be trusted refused by name."""

import gc
import io
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from harness.errors import DataError, WorkspaceError
from harness_datasets import raw_tar
from harness_datasets.raw_files import RawFolder, find_raw_folder, look_for, raw_folder_at
from packing import FORMS, add, pack, write_tree

FILES = {f"top/b{k % 3}/file_{k:02}.bin": bytes([k]) * (k * 1000) for k in range(12)}
ARCHIVES = [form for form in FORMS if form != "folder"]


def found(path: Path) -> RawFolder:
    raw = raw_folder_at(path)
    assert raw is not None
    return raw


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_paths_checksums_and_content(tmp_path: Path, form: str) -> None:
    zipped = found(pack(tmp_path / "zip", "top", FILES, "zip"))
    raw = found(pack(tmp_path / form, "top", FILES, form))
    assert raw.paths() == sorted(FILES)
    assert raw.checksums(lambda path: "b1" in path) == zipped.checksums(lambda path: "b1" in path)
    assert len(raw.checksums(bool)) == 12
    with raw.reader() as read:
        assert {path: read(path) for path in raw.paths()} == FILES
    assert raw.read_few(["top/b2/file_05.bin"])["top/b2/file_05.bin"] == FILES["top/b2/file_05.bin"]
    with raw.opener() as opened, opened("top/b2/file_11.bin") as stream:
        stream.seek(10_990)
        assert stream.read() == b"\x0b" * 10


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_is_not_there_is_named(tmp_path: Path, form: str) -> None:
    raw = found(pack(tmp_path, "top", FILES, form))
    with pytest.raises(DataError, match=r"top/none in .*top"):
        raw.read_few(["top/none"])


@pytest.mark.parametrize("form", FORMS)
def test_hidden_files_and_what_macos_adds_are_not_listed(tmp_path: Path, form: str) -> None:
    litter = {"top/.DS_Store": b"x", "top/b1/._file.bin": b"x", "top/__MACOSX/b1/file.bin": b"x"}
    raw = found(pack(tmp_path, "top", {**FILES, **litter}, form))
    assert raw.paths() == sorted(FILES)


def test_the_browser_that_unpacks_a_tar_gz_but_keeps_its_name(tmp_path: Path) -> None:
    path = pack(tmp_path, "top", FILES, "tar").rename(tmp_path / "top.tar.gz")
    assert found(path).read_few(["top/b1/file_04.bin"])["top/b1/file_04.bin"] == FILES["top/b1/file_04.bin"]


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize(
    "member", ["../out.bin", "top/../../out.bin", "/etc/out.bin", "C:/out.bin", "..\\out.bin"]
)
def test_a_member_that_leads_out_is_refused_by_name(tmp_path: Path, form: str, member: str) -> None:
    path = pack(tmp_path, "top", {**FILES, member: b"evil"}, form)
    with pytest.raises(DataError) as caught:
        found(path).paths()
    assert str(path) in str(caught.value)
    assert "out.bin" in str(caught.value)
    assert "leads out" in str(caught.value)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "top.tar"
    with tarfile.open(path, "w") as tar:
        add(tar, "top/a.bin", b"a")
        info = tarfile.TarInfo("top/other.bin")
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info)
    with pytest.raises(DataError, match=r"top\.tar has the member 'top/other\.bin', which is .*not followed"):
        found(path).paths()


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "top.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("top/other.bin")
        info.create_system, info.external_attr = 3, 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match=r"top\.zip has the member 'top/other\.bin', which is a link"):
        found(path).paths()


@pytest.mark.parametrize("again", ["top/a.bin", "./top//a.bin"])
def test_a_member_that_comes_twice_is_refused(tmp_path: Path, again: str) -> None:
    with tarfile.open(tmp_path / "top.tar", "w") as tar:
        for name in ("top/a.bin", again):
            add(tar, name, name.encode())
    with zipfile.ZipFile(tmp_path / "top.zip", "w") as archive:
        archive.writestr("top/a.bin", b"a")
        if again == "top/a.bin":
            with pytest.warns(UserWarning, match="Duplicate"):
                archive.writestr(again, b"b")
        else:
            archive.writestr(again, b"b")
    for name in ("top.tar", "top.zip"):
        with pytest.raises(DataError, match=rf"{name} has 'top/a\.bin' twice"):
            found(tmp_path / name).paths()


def test_names_with_a_dot_in_front_are_read_as_written(tmp_path: Path) -> None:
    for form in ("zip", "tar"):
        path = pack(tmp_path, "top", {f"./{name}": content for name, content in FILES.items()}, form)
        assert (
            found(path).read_few(["top/b1/file_04.bin"])["top/b1/file_04.bin"] == FILES["top/b1/file_04.bin"]
        )


@pytest.mark.parametrize("form", ARCHIVES)
@pytest.mark.parametrize("kept", [0, 100, 0.4, 0.9])
def test_a_truncated_archive_is_named(tmp_path: Path, form: str, kept: float) -> None:
    path = pack(tmp_path, "top", FILES, form)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept if kept > 1 else kept * len(content))])
    with pytest.raises(DataError, match=rf"top\.{form} .*truncated"):
        found(path).paths()


def test_a_tar_cut_off_between_two_members_is_no_shorter_archive(tmp_path: Path) -> None:
    path = pack(tmp_path, "top", FILES, "tar")
    with tarfile.open(path) as tar:
        third = tar.getmembers()[2].offset
    path.write_bytes(path.read_bytes()[:third])
    with pytest.raises(DataError, match=r"no end mark.*truncated"):
        found(path).paths()


@pytest.mark.parametrize("form", ARCHIVES)
def test_a_file_that_is_no_archive_is_named(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"top.{form}"
    path.write_bytes(b"<html>not found</html>" * 50)
    with pytest.raises(DataError, match=rf"top\.{form} .*cannot be opened"):
        found(path).paths()


def test_damaged_content_is_named(tmp_path: Path) -> None:
    path = pack(tmp_path, "top", FILES, "zip")
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("top/b1/file_07.bin").header_offset + 30 + len("top/b1/file_07.bin")
    content[start + 2 : start + 12] = b"\0" * 10
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"top/b1/file_07\.bin in .*top\.zip is damaged"):
        found(path).read_few(["top/b1/file_07.bin"])


def test_a_packed_tar_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(spool))
    raw = found(pack(tmp_path, "top", FILES, "tar.gz"))
    handles = Path("/proc/self/fd")
    before = len(list(handles.iterdir()))
    with raw.reader() as read:
        assert read("top/b1/file_04.bin")
        assert not list(spool.iterdir())
    gc.collect()
    assert len(list(handles.iterdir())) == before


def test_no_room_to_unpack_says_where_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = found(pack(tmp_path, "top", FILES, "tar.gz"))
    monkeypatch.setattr(raw_tar.tempfile, "TemporaryFile", partial(open, "/dev/full", "wb", buffering=0))
    with pytest.raises(WorkspaceError, match=r"top\.tar\.gz cannot be unpacked .*TMPDIR"), raw.reader():
        pass


def test_an_archive_replaced_by_another_is_listed_anew(tmp_path: Path) -> None:
    path = pack(tmp_path, "top", FILES, "tar.gz")
    assert len(found(path).paths()) == 12
    pack(tmp_path, "top", {"top/only.bin": b"x"}, "tar.gz")
    assert found(path).paths() == ["top/only.bin"]


def test_links_in_a_folder_are_followed_but_not_in_a_circle(tmp_path: Path) -> None:
    write_tree(tmp_path, {**FILES, "elsewhere/c/x.bin": b"x"})
    (tmp_path / "top" / "linked").symlink_to(tmp_path / "elsewhere")
    assert "top/linked/c/x.bin" in found(tmp_path / "top").paths()
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "top")
    with pytest.raises(DataError, match=r"is a link to .*remove the link"):
        found(tmp_path / "top").paths()


def broken_link(top: Path) -> None:
    (top / "x.bin").symlink_to(top / "none")


def pipe(top: Path) -> None:
    os.mkfifo(top / "x.bin")


def not_text(top: Path) -> None:
    (top / os.fsdecode(b"x\xff.bin")).write_bytes(b"x")


@pytest.mark.parametrize("spoil", [broken_link, pipe, not_text])
def test_what_cannot_be_read_in_a_folder_is_named(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    write_tree(tmp_path, FILES)
    spoil(tmp_path / "top")
    with pytest.raises(DataError, match=r"top.*x.*\.bin"):
        found(tmp_path / "top").paths()


@pytest.mark.parametrize("form", FORMS)
def test_folders_without_files_are_known(tmp_path: Path, form: str) -> None:
    path = pack(tmp_path, "top", FILES, form)
    if form == "folder":
        (path / "hollow" / "inner").mkdir(parents=True)
    elif form == "zip":
        with zipfile.ZipFile(path, "a") as archive:
            archive.mkdir("top/hollow")
            archive.mkdir("top/hollow/inner")
    else:
        with tarfile.open(path, "w" if form == "tar" else "w:gz") as tar:
            add(tar, "top/a.bin", b"a")
            for name in ("top", "top/hollow", "top/hollow/inner"):
                info = tarfile.TarInfo(name)
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
    assert found(path).listing().empty == ("top/hollow", "top/hollow/inner")


def test_the_preferred_form_is_found_first(tmp_path: Path) -> None:
    for form in ("tgz", "folder", "zip"):
        pack(tmp_path, "top", FILES, form)
        raw = find_raw_folder("top", [tmp_path / "none", tmp_path])
        assert raw is not None
        assert raw.location.name == {"tgz": "top.tgz", "folder": "top", "zip": "top.zip"}[form]
    assert find_raw_folder("other", [tmp_path]) is None


def test_raw_data_is_looked_for_by_name_by_content_and_by_path(tmp_path: Path) -> None:
    def look(place: Path) -> RawFolder | None:
        return look_for("source", place, ("top-v*", "top"), inside=("b1/file_01.bin", "b2"), also=("b0",))

    assert look(tmp_path) is None
    loose = {name.replace("top/", "any name/"): content for name, content in FILES.items()}
    write_tree(tmp_path, {**loose, "any name/not mine/x.bin": b"x"})
    inside = look(tmp_path / "any name")
    assert inside is not None
    assert len(inside.paths()) == 12
    exact = pack(tmp_path, "top", FILES, "tar")
    assert look(exact) == found(exact)
    assert look(tmp_path) == found(exact)
    better = pack(tmp_path / "source", "TOP-v2", FILES, "zip")
    assert look(tmp_path) == found(better)
    pack(tmp_path / "source", "top-v3", FILES, "zip")
    with pytest.raises(DataError, match=r"has TOP-v2\.zip and top-v3\.zip"):
        look(tmp_path)


def test_reading_from_a_tar_streams(tmp_path: Path) -> None:
    raw = found(pack(tmp_path, "top", FILES, "tar"))
    with raw.opener() as opened, opened("top/b2/file_11.bin") as stream:
        assert isinstance(stream, io.IOBase)
        assert [stream.read(6000), stream.read(6000)] == [b"\x0b" * 6000, b"\x0b" * 5000]
