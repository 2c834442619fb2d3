"""One leaderboard over several experiments: what is merged, what is refused, and what is written."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console

from command_line import refused
from fake_runs import run_spec, write_run
from harness import cli
from harness.episode import EpisodeShape
from harness.errors import ConfigError, WorkspaceError
from harness.leaderboard.command import LeaderboardRequest, make_leaderboard
from harness.leaderboard.critical_difference import draw_critical_difference
from harness.leaderboard.groups import ranked_groups
from harness.leaderboard.merging import merge
from harness.leaderboard.rendering import latex, long_frame, markdown
from harness.published_numbers import COLUMNS, PAPERS, published_numbers
from harness.spec import OWN_STEPS
from ranked_frames import SOURCES, experiment, frame, rows


def test_experiments_are_merged_and_their_methods_ranked(tmp_path: Path) -> None:
    a = experiment(tmp_path / "a", {"maml": 0.8, "anil": 0.7})
    b = experiment(tmp_path / "b", {"nil": 0.6})
    merged = merge([a, b])
    assert merged.experiments == ("a", "b")
    assert set(merged.episodes["method"]) == {"maml", "anil", "nil"}
    (group,) = ranked_groups(merged.episodes, baseline="maml")
    assert group.methods == ("maml", "anil", "nil")
    assert group.paired is not None
    assert group.paired.average.tolist() == [1, 2, 3]
    assert group.published.mean().to_dict() == {"anil": 2, "maml": 1, "nil": 3}
    assert group.against is not None
    nil = group.against[group.against["method"] == "nil"]
    assert set(nil["source"]) == set(SOURCES)
    assert nil["difference"].between(-0.22, -0.18).all()
    assert (nil["p_holm"] < 1e-6).all()


def test_what_was_measured_on_subsets_is_said(tmp_path: Path) -> None:
    a, b = (experiment(tmp_path / name, {method: 0.8}) for name, method in (("a", "maml"), ("b", "anil")))
    runs = [path.name for path in (b / "runs").iterdir()]
    record = {"runs": runs, "subsets": ["dtd: 10 of 47 published classes"]}
    (b / "runs" / "experiment.json").write_text(json.dumps(record), encoding="utf-8")
    assert merge([a, b]).subsets == ("dtd: 10 of 47 published classes",)
    make_leaderboard(LeaderboardRequest(folders=[a, b], out=tmp_path / "out"), Console(quiet=True))
    page = (tmp_path / "out" / "leaderboard.md").read_text(encoding="utf-8")
    assert (
        "Measured on subsets, not comparable with published numbers: dtd: 10 of 47 published classes." in page
    )


def test_a_run_that_is_in_two_folders_counts_once(tmp_path: Path) -> None:
    a, b = (experiment(tmp_path / name, {"maml": 0.8, "anil": 0.7}) for name in "ab")
    assert len(merge([a, b]).episodes) == len(merge([a]).episodes)


def test_one_name_for_two_methods_gets_the_experiments_beside_it(tmp_path: Path) -> None:
    a = experiment(tmp_path / "a", {"maml": 0.8, "anil": 0.7})
    b = experiment(tmp_path / "b", {"maml": 0.6}, inner_steps=5)
    assert set(merge([a, b]).episodes["method"]) == {"maml (a)", "maml (b)", "anil"}


def test_methods_that_learn_in_different_ways_are_ranked_together(tmp_path: Path) -> None:
    a, b = experiment(tmp_path / "a", {"maml": 0.8}), tmp_path / "b"
    own_steps = {"learning_rate": 0.0, "schedule": OWN_STEPS}
    ways: dict[str, dict[str, Any]] = {
        "multiclass": {"learns_from": "batches", "iterations": 7},
        "random_features": {"learns_from": "nothing", "iterations": 7},
        "reptile": own_steps,
    }
    for name, way in ways.items():
        spec = run_spec(name, evaluated_on=SOURCES)
        train = dataclasses.replace(spec.train, **way)
        write_run(b / "runs", dataclasses.replace(spec, train=train), 0.6)
    merged = merge([a, b])
    assert set(merged.episodes["trained_on"]) == {"glyphs"}
    (group,) = ranked_groups(merged.episodes)
    assert set(group.methods) == {"maml", *ways}


def test_one_name_for_two_trainings_keeps_them_apart(tmp_path: Path) -> None:
    a = experiment(tmp_path / "a", {"maml": 0.8})
    other = run_spec("anil", evaluated_on=SOURCES, shape=EpisodeShape(n_way=5, n_shot=1, n_query=9))
    write_run(tmp_path / "b" / "runs", other, 0.7)
    merged = merge([a, tmp_path / "b"])
    assert set(merged.episodes["trained_on"]) == {"glyphs (a)", "glyphs (b)"}
    assert [group.trained_on for group in ranked_groups(merged.episodes)] == ["glyphs (a)", "glyphs (b)"]


def test_what_has_no_finished_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"There is no folder .*gone: name one that `harness run` made"):
        merge([tmp_path / "gone"])
    with pytest.raises(WorkspaceError, match=r"No run has finished in .*there are no runs"):
        merge([tmp_path])
    a = experiment(tmp_path / "a", {"maml": 0.8})
    broken = write_run(a / "runs", run_spec("anil", evaluated_on=SOURCES))
    broken.episodes.write_bytes(b"no parquet")
    merged = merge([a])
    assert [one.run_id for one in merged.left_out] == [f"a/{broken.path.name}"]
    assert set(merged.episodes["method"]) == {"maml"}


def test_shapes_and_regimes_are_ranked_apart_without_being_asked() -> None:
    mixed = frame(rows("maml", 0.5), rows("maml", 0.6, n_support=25), rows("maml", 0.7, trained_on="digits"))
    assert [(group.trained_on, group.conditions["shots"]) for group in ranked_groups(mixed)] == [
        ("digits", 1.0),
        ("glyphs", 1.0),
        ("glyphs", 5.0),
    ]


def test_only_sources_that_all_methods_have_are_ranked() -> None:
    (group,) = ranked_groups(frame(rows("maml", 0.5), rows("anil", 0.4), rows("anil", 0.9, source="digits")))
    assert (group.sources, group.not_shared) == (("glyphs",), ("digits",))
    page = markdown([group], None, [None], [])
    assert "Ranked on 1 of 2 sources; not on digits" in page
    assert "| anil | 2.00 | 2.00 |" in page
    assert "92.9 ±" in page


def test_without_shared_episodes_there_is_no_paired_ranking() -> None:
    other = rows("anil", 0.4)
    (group,) = ranked_groups(frame(rows("maml", 0.5), other.assign(seed=5)))
    assert group.paired is None
    assert group.unpaired.startswith("The methods do not share 20 test episodes of 'glyphs'")
    assert group.published.loc["glyphs"].to_dict() == {"maml": 1, "anil": 2}
    assert "No paired ranking" in markdown([group], None, [None], [])


def test_wrong_options_are_said() -> None:
    both = frame(rows("maml", 0.5), rows("anil", 0.4))
    with pytest.raises(
        ConfigError, match=r"--group-by 'batchnorm' is no condition. Did you mean 'batch_norm'"
    ):
        ranked_groups(both, group_by=["batchnorm"])
    with pytest.raises(ConfigError, match=r"--baseline 'mmal' is no method here. Did you mean 'maml'"):
        ranked_groups(both, baseline="mmal")


def test_the_long_frame_has_both_ranks() -> None:
    found = long_frame(ranked_groups(frame(rows("maml", 0.5), rows("anil", 0.4))))
    assert found[["method", "source", "rank_meta_dataset", "rank_paired"]].to_dict("list") == {
        "method": ["anil", "maml"],
        "source": ["glyphs", "glyphs"],
        "rank_meta_dataset": [2.0, 1.0],
        "rank_paired": [2.0, 1.0],
    }


def test_names_cannot_break_the_pages() -> None:
    groups = ranked_groups(frame(rows("a_b & <script>", 0.5), rows("50% | c", 0.4)))
    page = markdown(groups, None, [None], ["Made of <b>."])
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    text = latex(groups)
    assert r"\textbf{52.9 $\pm$ 0.6}" in text
    assert r"a\_b \& <script> & 1.00" in text
    assert r"50\% | c & 2.00" in text


def test_published_numbers_are_whole_and_typed() -> None:
    found = published_numbers()
    assert list(found.columns) == list(COLUMNS)
    assert set(found["paper"]) == set(PAPERS)
    assert len(published_numbers("meta_dataset")) == 350
    anil = published_numbers("anil_paper").set_index(["method", "source", "n_way", "shots"])["value"]
    assert anil["nil", "miniimagenet", 5, 1] == 48.0
    assert anil["multitask", "miniimagenet", 5, 5] == 34.2
    rl = published_numbers("anil_paper").query("unit == 'return'")
    assert len(rl) == 6


def test_the_command_writes_everything_and_shows_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = experiment(tmp_path / "a", {"maml": 0.8, "anil": 0.7}, seeds=2)
    spec = run_spec("proto_net", trained_on=("omniglot",), evaluated_on=("omniglot",))
    write_run(tmp_path / "b" / "runs", spec, 0.9)
    out = tmp_path / "board"
    arguments = [
        "leaderboard",
        str(a),
        str(tmp_path / "b"),
        "--out",
        str(out),
        "--published",
        "--baseline",
        "maml",
    ]
    assert cli.main(arguments) == 0
    shown = capsys.readouterr().out
    assert "Trained on glyphs: 5-way 1-shot, test split" in shown
    assert "Ahead of the baseline, in points (p by Holm)" in shown
    assert "Published numbers of these sources are in the page." in shown
    assert f"Leaderboard: {out / 'leaderboard.md'}" in shown
    names = {path.name for path in out.iterdir()}
    assert names == {"figures", "leaderboard.csv", "leaderboard.md", "leaderboard.parquet", "leaderboard.tex"}
    page = (out / "leaderboard.md").read_text(encoding="utf-8")
    assert "## Published elsewhere, not measured here" in page
    assert "96.7 ± 0.3" in page  # NIL on Omniglot, 20 ways, as published
    assert "glyphs" in page
    picture, vectors = sorted((out / "figures").iterdir())
    assert f"](figures/{picture.name})" in page
    assert (picture.suffix, vectors.name) == (".png", f"{picture.stem}.svg")
    assert b"<svg" in vectors.read_bytes()
    frame = pd.read_parquet(out / "leaderboard.parquet")
    assert len(frame) == 5
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    (out / "figures" / "ranks-9-old.svg").write_bytes(b"x")
    assert cli.main(arguments) == 0
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_folder_without_runs_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "leaderboard", str(tmp_path / "nowhere"))
    assert said.startswith("Error: There is no folder")


def test_the_diagram_has_a_dot_for_every_member_of_a_set_and_for_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[int, list[int]] = {}
    real = Axes.plot

    def plot(self: Axes, *args: Any, **options: Any) -> Any:
        if str(options.get("gid", "")).startswith("set "):
            (column,) = set(args[0])
            drawn[column] = list(args[1])
        return real(self, *args, **options)

    monkeypatch.setattr(Axes, "plot", plot)
    levels = {f"m{number}": 0.7 + 0.003 * number for number in range(6)}
    (group,) = ranked_groups(merge([experiment(tmp_path / "a", levels)]).episodes)
    assert group.paired is not None
    draw_critical_difference(group.paired, tmp_path / "ranks.png")
    order = list(group.paired.methods)
    assert [tuple(order[place] for place in drawn[column]) for column in sorted(drawn)] == list(
        group.paired.cliques
    )
    assert group.paired.cliques


@pytest.mark.parametrize("n_methods", [2, 6])
def test_the_diagram_holds_all_of_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_methods: int
) -> None:
    beyond: list[str] = []

    def save(figure: Figure, path: Path) -> None:
        whole = figure.bbox
        figure.canvas.draw()
        for axes in figure.axes:
            for words in (axes.title, axes._left_title, *axes.get_yticklabels()):  # type: ignore[attr-defined]
                box = words.get_window_extent()
                if words.get_text() and (box.x1 > whole.x1 or box.x0 < whole.x0 or box.y1 > whole.y1):
                    beyond.append(words.get_text())

    monkeypatch.setattr("harness.leaderboard.critical_difference.save", save)
    levels = {f"m{number}": 0.7 + 0.003 * number for number in range(n_methods)}
    (group,) = ranked_groups(merge([experiment(tmp_path / "a", levels)]).episodes)
    assert group.paired is not None
    draw_critical_difference(group.paired, tmp_path / "ranks.png")
    assert beyond == []


def test_that_no_paper_has_numbers_is_said(tmp_path: Path) -> None:
    folder = experiment(tmp_path / "a", {"maml": 0.8, "anil": 0.7})
    assert cli.main(["leaderboard", str(folder), "--out", str(tmp_path / "board"), "--published"]) == 0
    page = (tmp_path / "board" / "leaderboard.md").read_text(encoding="utf-8")
    assert "No paper that is known here has numbers for these sources." in page
