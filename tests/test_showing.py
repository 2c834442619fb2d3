"""`harness show`: a run read back, its answers made again, and what is said where that cannot be."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

from command_line import refused
from harness import cli
from harness.display import shortened
from harness.episode import Episode, Task
from harness.errors import WorkspaceError
from harness.showing.answers import Answer, answers, confusions
from harness.showing.finding import find_run
from harness.spec import RunSpec
from harness.spec_reading import read_spec
from harness.store import Workspace
from harness.worker import execute
from harness.written_tables import digests
from real_runs import silent

VARIED = (
    "Experiment.methods = [@NIL(), @Baseline()]",
    "Experiment.probes = [@Freeze()]",
    "Regime.augmentation = @Augmentation()",
    "Augmentation.flip = True",
    "Regime.snapshots = [0, 2]",
    "Regime.validation_shape = @VariableShape()",
    "VariableShape.max_way = 6",
    "VariableShape.max_support = 20",
)


def test_a_spec_is_read_back_as_it_was(planned: Callable[..., dict[str, RunSpec]]) -> None:
    for spec in (*planned().values(), *planned(*VARIED).values()):
        content = json.loads(json.dumps(spec.to_json()))
        read = read_spec(content, "spec.json")
        assert read.run_id == spec.run_id
        assert read.training_id == spec.training_id
        assert read == spec


def test_a_damaged_or_changed_spec_is_said(planned: Callable[..., dict[str, RunSpec]]) -> None:
    content = planned()["maml"].to_json()
    with pytest.raises(
        WorkspaceError,
        match=r"here is damaged, or of another version .*it has no 'method_name'\): `harness retry`",
    ):
        read_spec({"run_id": "x"}, "here")
    with pytest.raises(
        WorkspaceError, match=r"its content is that of 'maml-glyphs-s1-.*': it was changed by hand"
    ):
        read_spec({**content, "seed": 1}, "here")


def test_answers_are_those_of_the_evaluation(
    planned: Callable[..., dict[str, RunSpec]], workspace: Workspace
) -> None:
    spec = planned("Evaluation.n_episodes = 8")["anil"]
    execute(spec, workspace, silent)
    found = answers(spec, workspace, spec.evaluations[0], range(8))
    rows = pd.read_parquet(workspace.folder(spec.run_id).episodes)
    assert [answer.accuracy for answer in found] == pytest.approx(rows["accuracy"].tolist())
    assert [answer.episode.index for answer in found] == list(range(8))
    pairs = confusions(found)
    wrong = sum(
        guess != int(label)
        for answer in found
        for guess, label in zip(answer.predicted, answer.episode.query_y, strict=True)
    )
    assert pairs["times"].sum() == wrong
    assert pairs["chances"].sum() == 8 * 10 * 4  # each of 10 queries could be taken for 4 others


def test_confusions_count_what_met_in_an_episode() -> None:
    def answer(names: list[str], labels: list[int], predicted: list[int]) -> Answer:
        x = torch.zeros(len(labels), 1, 4, 4)
        task = Task(support_x=x, support_y=torch.tensor(labels), query_x=x, n_way=len(names))
        episode = Episode(
            task=task, query_y=torch.tensor(labels), source="s", classes=tuple(range(len(names))), index=0
        )
        return Answer(episode=episode, predicted=predicted, class_names=names)

    found = confusions([answer(["a", "b"], [0, 0, 1], [1, 0, 1]), answer(["c", "a"], [0, 1], [1, 0])])
    table = found.set_index(["true", "predicted"])[["times", "chances"]]
    assert table.loc[("a", "b")].tolist() == [1, 2]
    assert table.loc[("b", "a")].tolist() == [0, 1]
    assert table.loc[("a", "c")].tolist() == [1, 1]
    assert table.loc[("c", "a")].tolist() == [1, 1]
    assert ("b", "c") not in table.index
    assert found["times"].is_monotonic_decreasing


def test_a_run_is_found_by_its_folder_its_id_or_the_beginning(
    planned: Callable[..., dict[str, RunSpec]], tmp_path: Path
) -> None:
    runs = tmp_path / "reports" / "tiny" / "runs"
    workspace = Workspace(runs=runs, cache=tmp_path)
    specs = planned()
    for spec in specs.values():
        workspace.folder(spec.run_id).begin(spec)
    run_id, below = specs["anil"].run_id, tmp_path / "reports"
    for name in (str(runs / run_id), run_id, "anil"):
        assert find_run(name, below).path.name == run_id
    assert find_run("anil", below / "tiny").path.name == run_id  # the experiment's own folder
    for width in (12, 16, 20, len(run_id) - 1):
        assert find_run(shortened(run_id, width), below).path.name == run_id, "as the terminal has it"
    again = Workspace(runs=tmp_path / "reports" / "other" / "runs", cache=tmp_path)
    again.folder(run_id).begin(specs["anil"])
    assert find_run(run_id, below).path.name == run_id  # the same run twice is one run
    again.folder(dataclasses.replace(specs["anil"], seed=1).run_id).begin(
        dataclasses.replace(specs["anil"], seed=1)
    )
    with pytest.raises(WorkspaceError, match="'anil' is the beginning of 2 runs"):
        find_run("anil", below)
    with pytest.raises(
        WorkspaceError, match=rf"the folder of an experiment: name one of its runs, {run_id}, maml-"
    ):
        find_run(str(below / "tiny"), below)
    with pytest.raises(WorkspaceError, match=r"There is no run 'bnil': .*--below DIR"):
        find_run("bnil", below)


def test_the_command_shows_a_run_and_draws_it(
    planned: Callable[..., dict[str, RunSpec]],
    workspace: Workspace,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spec = planned("Evaluation.n_episodes = 6")["maml"]
    execute(spec, workspace, silent)
    folder, out = workspace.folder(spec.run_id), tmp_path / "out"
    arguments = [
        "show",
        str(folder.path),
        "--cache",
        str(workspace.cache),
        "--out",
        str(out),
        "--episodes",
        "4",
    ]
    assert cli.main(arguments) == 0
    shown = capsys.readouterr().out
    assert f"run: {spec.run_id}" in shown
    assert "maml (first_order False" in shown
    assert "Most often confused on glyphs, in 4 episodes" in shown
    assert {path.name for path in out.iterdir()} == {
        "curve.png",
        "curve.svg",
        "confusions-glyphs.csv",
        "episodes-glyphs.png",
    }
    with Image.open(out / "episodes-glyphs.png") as picture:
        colours = {colour for _, colour in picture.getcolors(2**20) or []}  # type: ignore[misc]
    assert {(0, 114, 178), (213, 94, 0)} <= colours  # some right, some wrong
    said = refused(capsys, *arguments, "--source", "glyfs")
    assert "The run was not tested on 'glyfs'. Did you mean 'glyphs'" in said
    rows = pd.read_parquet(folder.episodes)
    rows.assign(accuracy=1 - rows["accuracy"]).to_parquet(folder.episodes)
    said = refused(capsys, *arguments)
    assert (
        "episodes.parquet is damaged: it is not as the run wrote it. `harness run` measures it again" in said
    )
    folder.write_status(**{**folder.status(), **digests(folder.path)})
    assert "the code or the data have changed since" in refused(capsys, *arguments)
    folder.checkpoint.unlink()
    assert "is damaged, or was removed" in refused(capsys, *arguments)


def test_what_is_not_finished_is_said(
    planned: Callable[..., dict[str, RunSpec]], workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = planned()["maml"]
    folder = workspace.folder(spec.run_id)
    folder.begin(spec)
    folder.write_status("failed", error="ValueError: too bad")
    assert cli.main(["show", str(folder.path)]) == 0
    shown = capsys.readouterr().out
    assert "error: ValueError: too bad" in shown
    assert "It is not finished (ValueError: too bad)" in shown
