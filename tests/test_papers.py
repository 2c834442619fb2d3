"""The papers' tables beside what was measured here: which cells belong together, and what is said of them."""

import dataclasses
import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from command_line import refused
from control_experiments import needs_entry_points
from fake_probes import Truth, write_probes
from fake_runs import run_spec, write_run
from harness import cli, plugins
from harness.config import load_experiment
from harness.control.experiment import ControlExperiment
from harness.episode import EpisodeShape
from harness.experiment import Experiment
from harness.papers.agreement import ABOVE, BELOW, OPEN, WITHIN, agreement, published_half
from harness.papers.analysis_tables import ANALYSIS_TABLES
from harness.papers.measured import ALL_SOURCES, Measured, measured
from harness.papers.tables import PAPER_TABLES, RETURNS, Setting
from harness.plugins import Component
from harness.published_numbers import PAPERS, SPREADS, TRAINED, published_numbers
from harness.report.build import build_report
from harness.report.gather import FinishedRun, read_run
from harness.spec import RunSpec

REPOSITORY = Path(__file__).resolve().parents[1]
FIVE_SHOT = EpisodeShape(n_way=5, n_shot=5, n_query=5)
ONE_SHOT = EpisodeShape(n_way=5, n_shot=1, n_query=15)


def mini(method: str, shape: EpisodeShape = FIVE_SHOT, **values: object) -> RunSpec:
    source = ("miniimagenet",)
    return run_spec(method, trained_on=source, evaluated_on=source, shape=shape, **values)  # type: ignore[arg-type]


def longer(spec: RunSpec, **train: object) -> RunSpec:
    return dataclasses.replace(spec, train=dataclasses.replace(spec.train, **train))  # type: ignore[arg-type]


def of(runs: Path, *specs: tuple[RunSpec, float]) -> list[FinishedRun]:
    found = [read_run(write_run(runs, spec, level))[0] for spec, level in specs]
    return [run for run in found if run is not None]


def found_in(
    runs: Path, *specs: tuple[RunSpec, float]
) -> dict[tuple[str, str, str, int | None, int | None], Measured]:
    return measured((run, ()) for run in of(runs, *specs))


def only(found: dict[tuple[str, str, str, int | None, int | None], Measured]) -> Measured:
    assert len(found) == 1
    return next(iter(found.values()))


def test_every_published_number_of_a_table_s_papers_has_its_place_in_one() -> None:
    published = published_numbers()
    wanted = published[published["paper"] != "meta_dataset"]
    placed = {
        (paper, setting.trained_on, setting.source, setting.n_way, setting.shots, name, setting.quantity)
        for table in (*PAPER_TABLES, *ANALYSIS_TABLES)
        for setting in table.settings
        for paper in table.papers
        for name, _ in table.methods
    }
    for row in wanted.itertuples(index=False):
        shape = tuple(None if pd.isna(value) else int(value) for value in (row.n_way, row.shots))
        assert (row.paper, row.trained_on, row.source, *shape, row.method, row.quantity) in placed, row
    meta = [table for table in PAPER_TABLES if table.papers == ("meta_dataset",)]
    names = set(published.loc[published["paper"] == "meta_dataset", "method"])
    assert all({label for _, label in table.methods} <= names for table in meta)
    assert set(published["spread"]) <= set(SPREADS)
    assert {paper for paper, _ in TRAINED} <= set(PAPERS)


COMMANDS = sorted({s.command for table in PAPER_TABLES if table is not RETURNS for s in table.settings})


@needs_entry_points
@pytest.mark.parametrize("setting", RETURNS.settings, ids=lambda one: one.source)
def test_the_command_of_an_empty_cell_of_returns_would_fill_it(setting: Setting) -> None:
    config = re.findall(r"gin/\S+", setting.command)[0]
    experiment, _ = load_experiment(REPOSITORY / config)
    assert isinstance(experiment, ControlExperiment)
    assert {method.name for method in experiment.methods} == {name for name, _ in RETURNS.methods}
    for regime in experiment.regimes:
        assert regime.source.name == setting.source
        assert any(regime.source in e.sources and e.split == "test" for e in experiment.evaluations)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_of_an_empty_cell_would_fill_it(command: str) -> None:
    settings = {
        (s.source, s.n_way, s.shots): [name for name, _ in table.methods]
        for table in PAPER_TABLES
        for s in table.settings
        if s.command == command
    }
    config = re.findall(r"gin/\S+", command)[0]
    bindings = [a or b for a, b in re.findall(r"""--set (?:"([^"]+)"|'([^']+)')""", command)]
    experiment, _ = load_experiment(REPOSITORY / config, bindings)
    assert isinstance(experiment, Experiment)
    tested = {
        (source.name, getattr(e.shape, "n_way", None), getattr(e.shape, "n_shot", None))
        for e in experiment.evaluations
        for source in e.sources
    }
    trained = {
        (source.name, getattr(r.shape, "n_way", None), getattr(r.shape, "n_shot", None))
        for r in experiment.regimes
        for source in r.sources
    }
    methods = {method.name for method in experiment.methods}
    for place, names in settings.items():
        assert place in tested
        assert place in trained or place[1] is None
        assert methods >= set(names) - {"proto_maml", "maml_body_frozen"}
        if "maml_body_frozen" in names:
            assert any(
                plugins.describe(plugins.PROBES, probe).plugin == "freeze" for probe in experiment.probes
            )


@pytest.mark.parametrize(
    ("here", "half", "verdict"),
    [
        (63.1, 0.5, WITHIN),
        (64.5, 0.5, OPEN),
        (60.0, 2.5, OPEN),
        (67.0, 0.3, ABOVE),
        (59.0, 0.3, BELOW),
        (63.1, 3.0, OPEN),
    ],
)
def test_a_verdict_is_given_where_the_whole_interval_allows_it(
    here: float, half: float, verdict: str
) -> None:
    published = {"value": 63.1, "plus_minus": 0.4, "spread": "seeds_sd", "n_trainings": 3}
    found = agreement(here, half, published, 2.0)
    there = float(t.ppf(0.975, 2)) * 0.4 / math.sqrt(3)
    assert published_half(published) == pytest.approx(there)
    assert found.half == pytest.approx(math.sqrt(half**2 + there**2))
    assert found.difference == pytest.approx(here - 63.1)
    assert found.verdict == verdict


def test_an_error_counts_as_it_was_published_and_one_that_is_not_known_is_marked() -> None:
    five = {"value": 66.45, "plus_minus": 0.37, "spread": "seeds_sd", "n_trainings": 5}
    assert published_half(five) == pytest.approx(float(t.ppf(0.975, 4)) * 0.37 / math.sqrt(5))
    interval = {"value": 63.1, "plus_minus": 1.84, "spread": "ci95"}
    assert published_half(interval) == 1.84
    assert agreement(60, 1, interval, 2.0).known
    unsaid = {"value": 63.1, "plus_minus": 0.4, "spread": "unknown"}
    missing = {"value": 63.1, "plus_minus": float("nan"), "spread": "unknown"}
    for row, half in ((unsaid, 0.4), (missing, 0.0)):
        found = agreement(50, 1, row, 2.0)
        assert found.half == pytest.approx(math.hypot(1, half))
        assert not found.known


def test_seeds_count_together_and_deviate_as_their_means(tmp_path: Path) -> None:
    runs = of(tmp_path, *((mini("maml", seed=seed), 0.6 + 0.02 * seed) for seed in range(3)))
    found = only(measured((run, ()) for run in runs))
    means = [100 * float(run.episodes["accuracy"].mean()) for run in runs]
    assert found.place == ("maml", "miniimagenet", "miniimagenet", 5, 5)
    assert found.mean == pytest.approx(np.mean(means))
    assert found.sd == pytest.approx(np.std(means, ddof=1))
    assert found.half == pytest.approx(float(t.ppf(0.975, 2)) * np.std(means, ddof=1) / math.sqrt(3))
    assert (found.n_seeds, found.n_episodes) == (3, 300)
    assert found.trained == "2,000 updates of 8 tasks, conv4 at 28 px, batch norm transductive, 3 seeds"


def test_tests_of_one_training_count_whichever_run_they_lie_in(tmp_path: Path) -> None:
    both = mini("maml", regime="m")
    other = dataclasses.replace(both.evaluations[0], shape=ONE_SHOT)
    specs = [both, dataclasses.replace(both, evaluations=(other, *both.evaluations))]
    assert specs[0].run_id != specs[1].run_id
    runs = of(tmp_path, *((spec, 0.6) for spec in specs))
    for order in (runs, runs[::-1]):
        found = only(measured((run, ()) for run in order))
        assert found.n_episodes == 100


def test_the_longest_training_is_shown_and_never_the_best(tmp_path: Path) -> None:
    short, long = mini("maml"), longer(mini("maml"), iterations=9000)
    found = only(found_in(tmp_path, (short, 0.9), (long, 0.4)))
    assert found.mean < 50
    assert found.trained.startswith("9,000 updates")


def test_the_body_frozen_at_test_is_what_the_probe_measured_of_the_head_alone(tmp_path: Path) -> None:
    probe = Component(plugin="freeze", params={"name": "ice", "n_episodes": 40})
    specs = [dataclasses.replace(mini("maml", seed=seed), probes=(probe,)) for seed in range(2)]
    runs = []
    for spec in specs:
        folder = write_run(tmp_path, spec, 0.6)
        write_probes(folder, spec, Truth(body_gain={"miniimagenet": 0.2}), n_episodes=40)
        rows = pd.read_parquet(folder.probes)
        rows["probe"] = rows["probe"].replace("freeze", "ice")
        rows["n_query"] = pd.read_parquet(folder.episodes)["n_query"].iloc[0]
        rows.to_parquet(folder.probes, index=False)
        runs += [run for run in read_run(folder) if isinstance(run, FinishedRun)]
    found = measured((run, ()) for run in runs)
    assert [place[0] for place in found] == ["maml", "maml_body_frozen"]
    frozen = found["maml_body_frozen", "miniimagenet", "miniimagenet", 5, 5]
    rows = pd.concat([pd.read_parquet(tmp_path / spec.run_id / "probes.parquet") for spec in specs])
    rows = rows[(rows["probe"] == "ice") & (rows["condition"] == "head only")]
    assert (frozen.n_episodes, frozen.n_seeds) == (80, 2)
    assert frozen.mean == pytest.approx(100 * rows["value"].mean())
    assert frozen.sd == pytest.approx(100 * rows.groupby("seed")["value"].mean().std(ddof=1))
    assert found["maml", "miniimagenet", "miniimagenet", 5, 5].n_episodes == 200
    (tmp_path / specs[0].run_id / "probes.parquet").write_bytes(b"PAR1 torn")
    found = measured((run, ()) for run in runs)
    assert found["maml_body_frozen", "miniimagenet", "miniimagenet", 5, 5].n_seeds == 1


def test_a_test_unlike_its_training_is_no_cell_of_a_paper(tmp_path: Path) -> None:
    trained_otherwise = longer(mini("maml"), shape=ONE_SHOT)
    assert found_in(tmp_path / "a", (trained_otherwise, 0.6)) == {}
    batches = longer(trained_otherwise, learns_from="batches")
    assert only(found_in(tmp_path / "b", (batches, 0.6))).place[3:] == (5, 5)
    mixture = run_spec("maml", trained_on=("glyphs", "digits"), evaluated_on=("glyphs",))
    assert found_in(tmp_path / "c", (mixture, 0.6)) == {}
    unseen = dataclasses.replace(mini("maml").evaluations[0], split="valid")
    run = of(tmp_path / "d", (dataclasses.replace(mini("maml"), evaluations=(unseen,)), 0.6))[0]
    run.episodes["split"] = "valid"
    assert measured([(run, ())]) == {}


def test_all_sources_are_meta_dataset_s_eight() -> None:
    experiment, _ = load_experiment(
        REPOSITORY / "gin/metadataset_baselines.gin", ["TRAINED_ON = %all_sources"]
    )
    assert isinstance(experiment, Experiment)
    assert {source.name for source in experiment.regimes[0].sources} == ALL_SOURCES


def test_a_report_shows_the_cells_that_it_measured(tmp_path: Path) -> None:
    for seed in range(2):
        write_run(tmp_path / "runs", mini("maml", seed=seed), 0.631)
        write_run(tmp_path / "runs", mini("proto_net", seed=seed), 0.4)  # 25 points below
    subset = "miniimagenet: 10,000 of 60,000 published images"
    build_report(tmp_path, title="", claim="", command="harness run x.gin", subsets=[subset])
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    section = text[text.index("## Beside the papers") : text.index("## Learning curves")]
    assert "| MAML (maml) | published | 63.1 ± 0.4 |" in section
    assert "| MAML (maml) | published | 63.11 ± 0.92 |" in section
    assert re.search(r"\|  \| difference \| -2\d\.\d ± \d\.\d: below \|", section)
    assert "batch norm transductive, 2 seeds; miniimagenet: 10,000 of 60,000 published images." in section
    assert "**Published, ProtoNet:** trained 5-way (miniImageNet, 5-way 5-shot)." in section
    assert "60,000 updates of 4 tasks in the code it built on, 84 px, 3 seeds" in section
    assert "not run" not in section
    assert "Omniglot" not in section
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<a href="#papers">' in page
    assert "63.11 ± 0.92" in page


def test_a_report_of_nothing_published_says_nothing_of_papers(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", run_spec("maml"), 0.6)
    build_report(tmp_path, title="", claim="", command="")
    assert "Beside the papers" not in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert 'id="papers"' not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_command_fills_the_tables_and_says_what_an_empty_cell_costs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, method in (("a", "maml"), ("b", "anil")):
        write_run(tmp_path / name / "runs", mini(method), 0.6)
    (tmp_path / "b" / "runs" / "broken").mkdir()
    out = tmp_path / "paper"
    cli.main(["paper", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(out), "--tolerance", "30"])
    said = capsys.readouterr().out
    assert "MAML, ANIL and NIL: 2 of 12 cells measured (2 within)." in said
    assert "Left out: broken" in said
    text = (out / "paper.md").read_text(encoding="utf-8")
    assert "HalfCheetah-Direction" in text
    assert "170.4 ± 21.0" in text
    assert "harness run gin/navigation" in text
    assert "about 2.5 h of one core for all six trainings" in text
    assert (
        "harness run gin/paper\\_miniimagenet.gin" in text or "harness run gin/paper_miniimagenet.gin" in text
    )
    frame = pd.read_csv(out / "paper.csv")
    cells = frame.set_index(["paper", "method", "setting"])
    one = cells.loc[("anil_paper", "anil", "miniImageNet, 5-way 5-shot")]
    assert one["published"] == 61.5
    assert one["difference"] == pytest.approx(one["here"] - 61.5, abs=1e-3)
    assert one["verdict"] == "within"
    assert (frame["verdict"] == "not run").sum() == len(frame) - 4  # MAML has its place in three tables
    before = (out / "paper.md").read_bytes()
    cli.main(["paper", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(out), "--tolerance", "30"])
    assert (out / "paper.md").read_bytes() == before


def test_a_subset_is_said_of_its_own_experiment_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clause = "miniimagenet: 10 of 100 published classes"
    for name, method, subsets in (("whole", "maml", []), ("part", "anil", [clause])):
        run = write_run(tmp_path / name / "runs", mini(method), 0.6)
        record = {"runs": [run.path.name], "subsets": subsets}
        (tmp_path / name / "runs" / "experiment.json").write_text(json.dumps(record))
    cli.main(["paper", str(tmp_path / "whole"), str(tmp_path / "part"), "--out", str(tmp_path / "paper")])
    capsys.readouterr()
    frame = pd.read_csv(tmp_path / "paper" / "paper.csv")
    trained = frame[frame["verdict"] != "not run"].set_index(["table", "method"])["trained"]
    assert {method: clause in text for (_, method), text in trained.items()} == {"maml": False, "anil": True}


def test_mistakes_get_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "There is no folder" in refused(capsys, "paper", str(tmp_path / "nowhere"))
    write_run(tmp_path / "runs", mini("maml"), 0.6)
    empty = tmp_path / "empty"
    write_run(empty / "runs", mini("maml"), 0.6).episodes.unlink()
    said = refused(capsys, "paper", str(empty), "--out", str(tmp_path / "out"))
    assert "There is no finished run in" in said
    assert "nothing was written. Left out: maml" in said
    assert not (tmp_path / "out").exists()
    assert "between 0 and 100" in refused(capsys, "paper", str(tmp_path), "--tolerance", "0")
