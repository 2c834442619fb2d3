"""The report's section on dissimilarity: known trends are found, and what is missing is said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from fake_probes import Truth, write_probes
from fake_runs import run_spec, source_spec, write_run
from harness.episode import EpisodeShape
from harness.episode_trend import EpisodeTrend
from harness.plugins import Component
from harness.report.build import build_report
from harness.report.reuse_axes import Axis
from harness.report.reuse_distance import _clear as is_clear
from harness.report.reuse_distance import _order as order
from harness.report.reuse_trends import TREND_COLUMNS, Against, Measure
from harness.report.trend_figure import source_looks
from harness.results import DISTANCE_COLUMNS
from harness.spec import RunSpec
from harness.trend import Trend

FAR = {"glyphs": 0.1, "letters": 0.2, "digits": 0.35, "sketches": 0.5, "textures": 0.7, "shapes": 0.9}
TURNED = {"glyphs-rotation-030": 0.3, "glyphs-rotation-060": 0.6, "glyphs-rotation-100": 1.0}
SLOPE = -0.2
"""Of the difference between ANIL and MAML by a unit of distance."""


def shifted(name: str, amount: float) -> object:
    params = {
        "kind": "rotation",
        "amount": amount,
        "source": {"plugin": "glyphs", "params": {"name": "glyphs"}},
    }
    return replace(source_spec(name), component=Component(plugin="controlled_shift", params=params))


def spec_of(method: str, seed: int) -> RunSpec:
    spec = run_spec(method, evaluated_on=(*FAR, *TURNED), seed=seed)
    placed = tuple(
        replace(each, source=shifted(each.source.name, TURNED[each.source.name]))
        if each.source.name in TURNED
        else each
        for each in spec.evaluations
    )
    return replace(spec, evaluations=placed)


def study(folder: Path, *, seeds: int = 1, probes: bool = False, **changes: object) -> list[str]:
    """Runs in which ANIL loses to MAML by the distance, and nothing by the dial; returns the file of distances."""
    near = dict(zip(TURNED, (0.03, 0.01, 0.02), strict=True))
    gain = {**{source: -SLOPE * x for source, x in FAR.items()}, **near}
    for seed in range(seeds):
        for method in ("maml", "anil"):
            spec = spec_of(method, seed)
            levels = {source: 0.5 + (gain[source] if method == "maml" else 0) for source in gain}
            run = write_run(folder / "runs", spec, levels, n_episodes=300)
            if probes:
                alike = {source: 0.99 - 0.5 * FAR.get(source, 0.1) for source in gain}
                truth = Truth(body_gain=gain, similarity=alike, level=0.5)
                write_probes(run, spec, truth, n_episodes=30, few=10)
                rows = pd.read_parquet(run.probes)
                rows[rows["probe"].isin(["freeze", "similarity"])].to_parquet(run.probes, index=False)
    return [write_distances(folder, spec_of("maml", 0), **changes)]


def write_distances(folder: Path, spec: RunSpec, **changes: object) -> str:
    rows = []
    for source, x in {**FAR, **dict.fromkeys(TURNED, 0.4)}.items():
        for measure, value in (("task2vec nearest", x), ("frechet nearest", 10 * x**2), ("task2vec", 5.0)):
            for task in (0, None):
                row = {"trained_on": spec.trained_on, "probe": spec.run_id, "source": source, "split": "test"}
                same = {"images": 100, "reason": "", "protocol_version": 2, "image_size": 28}
                found = {"measure": measure, "task": task, "episode": None, "value": value}
                rows.append({**row, **same, **found, **changes})
    name = f"{spec.run_id}/distances-0.parquet"
    frame = pd.DataFrame(rows)[list(DISTANCE_COLUMNS)].astype(DISTANCE_COLUMNS)
    frame.to_parquet(folder / "runs" / name, index=False)
    return name


def report(folder: Path, distances: list[str]) -> str:
    built = build_report(folder, title="T", claim="", command="harness run x.gin", distances=distances)
    return built.path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studied")
    report(folder, study(folder, seeds=2, probes=True))
    return folder


def row_of(folder: Path, measure: str, axis: str) -> pd.Series:
    table = pd.read_csv(folder / "trends.csv")
    assert tuple(table.columns) == TREND_COLUMNS
    found = table[(table["measure"] == measure) & (table["axis"] == axis)]
    assert len(found) == 1
    return found.iloc[0]


def test_the_slope_that_is_there_is_found(studied: Path) -> None:
    for measure in ("anil less maml", "head only less everything in maml"):
        row = row_of(studied, measure, "Task2Vec distance")
        assert row["slope_low"] <= SLOPE <= row["slope_high"] < 0
        assert row["slope"] == pytest.approx(SLOPE, abs=0.05)
        assert row["spearman"] < -0.9
        assert (row["n_sources"], row["n_seeds"], row["x_low"], row["x_high"]) == (6, 2, 0.1, 0.9)
    alike = row_of(studied, "CKA of conv4 in maml, before and after", "Task2Vec distance")
    assert alike["slope"] == pytest.approx(-0.5, abs=0.05)
    frechet = row_of(studied, "anil less maml", "Fréchet distance")
    assert (frechet["n_sources"], frechet["x_high"]) == (6, pytest.approx(8.1))


def test_what_a_source_was_made_into_counts_on_its_dial_only(studied: Path) -> None:
    """The rotated glyphs are at distance 0.4 with hardly a difference: they would bend the line."""
    dial = row_of(studied, "anil less maml", "rotation of glyphs")
    assert (dial["n_sources"], dial["x_low"], dial["x_high"]) == (4, 0.0, 1.0)
    assert dial["slope_low"] < 0 < dial["slope_high"]


def test_the_section_says_what_the_numbers_say(studied: Path) -> None:
    text = (studied / "report.md").read_text(encoding="utf-8")
    section = text.partition("### Dissimilarity")[2].partition("###")[0]
    (said,) = [line for line in section.splitlines() if line.startswith("- **anil less maml:**")]
    assert "clearly falls with Task2Vec distance (" in said
    assert "from the nearest to the farthest of 6 sources" in said
    assert "shows no clear trend with rotation of glyphs" in said
    reach = float(said.split("Task2Vec distance (")[1].split(" points")[0])
    row = row_of(studied, "anil less maml", "Task2Vec distance")
    assert reach == pytest.approx(100 * row["slope"] * (row["x_high"] - row["x_low"]), abs=0.06)
    assert reach == pytest.approx(100 * row["change"], abs=0.06)
    assert (studied / "figures" / "reuse-dissimilarity-glyphs.png").read_bytes().startswith(b"\x89PNG")
    distances = pd.read_csv(studied / "distances.csv")
    assert len(distances) == 3 * 2 * (len(FAR) + len(TURNED))


def test_single_episodes_are_ordered_within_their_sources(tmp_path: Path) -> None:
    """Distances made of the difference itself and noise, on another level for each source."""
    (file,) = study(tmp_path, seeds=2)
    frame = pd.read_parquet(tmp_path / "runs" / file)
    accuracy = {
        method: read_episodes_of(tmp_path, spec_of(method, 0)).set_index(["source", "episode"])["accuracy"]
        for method in ("maml", "anil")
    }
    difference = (accuracy["anil"] - accuracy["maml"]).rename("value").reset_index()
    rng = np.random.default_rng(0)
    own = difference[difference["episode"] < 40]
    own = own.assign(value=own["source"].map(FAR).fillna(2) - own["value"] + rng.normal(0, 0.1, len(own)))
    images = int(read_episodes_of(tmp_path, spec_of("maml", 0)).eval("n_support + n_query").iloc[0])
    shared = {**frame.iloc[0].to_dict(), "measure": "frechet nearest", "task": None, "images": images}
    rows = own.assign(**{name: value for name, value in shared.items() if name not in own.columns})
    # Of tests with other numbers of images, and of two tests that cannot be told apart: none of them may count.
    strange = rows.assign(images=images + 1, value=own["value"].to_numpy()[::-1])
    twice = rows[rows["episode"] == 39].assign(episode=40)
    twice = pd.concat([twice.assign(value=-100.0), twice.assign(value=100.0)])
    more = pd.concat([rows, strange, twice])[list(DISTANCE_COLUMNS)].astype(DISTANCE_COLUMNS)
    pd.concat([frame, more]).to_parquet(tmp_path / "runs" / file, index=False)
    text = report(tmp_path, [file])
    row = row_of(tmp_path, "anil less maml", "Fréchet distance of an episode")
    assert (row["n_sources"], row["n_episodes"], row["n_seeds"]) == (9, 9 * 40, 1)
    y = difference.set_index(["source", "episode"])["value"]
    each = [
        spearmanr(part["value"], y.loc[list(zip(part["source"], part["episode"], strict=True))]).statistic
        for _, part in own.groupby("source")
    ]
    assert row["spearman"] == pytest.approx(np.tanh(np.mean(np.arctanh(each))), abs=1e-5)
    assert row["spearman_high"] < 0
    assert row["p"] < 1e-6
    assert pd.isna(row["slope"])
    section = text.partition("single episodes**")[2]
    assert "**anil less maml:** clearly lower in the farther episodes of a source (ρ = " in section
    assert "360 episodes of 9 sources) by Fréchet distance" in section


def read_episodes_of(folder: Path, spec: RunSpec) -> pd.DataFrame:
    return pd.read_parquet(folder / "runs" / spec.run_id / "episodes.parquet")


def test_rebuilt_from_the_same_runs_it_is_the_same(studied: Path) -> None:
    names = ("report.md", "trends.csv", "distances.csv", "figures/reuse-dissimilarity-glyphs.png")
    before = [(studied / name).read_bytes() for name in names]
    report(studied, [f"{spec_of('maml', 0).run_id}/distances-0.parquet"])
    assert [(studied / name).read_bytes() for name in names] == before


def test_without_distances_the_dial_remains(tmp_path: Path) -> None:
    study(tmp_path)
    text = report(tmp_path, [])
    table = pd.read_csv(tmp_path / "trends.csv")
    assert set(table["axis"]) == {"rotation of glyphs"}
    assert not (tmp_path / "distances.csv").exists()
    assert "### Dissimilarity" in text


@pytest.mark.parametrize("change", [{"image_size": 84}, {"protocol_version": 1}, {"split": "valid"}])
def test_distances_of_other_conditions_are_not_used(tmp_path: Path, change: dict[str, object]) -> None:
    report(tmp_path, study(tmp_path, **change))
    assert set(pd.read_csv(tmp_path / "trends.csv")["axis"]) == {"rotation of glyphs"}


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    (file,) = study(tmp_path)
    (tmp_path / "runs" / file).write_bytes(b"PAR1 no more")
    run = file.split("/")[0]
    text = report(tmp_path, [file, f"{run}/distances-1.parquet", "gone-run/distances-0.parquet"])
    assert f"**Distances by {run}:** distances-0.parquet cannot be read (" in text
    assert f"**Distances by {run}:** it was not measured." in text
    assert "gone-run" not in text


def test_a_source_without_a_distance_is_named_with_the_reason(tmp_path: Path) -> None:
    (file,) = study(tmp_path)
    frame = pd.read_parquet(tmp_path / "runs" / file)
    lost = frame["source"] == "shapes"
    frame.loc[lost, "value"] = np.nan
    frame.loc[lost, "reason"] = "Too few images."
    frame.to_parquet(tmp_path / "runs" / file, index=False)
    text = report(tmp_path, [file])
    assert "**Distances from glyphs:** not measured on shapes. Too few images." in text
    assert row_of(tmp_path, "anil less maml", "Task2Vec distance")["n_sources"] == 5


def test_too_few_sources_have_no_trend_and_the_reason(tmp_path: Path) -> None:
    (file,) = study(tmp_path)
    frame = pd.read_parquet(tmp_path / "runs" / file)
    frame[frame["source"].isin(["glyphs", "digits", "shapes"])].to_parquet(
        tmp_path / "runs" / file, index=False
    )
    text = report(tmp_path, [file])
    assert "has no trend to be told of (Task2Vec distance: 3 sources; a trend needs at least 4" in text


def test_a_place_whose_sources_lie_on_no_axis_has_no_block(tmp_path: Path) -> None:
    """Digits are tested at five shots and the dial at one: the place of five shots has nothing to be set against."""
    five = EpisodeShape(n_way=5, n_shot=5, n_query=15)
    for method in ("maml", "anil"):
        spec = spec_of(method, 0)
        digits = next(each for each in spec.evaluations if each.source.name == "digits")
        kept = tuple(each for each in spec.evaluations if each.source.name in ("glyphs", *TURNED))
        spec = replace(spec, evaluations=(*kept, replace(digits, shape=five)))
        write_run(tmp_path / "runs", spec, 0.6, n_episodes=100)
    section = report(tmp_path, []).partition("### Dissimilarity")[2]
    assert "5-way 1-shot" in section.partition("###")[0]
    assert set(pd.read_csv(tmp_path / "trends.csv")["shots"]) == {1}


def against(**trend: float) -> Against:
    """A measure that falls by the interval of its slope, unless `trend` says otherwise."""
    found = {"spearman": -0.6, "spearman_low": -0.9, "spearman_high": -0.1, "p": 0.01, "slope": -1.0}
    found |= {"slope_low": -2.0, "slope_high": -0.5, "n_sources": 5, "n_seeds": 1, **trend}
    measure = Measure(name="m", unit="points", points={}, values={})
    x = Axis(name="a", x={"near": 0.0, "far": 1.0})
    return Against(measure=measure, axis=x, counted=("near", "far"), trend=Trend(**found))  # type: ignore[arg-type]


def test_a_trend_is_clear_by_its_slope_and_its_order() -> None:
    assert is_clear(against()) == -1
    assert is_clear(against(p=0.06)) == 0
    assert is_clear(against(slope_high=0.1)) == 0
    assert is_clear(against(slope=1.0, slope_low=0.5, slope_high=2.0)) == 1


def test_an_order_of_episodes_is_clear_by_its_p() -> None:
    kept = {"spearman_low": -0.3, "spearman_high": 0.1, "n_sources": 2, "n_episodes": 80}
    assert order(EpisodeTrend(spearman=-0.1, p=0.2, **kept)).startswith(
        "no clear order within sources (ρ = -0.10"
    )  # type: ignore[arg-type]
    assert order(EpisodeTrend(spearman=-0.1, p=0.01, **kept)).startswith("clearly lower in the farther")  # type: ignore[arg-type]
    assert order(EpisodeTrend(spearman=0.1, p=0.01, **kept)).startswith("clearly higher in the farther")  # type: ignore[arg-type]


def test_forty_sources_are_told_apart() -> None:
    looks = source_looks([f"s{i}" for i in range(49)])
    assert len(set(looks.values())) == 49
