"""The paper's tables beside accuracies: layers before and after adaptation, networks of other seeds, speed-ups."""

import dataclasses
import math
import re
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from fake_runs import ENVIRONMENT, run_spec, write_run
from harness import cli, plugins
from harness.config import load_experiment
from harness.episode import EpisodeShape
from harness.experiment import Experiment
from harness.files import write_json
from harness.papers.agreement import BROKEN, KEPT, OPEN, agreement
from harness.papers.analysis_tables import ANALYSIS_TABLES, COMMAND, SPEED, SPEED_TOLERANCE
from harness.papers.filling import content, fill
from harness.papers.measured import Measured, Place, longest
from harness.papers.similarities import jackknife_half, measured_layers, measured_networks
from harness.papers.speed import measured_speedups
from harness.plugins import Component
from harness.published_numbers import published_numbers
from harness.report.gather import FinishedRun, read_run
from harness.report.settings import DASH
from harness.results import ACROSS_COLUMNS
from harness.spec import RunSpec

REPOSITORY = Path(__file__).resolve().parents[1]
ONE_SHOT = EpisodeShape(n_way=5, n_shot=1, n_query=5)
FIVE_SHOT = EpisodeShape(n_way=5, n_shot=5, n_query=5)


def mini(method: str, shape: EpisodeShape = FIVE_SHOT, seed: int = 0) -> RunSpec:
    source = ("miniimagenet",)
    regime = f"mini_{shape.n_shot}shot"
    return run_spec(method, trained_on=source, evaluated_on=source, regime=regime, shape=shape, seed=seed)


def place(name: str, quantity: str) -> Place:
    return (name, "miniimagenet", "miniimagenet", None, None, quantity)


def finished(runs: Path, spec: RunSpec, **status: object) -> FinishedRun:
    run, _ = read_run(write_run(runs, spec, 0.6, **status))  # type: ignore[arg-type]
    assert run is not None
    return run


def probed(runs: Path, spec: RunSpec, values: dict[str, list[float]]) -> FinishedRun:
    """A run with rows of the probe: mean_cca of a layer as given, CKA a tenth higher; and rows that do not count."""
    spec = dataclasses.replace(spec, probes=(Component(plugin="similarity", params={"name": "similarity"}),))
    run = finished(runs, spec)
    assert run.folder is not None
    shape = spec.train.shape
    assert isinstance(shape, EpisodeShape)
    plain = {"source": "miniimagenet", "split": "test", "n_way": 5, "n_support": 5 * shape.n_shot}
    plain |= {"seed": spec.seed, "condition": "everything"}
    rows = [
        {**plain, "layer": layer, "quantity": quantity, "value": value + more}
        for layer, found in values.items()
        for value in found
        for quantity, more in (("mean_cca", 0.0), ("cka", 0.1), ("cosine", -9.0))
    ]
    other = {**plain, "layer": "conv1", "quantity": "mean_cca", "value": -5.0}
    rows += [
        {**other, "condition": "head only"},
        {**other, "source": "omniglot"},
        {**other, "split": "valid"},
        {**other, "n_support": 50},
        {**other, "value": math.nan},
    ]
    pd.DataFrame(rows).to_parquet(run.folder.probes, index=False)
    return run


def test_layers_are_the_mean_over_episodes_of_what_everything_adapted(tmp_path: Path) -> None:
    given = {0: [0.95, 0.97], 1: [0.91, 0.93]}
    runs = [probed(tmp_path, mini("maml", seed=seed), {"conv1": found}) for seed, found in given.items()]
    runs.append(probed(tmp_path, mini("maml", ONE_SHOT), {"conv1": [0.85, 0.87]}))
    found = {one.place: one for one in measured_layers(runs)}
    assert set(found) == {place("maml conv1", "cca"), place("maml conv1", "cka")}
    cca, cka = found[place("maml conv1", "cca")], found[place("maml conv1", "cka")]
    assert cca.mean == pytest.approx(100 * np.mean([0.95, 0.97, 0.91, 0.93, 0.85, 0.87]))
    assert cka.mean == pytest.approx(cca.mean + 10)
    seeds = 100 * np.array([np.mean([0.95, 0.97, 0.85, 0.87]), np.mean([0.91, 0.93])])
    assert cca.half == pytest.approx(t.ppf(0.975, 1) * np.std(seeds, ddof=1) / math.sqrt(2))
    assert (cca.n_seeds, cca.n_episodes) == (2, 6)
    assert cca.trained.endswith("2 seeds; trained on 1-shot and 5-shot episodes")
    folder = runs[0].folder
    assert folder is not None
    folder.probes.write_bytes(b"PAR1 torn")
    assert {one.place: one for one in measured_layers(runs)}[cca.place].n_episodes == 4


@pytest.mark.parametrize(
    ("bound", "here", "half", "verdict"),
    [
        ("above", 95.0, 2.0, KEPT),
        ("above", 95.0, 6.0, OPEN),
        ("above", 80.0, 2.0, BROKEN),
        ("below", 80.0, 2.0, KEPT),
        ("below", 95.0, 2.0, BROKEN),
        ("below", 95.0, math.nan, OPEN),
    ],
)
def test_beside_a_bound_the_whole_interval_must_keep_it(
    bound: str, here: float, half: float, verdict: str
) -> None:
    published = {"value": 90.0, "plus_minus": math.nan, "spread": "unknown", "bound": bound}
    found = agreement(here, half, published, 2.0)
    assert (found.verdict, found.difference) == (verdict, here - 90)


def test_an_error_that_is_not_known_tells_nothing() -> None:
    published = {"value": 90.0, "plus_minus": math.nan, "spread": "unknown", "bound": ""}
    assert agreement(90.0, math.nan, published, 2.0).verdict == OPEN


def across(values: dict[tuple[str, int, str, int], float], **changes: object) -> pd.DataFrame:
    """Two layers, a tenth above and below the value of each pair."""
    rows = [
        {
            "trained_on": "mini_5shot", "source": "miniimagenet", "split": "test", "layer": layer, "images": 9,
            "adapted": False, "quantity": quantity, "value": value + sign * 0.1, "reason": "", "updates_a": None,
            "method_a": a, "seed_a": seed_a, "method_b": b, "seed_b": seed_b, "protocol_version": 4,
            "image_size": 84, "batch_norm": "transductive", **changes,
        }
        for (a, seed_a, b, seed_b), value in values.items()
        for quantity in ("mean_cca", "cka", "svcca")
        for layer, sign in (("conv1", 1), ("conv2", -1))
    ]  # fmt: skip
    return pd.DataFrame(rows).reindex(columns=list(ACROSS_COLUMNS)).astype(ACROSS_COLUMNS)


def test_networks_of_other_seeds_are_compared_pair_by_pair(tmp_path: Path) -> None:
    runs = [finished(tmp_path, mini(method, seed=seed)) for method in ("maml", "anil") for seed in range(3)]
    own = {("maml", i, "maml", j): 0.5 + 0.01 * i + 0.02 * j for i, j in combinations(range(3), 2)}
    both = {("anil", i, "maml", j): 0.3 + 0.01 * i + 0.03 * j for i, j in product(range(3), range(3))}
    noise = {("maml", 0, "maml", 1): -9.0}
    frame = pd.concat(
        [
            across({**own, **both}),
            across(noise, adapted=True),
            across(noise, updates_a=100),
            across(noise, source="omniglot"),
            across(noise, split="valid"),
        ],
        ignore_index=True,
    )
    found = {one.place: one for one in measured_networks(runs, frame)}
    one = found[place("maml and maml", "cca")]
    assert one.mean == pytest.approx(100 * np.mean(list(own.values())))
    assert (one.n_seeds, one.n_episodes) == (3, 3)
    apart = [value for (_, i, _, j), value in both.items() if i != j]
    mixed = found[place("anil and maml", "cka")]
    assert mixed.mean == pytest.approx(100 * np.mean(apart))
    assert (mixed.n_seeds, mixed.n_episodes) == (3, 6)
    assert set(found) == {
        place(pair, quantity) for pair in ("maml and maml", "anil and maml") for quantity in ("cca", "cka")
    }


def test_the_jackknife_leaves_out_each_seed_with_all_its_pairs() -> None:
    a, b = np.array([0, 0, 1]), np.array([1, 2, 2])
    values = np.array([1.0, 2.0, 6.0])
    left = [6.0, 2.0, 1.0]  # without seed 0, 1 and 2 one pair is left
    error = math.sqrt(2 / 3 * sum((value - 3.0) ** 2 for value in left))
    assert jackknife_half(values, a, b) == pytest.approx(t.ppf(0.975, 2) * error)
    assert math.isnan(jackknife_half(values[:1], a[:1], b[:1]))


@pytest.mark.slow
def test_the_jackknife_s_interval_covers_the_truth() -> None:
    """Pairs of networks that each have an effect of their own: the interval covers the mean 9 times in 10 at least."""
    rng, hits, n = np.random.default_rng(0), 0, 5
    pairs = np.array(list(combinations(range(n), 2)))
    for _ in range(2000):
        effects = rng.normal(0, 1, n)
        values = effects[pairs[:, 0]] + effects[pairs[:, 1]] + rng.normal(0, 0.3, len(pairs))
        hits += abs(values.mean()) <= jackknife_half(values, pairs[:, 0], pairs[:, 1])
    assert hits / 2000 > 0.9


def timed(runs: Path, method: str, seed: int, update: float, episode: float, cpu: str = "one") -> FinishedRun:
    run = finished(
        runs,
        mini(method, seed=seed),
        environment={**ENVIRONMENT, "cpu": cpu, "cores": "2"},
    )
    run.status["training_seconds"] = update * 2000
    return dataclasses.replace(run, episodes=run.episodes.assign(seconds=episode))


def test_a_speed_up_is_a_ratio_seed_by_seed_on_one_kind_of_machine(tmp_path: Path) -> None:
    runs = [
        timed(tmp_path, "maml", 0, 2.0, 0.8), timed(tmp_path, "anil", 0, 1.0, 0.2),
        timed(tmp_path, "maml", 1, 3.6, 1.0), timed(tmp_path, "anil", 1, 2.0, 0.2),
        timed(tmp_path, "nil", 0, 1.0, 0.1),
        timed(tmp_path, "maml", 2, 9.0, 9.0, cpu="another"), timed(tmp_path, "anil", 3, 9.0, 9.0, cpu="a third"),
    ]  # fmt: skip
    found = longest(measured_speedups(runs))
    training, inference = found[place("anil", "training_speedup")], found[place("anil", "inference_speedup")]
    assert training.mean == pytest.approx((2.0 + 1.8) / 2)
    assert inference.mean == pytest.approx((4.0 + 5.0) / 2)
    assert training.half == pytest.approx(t.ppf(0.975, 1) * np.std([2.0, 1.8], ddof=1) / math.sqrt(2))
    assert (training.n_seeds, training.trained) == (
        2,
        "2,000 updates of 8 tasks, 5-way 5-shot, on one, 2 seeds",
    )
    nil = found[place("nil", "inference_speedup")]
    assert nil.mean == pytest.approx(8.0)
    assert math.isnan(nil.half)
    assert len(found) == 4


def test_the_tables_state_their_tolerance_and_what_was_published_as_a_figure() -> None:
    def one(quantity: str, mean: float) -> Measured:
        return Measured(
            place=place("anil", quantity), mean=mean, sd=0.1, half=0.1, n_seeds=3, n_episodes=6, budget=1, trained="x"
        )  # fmt: skip

    given = {each.place: each for each in (one("training_speedup", 1.6), one("inference_speedup", 3.0))}
    rows = content(fill(SPEED, given, 2.0)).rows
    assert rows[0][2:] == ("1.7", "4.1")
    assert rows[2][2:] == ("-0.1 ± 0.1 *: within", "-1.1 ± 0.1 *: below"), (
        "by the table's tolerance, not by 2"
    )
    assert f"Tolerance {SPEED_TOLERANCE:g}" in SPEED.note
    published = published_numbers("anil_paper")
    layers = published[published["method"].str.startswith("maml conv") | (published["method"] == "maml head")]
    assert len(layers) == 10
    assert set(layers.loc[layers["value"].notna(), "bound"]) == {"above", "below"}, (
        "no number, so none is shown"
    )
    assert layers["note"].str.contains("figure").all()


def test_the_command_shows_them_and_what_fills_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    specs = [mini("maml", seed=seed) for seed in range(3)]
    runs = [probed(tmp_path / "runs", spec, {"conv1": [0.95, 0.96], "head": [0.7, 0.72]}) for spec in specs]
    across({("maml", i, "maml", j): 0.51 for i, j in combinations(range(3), 2)}).to_parquet(
        tmp_path / "runs" / "across-x.parquet", index=False
    )
    record = {"runs": [run.run_id for run in runs], "across": ["across-x.parquet"]}
    write_json(tmp_path / "runs" / "experiment.json", record)
    assert not cli.main(["paper", str(tmp_path), "--out", str(tmp_path / "paper")])
    said = capsys.readouterr().out
    assert "similarity in hundredths: 2 of 5 cells measured (1 as published, 1 not as published)." in said
    assert "averaged over the body, in hundredths: 2 of 6 cells measured" in said
    assert "how many times as fast as MAML: 0 of 2 cells measured." in said
    text = (tmp_path / "paper" / "paper.md").read_text(encoding="utf-8")
    assert "| conv1 (maml conv1) | published | above 90 (text) | a figure only |" in text
    assert re.search(r"\|  \| here \| 95\.5 ± 0\.0 \| 105\.5 ± 0\.0 \|", text)
    assert re.search(rf"\|  \| difference \| \+5\.5 ± 0\.\d: as published \| {DASH} \|", text)
    assert "| MAML and MAML (maml and maml) | published | 51.0 | 83.0 |" in text
    assert "@AcrossTrainings()" in text
    assert "**Published, conv1, conv2, conv3, conv4:** only a figure was published" in text
    frame = pd.read_csv(tmp_path / "paper" / "paper.csv").set_index(["method", "quantity"])
    assert frame.loc[("maml and maml", "cca"), "verdict"] == "within"
    assert frame.loc[("anil", "training_speedup"), "verdict"] == "not run"
    assert math.isnan(frame.loc[("maml conv1", "cka"), "published"])


def test_the_command_of_their_empty_cells_would_fill_them() -> None:
    config = re.findall(r"gin/\S+", COMMAND)[0]
    bindings = re.findall(r"--set '([^']+)'", COMMAND)
    experiment, _ = load_experiment(REPOSITORY / config, bindings)
    assert isinstance(experiment, Experiment)
    assert {method.name for method in experiment.methods} == {"maml", "anil", "nil"}
    assert [plugins.describe(plugins.PROBES, probe).plugin for probe in experiment.probes] == ["similarity"]
    assert experiment.across is not None
    assert {setting.command for table in ANALYSIS_TABLES for setting in table.settings} == {COMMAND}
