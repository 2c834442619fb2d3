"""Tables of finished runs that were changed after they were written: found, not reported, and made again."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from experiments import write_tiny
from fake_runs import run_spec, write_run
from harness import cli
from harness.store import RunFolder, read_episodes
from harness.written_tables import digests, discard_damaged


def in_the_middle(path: Path) -> None:
    """The file ends as it did, and cannot be read."""
    content = bytearray(path.read_bytes())
    content[4 : len(content) // 2] = bytes(len(content) // 2 - 4)
    path.write_bytes(content)


def other_numbers(path: Path) -> None:
    """A whole table, but not that of the run."""
    frame = pd.read_parquet(path)
    frame["accuracy"] = 1.0 - frame["accuracy"]
    frame.to_parquet(path, index=False)


@pytest.mark.parametrize("damage", [in_the_middle, other_numbers])
def test_the_same_command_makes_damaged_results_again(
    home: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None]
) -> None:
    command = ["run", str(write_tiny(home)), "--out", "out", "--backend", "serial"]
    assert cli.main(command) == 0
    runs = sorted(path.parent for path in home.glob("out/runs/*/episodes.parquet"))
    shutil.copytree(home / "out", home / "before")
    damage(runs[0] / "episodes.parquet")
    capsys.readouterr()
    assert cli.main(["report", "out"]) == 0
    assert f"({runs[0].name}: episodes.parquet is damaged: " in capsys.readouterr().out
    assert cli.main(command) == 0
    said = capsys.readouterr().out
    assert f"{runs[0].name}/episodes.parquet is damaged, and is made again." in said
    assert f"{len(runs) - 1} of them done already" in said
    for run in runs:
        rows = [
            pd.read_parquet(home / place / "runs" / run.name / "episodes.parquet")
            for place in ("before", "out")
        ]
        pd.testing.assert_frame_equal(*(frame.drop(columns="seconds") for frame in rows), check_exact=True)
    assert cli.main(command) == 0
    assert "made again" not in capsys.readouterr().out


def test_tables_without_digests_are_damaged_where_they_cannot_be_read(tmp_path: Path) -> None:
    """As of runs that earlier versions have made."""
    whole, torn = (write_run(tmp_path, run_spec(name), 0.5) for name in ("maml", "anil"))
    assert "tables" not in whole.status()
    in_the_middle(torn.episodes)
    assert torn.is_done
    assert discard_damaged([whole, torn, RunFolder(tmp_path / "never begun")]) == [torn.episodes]
    assert whole.is_done
    assert not torn.is_done


def test_other_probes_than_were_measured_are_damaged_and_the_episodes_stay(tmp_path: Path) -> None:
    run = write_run(tmp_path, run_spec("maml"), 0.5)
    run.probes.write_bytes(run.episodes.read_bytes())
    run.write_status("done", **digests(run.path))
    assert discard_damaged([run]) == []
    other_numbers(run.probes)
    assert discard_damaged([run]) == [run.probes]
    episodes, left_out = read_episodes([run])
    assert (len(episodes), left_out) == (100, [])
