"""The command line with a URL where a folder is expected: the same results, and every command reads them there."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from command_line import refused
from experiments import write_tiny
from faulty_files import URL, FaultyFileSystem, failing, faulty
from harness import cli, workflow
from harness.errors import ConfigError
from harness.remote import lease_object
from harness.remote import objects as objects_module
from harness.remote.objects import Objects

RUN = ("run", "tiny.gin", "--backend", "serial", "--out")


@pytest.fixture
def files(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FaultyFileSystem]]:
    write_tiny(home)
    monkeypatch.setattr(objects_module, "PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(lease_object, "SETTLE_SECONDS", 0.05)
    with faulty() as system:
        yield system


def another_machine(monkeypatch: pytest.MonkeyPatch, home: Path, name: str) -> None:
    """A cache of its own, in which the pools are already."""
    shutil.copytree(home / "cache" / "pools", home / name / "pools")
    monkeypatch.setenv("HARNESS_CACHE", str(home / name))


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    return {
        path.parent.name: pd.read_parquet(path).drop(columns="seconds")
        for path in folder.rglob("episodes.parquet")
        if "-outline" not in str(path)
    }


def states(url: str = URL) -> list[str]:
    there = Objects(url=url)
    found = there.read_all(key for key in there.listing("runs") if key.endswith("status.json"))
    return [json.loads(content)["state"] for content in found.values()]


def test_a_run_at_a_url_is_the_run_in_a_folder_and_all_commands_read_it(
    files: type[FaultyFileSystem],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main([*RUN, "local"]) == 0
    assert cli.main([*RUN, URL]) == 0
    assert states() == ["done"] * 3
    listing = Objects(url=URL).listing()
    assert {"report.html", "report.md", "leaderboard.csv", "config.gin", "experiment.json"} <= listing.keys()
    assert {"runs/experiment.json", "runs/config.gin"} <= listing.keys()
    assert any(key.startswith("figures/") and key.endswith(".png") for key in listing)
    record = json.loads(Objects(url=URL).read("experiment.json") or b"")
    assert record["command"] == f"harness run tiny.gin --out {URL}"

    another_machine(monkeypatch, home, "second")
    capsys.readouterr()
    trained = f"{URL}/runs/{record['runs'][0]}"
    assert cli.main(["status", URL]) == 0
    assert f"{URL}: 3 runs: 3 done." in capsys.readouterr().out
    assert cli.main(["leaderboard", URL, "local", "--out", "board"]) == 0
    assert cli.main(["paper", URL, "--out", "paper"]) == 0
    assert cli.main(["show", trained, "--episodes", "2", "--out", "shown"]) == 0
    assert (home / "shown" / "curve.png").is_file()
    assert cli.main(["compare", trained, f"{URL}/runs/{record['runs'][1]}", "--out", "compared"]) == 0
    assert cli.main(["plan", "tiny.gin", "--out", URL]) == 0
    assert "all done" in capsys.readouterr().out
    copies = tables(home / "second")
    originals = tables(home / "local")
    assert copies.keys() == originals.keys()
    for run_id, frame in originals.items():
        pd.testing.assert_frame_equal(copies[run_id], frame)

    Objects(url=URL).delete(["report.md", "report.html"])
    Objects(url=URL).write("figures/of-an-earlier-report.png", b"old")
    assert cli.main(["report", URL]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"Sent to {URL}"
    listing = Objects(url=URL).listing()
    assert {"report.md", "report.html"} <= listing.keys()
    assert "figures/of-an-earlier-report.png" not in listing


def test_the_same_command_on_another_machine_trains_nothing_again(
    files: type[FaultyFileSystem],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main([*RUN, URL]) == 0
    another_machine(monkeypatch, home, "second")
    capsys.readouterr()
    assert cli.main([*RUN, URL]) == 0
    assert "3 runs, 3 of them done already" in capsys.readouterr().out
    another_machine(monkeypatch, home, "third")
    assert cli.main(["retry", URL, "--backend", "serial"]) == 0
    assert "3 runs, 3 of them done already" in capsys.readouterr().out
    assert cli.main([*RUN, URL, "--fresh"]) == 0
    assert "of them done already" not in capsys.readouterr().out
    monkeypatch.setenv("HARNESS_CACHE", str(home / "cache"))
    first = sorted((home / "cache" / "mirrors").rglob("status.json"))
    before = [path.read_bytes() for path in first]
    assert cli.main([*RUN, URL]) == 0
    assert [path.read_bytes() for path in first] != before, "what was made anew elsewhere is taken"


def test_clean_deletes_at_the_url(
    files: type[FaultyFileSystem], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"memory://{home.name}/experiment"
    assert cli.main([*RUN, url]) == 0
    assert cli.main(["clean", url]) == 0
    assert "--checkpoints: 3 (" in capsys.readouterr().out
    before = Objects(url=url).listing()
    assert cli.main(["clean", url, "--checkpoints"]) == 0
    said = capsys.readouterr().out
    assert said.count(f"Deleting {url}/runs/") == 3
    gone = before.keys() - Objects(url=url).listing().keys()
    assert {key.rpartition("/")[2] for key in gone} == {"checkpoint.pt"}
    assert len(gone) == 3
    assert cli.main([*RUN, url]) == 0
    assert not any(key.endswith(".pt") for key in Objects(url=url).listing()), "nor sent again"
    assert cli.main([*RUN, url, "--set", "Experiment.seeds=[1]"]) == 0
    assert cli.main(["clean", url, "--unused"]) == 0
    assert len(states(url)) == 3


def test_a_connection_lost_half_way_is_one_sentence_and_the_same_command_carries_on(
    files: type[FaultyFileSystem], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files.faults.append(failing(ConnectionError("no route"), of="write", path="/nil-glyphs"))
    assert cli.main([*RUN, URL]) == 2
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    assert "cannot be reached (ConnectionError: no route" in shown.err
    assert sorted(states()) == ["done", "done"]
    assert cli.main(["status", URL]) == 0
    assert "3 runs: 2 done, 1 waiting" in capsys.readouterr().out
    files.faults.clear()
    assert cli.main([*RUN, URL]) == 0
    assert "2 of them done already" in capsys.readouterr().out
    assert states() == ["done"] * 3


def test_urls_that_cannot_be_used_are_refused_in_one_sentence(
    files: type[FaultyFileSystem], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "s3:// needs s3fs: pip install s3fs" in refused(capsys, *RUN, "s3://bucket/x")
    assert "use --backend serial" in refused(capsys, "run", "tiny.gin", "--out", "memory://x")
    assert "file:///WHOLE/PATH with three slashes" in refused(
        capsys, "plan", "tiny.gin", "--out", "file://a/b"
    )
    assert "There are no runs at" in refused(capsys, "report", URL)
    assert "There are no runs at" in refused(capsys, "status", URL)
    assert "There are no runs at" in refused(capsys, "clean", URL)
    assert "There are no runs at" in refused(capsys, "show", f"{URL}/runs/none")
    assert "--data must be a path on this machine" in refused(capsys, *RUN, "x", "--data", "s3://bucket/x")
    assert "--cache must be a path on this machine" in refused(capsys, *RUN, "x", "--cache", "s3://bucket/x")
    assert "--out must be a path on this machine" in refused(capsys, "paper", URL, "--out", "s3://bucket/x")
    assert "CONFIG must be a path on this machine" in refused(capsys, "plan", "s3://bucket/tiny.gin")
    assert not [path for path in home.iterdir() if path.name.endswith(":")]


def test_a_url_that_does_not_outlast_the_command_is_said_to_be_such(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tiny(home)

    def enough(*_: object) -> None:
        raise ConfigError("enough")

    monkeypatch.setattr(workflow, "_launch_all", enough)
    for place, warned in (("memory://abc", True), (f"file://{home}/there", False)):
        assert cli.main([*RUN, place]) == 2
        said = capsys.readouterr()
        assert ("all results are gone when the command ends" in said.out) == warned
        assert said.err == "Error: enough\n"


@pytest.mark.slow
def test_ray_workers_leave_their_runs_at_a_url(home: Path) -> None:
    write_tiny(home)
    url = f"file://{home}/there/tiny"
    done = subprocess.run(
        [sys.executable, "-m", "harness", "run", "tiny.gin", "--workers", "2", "--out", url],
        cwd=home,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Sent to {url}" in done.stdout
    assert states(url) == ["done"] * 3
    there = home / "there" / "tiny"
    assert (there / "report.html").is_file()
    assert len(tables(there)) == 3
    assert not list(there.rglob(".*.partial"))
    assert not (there / "runs" / ".lease").exists()
