"""Files behind URLs: whole or not at all, found when torn, tried again, and never outside of their folder."""

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faulty_files import URL, FaultyFileSystem, failing, faulty
from harness.errors import ConfigError, HarnessError, WorkspaceError
from harness.remote import objects as objects_module
from harness.remote.objects import Objects
from harness.remote.places import Url, is_url, mirror_of, safe_key, safe_name

Faulty = type[FaultyFileSystem]


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faulty]:
    monkeypatch.setattr(objects_module, "PAUSE_SECONDS", 0.001)
    with faulty() as system:
        yield system


@pytest.mark.parametrize("kind", ["memory", "file", "faulty"])
def test_files_go_there_and_come_back(tmp_path: Path, files: Faulty, kind: str) -> None:
    url = f"file://{tmp_path}/there" if kind == "file" else f"{kind}://{tmp_path.name}/there"
    there = Objects(url=url)
    assert there.listing() == {}
    assert there.read("a/none") is None
    assert not there.fetch("a/none", tmp_path / "none")
    there.write("a/one", b"first")
    there.write("a/one", b"second")
    (tmp_path / "two").write_bytes(b"2" * 70_000)
    there.send(tmp_path / "two", "a/b/two")
    assert there.listing() == {"a/one": 6, "a/b/two": 70_000}
    assert there.listing("a/b") == {"a/b/two": 70_000}
    assert there.read_all(["a/one", "a/b/two", "none"]) == {"a/one": b"second", "a/b/two": b"2" * 70_000}
    assert there.fetch("a/b/two", tmp_path / "here" / "two")
    assert (tmp_path / "here" / "two").read_bytes() == b"2" * 70_000
    there.delete(["a/one", "none"])
    assert there.listing() == {"a/b/two": 70_000}
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["two"]


def test_a_failure_that_passes_is_not_noticed(tmp_path: Path, files: Faulty) -> None:
    there = Objects(url=URL)
    for number, operation in enumerate(("write", "move", "read", "fetch", "list", "delete")):
        files.faults[:] = [failing(ConnectionError("gone"), of=operation, times=4)]
        there.write("a", b"content")
        assert there.read("a") == b"content", operation
        assert there.fetch("a", tmp_path / f"a{number}")
        assert there.listing() == {"a": 7}
        there.delete(["a"])
        assert there.listing() == {}


def test_a_failure_that_stays_is_one_sentence_and_leaves_what_was_there(files: Faulty) -> None:
    there = Objects(url=URL)
    there.write("a", b"before")
    files.asked.clear()
    files.faults[:] = [failing(TimeoutError("no answer\nat all"), of="write")]
    with pytest.raises(WorkspaceError, match=r"cannot be reached \(TimeoutError: no answer; tried 5 times"):
        there.write("a", b"after")
    assert [operation for operation, _ in files.asked].count("write") == 5
    files.faults.clear()
    assert there.read("a") == b"before"
    assert there.listing() == {"a": 6}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError("Access Denied"), "refuses access .*AWS_ACCESS_KEY_ID"),
        (
            type("NoCredentialsError", (Exception,), {})("Unable to locate"),
            "refuses access .NoCredentialsError",
        ),
        (FileNotFoundError("The specified bucket does not exist"), "make the bucket first"),
        (NotImplementedError(), "only reads"),
        (OSError(errno.ENOSPC, "No space left"), "is full .*Free some space"),
    ],
)
def test_what_no_second_try_mends_is_said_at_once(files: Faulty, error: Exception, said: str) -> None:
    files.faults[:] = [failing(error, of="write")]
    with pytest.raises(WorkspaceError, match=said):
        Objects(url=URL).write("a", b"content")
    assert [operation for operation, _ in files.asked].count("write") == 1


def test_a_torn_upload_is_found_and_sent_anew(tmp_path: Path, files: Faulty) -> None:
    (tmp_path / "a").write_bytes(b"the whole content")
    files.tear[0] = 2
    Objects(url=URL).send(tmp_path / "a", "a")
    assert [operation for operation, _ in files.asked].count("write") == 3
    assert Objects(url=URL).read("a") == b"the whole content"
    files.tear[0] = 10
    with pytest.raises(WorkspaceError, match="14 of 17 bytes of a arrived"):
        Objects(url=URL).send(tmp_path / "a", "a")
    assert Objects(url=URL).read("a") == b"the whole content", "the torn one took no one's place"


def test_a_torn_download_is_found_and_taken_anew(
    tmp_path: Path, files: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Objects(url=URL)
    there.write("a", b"the whole content")
    real, left = files.get_file, [2]

    def torn(self: FaultyFileSystem, rpath: str, lpath: str, **options: Any) -> None:
        real(self, rpath, lpath, **options)
        if left[0]:
            left[0] -= 1
            Path(lpath).write_bytes(Path(lpath).read_bytes()[:-1])

    monkeypatch.setattr(files, "get_file", torn)
    assert there.fetch("a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"the whole content"
    left[0] = 10
    with pytest.raises(WorkspaceError, match="16 of 17 bytes"):
        there.fetch("a", tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_missing_driver_and_an_unknown_protocol_are_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r"^s3:// needs s3fs: pip install s3fs, on every node\.$"):
        Objects(url="s3://bucket/experiment").check()
    with pytest.raises(ConfigError, match=r"nowhere://a cannot be used .*not known.* write a URL such as"):
        Objects(url="nowhere://a").check()


@pytest.mark.parametrize("name", ["../x", "runs/../../x", "/etc/x", "runs//x", "a\\b", "C:x", "."])
def test_names_in_a_listing_cannot_lead_out_of_the_mirror(
    files: Faulty, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    found = f"/bucket/experiment/{name}"
    monkeypatch.setattr(files, "find", lambda *_, **__: {found: {"type": "file", "size": 1}})
    with pytest.raises(WorkspaceError, match="is no name of a file below it"):
        Objects(url=URL).listing()
    monkeypatch.setattr(files, "find", lambda *_, **__: {"/elsewhere/x": {"size": 1}})
    with pytest.raises(WorkspaceError, match="does not lie below it"):
        Objects(url=URL).listing()


def test_names_are_let_in_where_they_stay_inside() -> None:
    assert safe_key("runs/maml-s0..x/checkpoint.pt", URL) == "runs/maml-s0..x/checkpoint.pt"
    assert safe_name("checkpoint.pt", URL) == "checkpoint.pt"
    with pytest.raises(WorkspaceError, match="no name of a file"):
        safe_name("a/checkpoint.pt", URL)


@pytest.mark.parametrize(
    "wrong", ["s3://", "s3:///", "s3://b/x?y=1", "a::s3://b", "s3://b/../c", "ftp://me:secret@host/x"]
)
def test_what_is_no_url_of_a_folder_is_refused(wrong: str) -> None:
    with pytest.raises(HarnessError, match=r"is no URL of a folder|has '\.\.' in it"):
        Url(wrong)


@pytest.mark.parametrize("wrong", ["https://host/x", "zip://x", "github://x/y", "SimpleCache://x"])
def test_a_url_that_cannot_be_written_is_refused_before_anything_is_done(wrong: str) -> None:
    with pytest.raises(ConfigError, match="has no folders to write: use a URL such as"):
        Objects(url=wrong).check()


@pytest.mark.parametrize("wrong", ["file://there/tiny", "file://there", "local://there/tiny"])
def test_a_url_of_a_relative_path_is_refused(wrong: str) -> None:
    with pytest.raises(HarnessError, match="names no whole path"):
        Url(wrong)
    assert Url("file:///there/tiny").text == "file:///there/tiny"


def test_a_url_is_told_from_a_path_and_has_a_mirror_of_its_own(tmp_path: Path) -> None:
    assert is_url("s3://b/x")
    assert not any(map(is_url, ("reports/x", "C:\\x", "c://x", "./s3:/x")))
    assert Url("s3://b/x//").text == "s3://b/x"
    mirrors = {mirror_of(tmp_path, url).name for url in ("s3://b/x", "s3://c/x", "gs://b/x")}
    assert len(mirrors) == 3
    assert all(name.startswith("x-") for name in mirrors)
    assert mirror_of(tmp_path, "s3://b/x/") == mirror_of(tmp_path, "s3://b/x")
