"""Which trial is chosen, by numbers computed by hand, and what the report says of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from fake_runs import episode_rows, run_spec, write_run
from harness.errors import WorkspaceError
from harness.report.build import build_report
from harness.search.choice import Score, Unscored, best, score
from harness.search.recorded import RecordedSearch, RecordedSlot, read_search
from harness.store import RunFolder


def trial(runs: Path, name: str, accuracies: Mapping[str, Sequence[float]]) -> RunFolder:
    """A trial's run with these accuracies on each validation source."""
    folder = RunFolder(runs / name)
    folder.begin(run_spec())
    frames = [episode_rows(values, source=source, split="valid") for source, values in accuracies.items()]
    folder.write_episodes(pd.concat(frames, ignore_index=True))
    folder.write_status("done")
    return folder


def test_a_score_is_the_mean_of_the_sources_means(tmp_path: Path) -> None:
    found = score(trial(tmp_path, "a", {"near": [0.2, 0.4], "far": [0.9, 0.9, 0.9, 0.9]}))
    assert isinstance(found, Score)
    assert found.accuracy == pytest.approx((0.3 + 0.9) / 2)  # over all six episodes it would be 0.7
    # The variance of the mean of "near" is 0.01 / 2, of "far" 0; of half their sum a quarter of that.
    assert found.half == pytest.approx(1.96 * (0.01 / 2 / 4) ** 0.5)


def test_the_highest_accuracy_is_chosen_and_of_equal_ones_the_first(tmp_path: Path) -> None:
    scores = [
        score(trial(tmp_path, "a", {"near": [0.2, 0.4], "far": [0.9] * 4})),  # 0.6
        score(
            trial(tmp_path, "b", {"near": [0.75, 0.5], "far": [0.625] * 4})
        ),  # 0.625, less than a over all episodes
        score(trial(tmp_path, "c", {"near": [0.625, 0.625], "far": [0.75, 0.5]})),  # 0.625
    ]
    assert best(scores) == 1
    assert best([scores[0], Unscored(reason="failed", failed=True), scores[2]]) == 2
    assert best([Unscored(reason="failed", failed=True)] * 2) is None


def test_what_is_not_whole_has_no_score(tmp_path: Path) -> None:
    assert score(RunFolder(tmp_path / "none")) == Unscored(reason="never started", failed=False)
    failed = RunFolder(tmp_path / "failed")
    failed.path.mkdir()
    failed.write_status("failed", error="TrainingDivergedError: the loss is nan")
    assert score(failed) == Unscored(reason="failed: TrainingDivergedError: the loss is nan", failed=True)
    torn = trial(tmp_path, "torn", {"near": [0.5, 0.5]})
    torn.episodes.write_bytes(torn.episodes.read_bytes()[:100])
    found = score(torn)
    assert isinstance(found, Unscored)
    assert found.reason.startswith("episodes.parquet cannot be read")
    assert str(tmp_path) not in found.reason


def searched(tmp_path: Path) -> RecordedSearch:
    """MAML chose the second of three trials, of which the last failed; ANIL, whom nothing concerns, its only run."""
    runs = tmp_path / "runs"
    trial(runs, "maml-1", {"glyphs": [0.5, 0.7]})
    trial(runs, "maml-2", {"glyphs": [0.7, 0.9]})
    trial(runs, "anil-1", {"glyphs": [0.4, 0.4]})
    failed = RunFolder(runs / "maml-3")
    failed.path.mkdir()
    failed.write_status("failed", error="ValueError: no | luck")
    maml = RecordedSlot(
        method="maml",
        trained_on="glyphs",
        concerns=("MAML.inner_lr",),
        runs=("maml-1", "maml-2", "maml-3"),
        chosen=1,
    )
    anil = RecordedSlot(method="anil", trained_on="glyphs", concerns=(), runs=("anil-1",) * 3, chosen=0)
    values = tuple({"MAML.inner_lr": text} for text in ("0.1", "0.2", "0.5"))
    return RecordedSearch(kind="grid search", seed=4, values=values, slots=(maml, anil))


def test_the_report_has_the_chosen_values_and_every_trial(tmp_path: Path) -> None:
    search = searched(tmp_path)
    results = [write_run(tmp_path / "runs", run_spec(method), 0.7) for method in ("maml", "anil")]
    said = {"title": "x", "claim": "", "command": "harness run x.gin"}
    build_report(tmp_path, **said, runs=results, search=search)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    section = text.partition("## Search\n")[2].partition("\n## ")[0]
    assert "A grid search of 3 trials, each trained with seed 4 alone, chose these values" in section
    rows = [line for line in section.splitlines() if line.startswith("|")]
    assert rows == [
        "| Method | Trained on | Chosen | Validation accuracy, % | Trial |",
        "| --- | --- | --- | ---: | ---: |",
        "| maml | glyphs | MAML.inner_lr = 0.2 | 80.0 ± 13.9 | 2 |",
        "| anil | glyphs | nothing that is searched concerns it | 40.0 ± 0.0 | 1, 2, 3 |",
        "| Trial | MAML.inner_lr | Validation accuracy, % |",
        "| --- | ---: | --- |",
        "| 1 | 0.1 | 60.0 ± 13.9 |",
        "| 2 | 0.2 | **80.0 ± 13.9** |",
        "| 3 | 0.5 | failed: ValueError: no \\| luck |",
    ]
    assert "**Trials of maml, trained on glyphs**" in section
    assert "Nothing: every run finished." in text, "trials are neither results nor left out"
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<section id="search"><h2>Search</h2>' in page
    assert "<strong>80.0 ± 13.9</strong>" in page
    assert "failed: ValueError: no | luck" in page
    assert "maml-1" not in (tmp_path / "leaderboard.csv").read_text()
    assert len(pd.read_csv(tmp_path / "leaderboard.csv")) == 2
    build_report(tmp_path, **said, runs=results, search=search)
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == text
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page
    build_report(tmp_path, **said, runs=results)
    assert "## Search" not in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_the_summary_says_what_was_chosen_those_alike_together(tmp_path: Path) -> None:
    search = searched(tmp_path)
    maml = search.slots[0]
    alike, late = replace(maml, method="boil"), replace(maml, method="late", chosen=None)
    search = replace(search, slots=(*search.slots, alike, late, replace(maml, trained_on="digits", chosen=0)))
    results = [write_run(tmp_path / "runs", run_spec(method), 0.7) for method in ("maml", "anil")]
    build_report(tmp_path, title="x", claim="", command="harness run x.gin", runs=results, search=search)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    said = [
        (
            "Trained on glyphs",
            "maml, boil: MAML.inner_lr = 0.2; anil: nothing that is searched concerns it; ",
        ),
        ("Trained on digits", "maml: MAML.inner_lr = 0.1."),
    ]
    short = text.partition("## In short\n")[2].partition("### Accuracy")[0]
    page = (tmp_path / "report.html").read_text(encoding="utf-8").partition('<section id="short">')[2]
    for lead, choices in said:
        assert f"- **{lead}:** {choices}" in short
        assert f"{lead}:</strong> {choices}" in page
    assert "late: no trial has finished." in short
    assert page.index("Chosen on validation") < page.index("<h3>Accuracy</h3>")


def test_methods_of_one_regime_may_have_chosen_otherwise(tmp_path: Path) -> None:
    maml, anil = run_spec("maml"), run_spec("anil")
    anil = replace(anil, train=replace(anil.train, learning_rate=0.02))
    results = [write_run(tmp_path / "runs", run, 0.7) for run in (maml, anil)]
    said = {"title": "x", "claim": "", "command": "harness run x.gin", "runs": results}
    with pytest.raises(WorkspaceError, match=r"train\.learning_rate \(0\.02, 0\.001\)"):
        build_report(tmp_path, **said)
    build_report(tmp_path, **said, search=searched(tmp_path))
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "learning rate 0.02" in text
    assert "learning rate 0.001" in text


def test_a_report_without_results_still_has_the_search(tmp_path: Path) -> None:
    search = searched(tmp_path)
    said = {"title": "x", "claim": "", "command": "harness run x.gin", "runs": []}
    unfinished = replace(search, slots=tuple(replace(slot, chosen=None) for slot in search.slots))
    with pytest.raises(WorkspaceError, match=r"The search is not over \(3 of 4 runs of trials are done\)"):
        build_report(tmp_path, **said, search=unfinished, even_empty=False)
    build_report(tmp_path, **said, search=unfinished)
    for name in ("report.md", "report.html"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert "no run has finished" in text
        assert "no trial has finished" in text
        assert "80.0 ± 13.9" in text


def test_a_record_is_read_back_or_refused(tmp_path: Path) -> None:
    search = searched(tmp_path)
    content = search.to_json()
    assert read_search(content, tmp_path / "experiment.json") == search
    assert read_search(None, tmp_path / "experiment.json") is None
    slot = content["slots"][0]
    for damage in (
        [],
        {"kind": "grid search"},
        {**content, "values": [1]},
        {**content, "slots": [{**slot, "chosen": 3}]},
        {**content, "slots": [{**slot, "runs": ["maml-1"]}]},
        {**content, "slots": [{**slot, "runs": ["../elsewhere", "maml-2", "maml-3"]}]},
    ):
        with pytest.raises(
            WorkspaceError, match=r"experiment\.json is damaged or foreign in what it says of a s"
        ):
            read_search(damage, tmp_path / "experiment.json")
