"""Going on without the sources that are not there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from command_line import refused
from harness import plugins
from harness.episode import EpisodeShape
from harness.errors import DataError, MissingDataError, PlanError
from harness.experiment import Evaluation, Experiment, Regime
from harness.networks import Conv4
from harness.plan import Plan, plan
from harness_methods.anil import ANIL

SHAPE = EpisodeShape(n_way=5, n_query=1)


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """A source in one of several states."""

    name: str = "shelf"
    state: str = "there"
    classes: tuple[int, int, int] = (6, 6, 6)

    channels: ClassVar[int] = 1
    splits: ClassVar[tuple[str, ...]] = ("train", "valid", "test")
    needs_data: ClassVar[bool] = True

    def fingerprint(self, data_dir: Path | None) -> str:
        if self.state == "missing":
            raise MissingDataError(f"{self.name} is not in {data_dir}: fetch it.")
        if self.state == "damaged":
            raise DataError(f"{self.name} is damaged.")
        return "x"

    def class_sizes(self, split: str, data_dir: Path | None) -> Mapping[str, int]:
        count = dict(zip(self.splits, self.classes, strict=True))[split]
        return {f"{split}{c}": 4 for c in range(count)}

    def read(self, split: str, classes: Sequence[str], data_dir: Path | None) -> Iterator[Any]:
        for name in classes:
            yield name, np.zeros((4, 16, 16, 1), np.uint8)


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    describe = plugins.describe

    def with_shelf(group: str, instance: Any) -> plugins.Component:
        if isinstance(instance, Shelf):
            return plugins.Component(plugin="shelf", params=vars(instance))
        return describe(group, instance)

    monkeypatch.setattr(plugins, "describe", with_shelf)


def planned(
    tmp_path: Path,
    train: Sequence[Shelf],
    test: Sequence[Shelf],
    *,
    valid: Sequence[Shelf] | None = None,
    missing: str = "skip",
) -> Plan:
    experiment = Experiment(
        name="x",
        methods=[ANIL()],
        network=Conv4(filters=4),
        regimes=[Regime(sources=train, validation_sources=valid, shape=SHAPE)],
        evaluations=[Evaluation(sources=test, shape=SHAPE)],
        missing_sources=missing,
    )
    return plan(experiment, data_dir=tmp_path, cache=tmp_path)


HERE, GONE = Shelf(name="here"), Shelf(name="gone", state="missing")


def left_out(made: Plan) -> list[tuple[str, str, str]]:
    return [(left.source, left.where, left.reason) for left in made.left_out]


def test_missing_sources_are_left_out_everywhere_and_named(tmp_path: Path) -> None:
    made = planned(tmp_path, [HERE, GONE], [GONE, HERE])
    run = made.runs[0]
    assert [source.name for source in run.train.sources] == ["here"]
    assert [source.name for source in run.train.validation_sources] == ["here"]
    assert [evaluation.source.name for evaluation in run.evaluations] == ["here"]
    assert run.trained_on == "here"
    assert left_out(made) == [
        ("gone", "training (the regime)", "its raw data is not there"),
        ("gone", "evaluation (test)", "its raw data is not there"),
    ]
    assert str(tmp_path) not in str(left_out(made))


def test_by_default_they_are_problems_and_all_are_listed(tmp_path: Path) -> None:
    other = Shelf(name="other", state="missing")
    with pytest.raises(PlanError) as caught:
        planned(tmp_path, [HERE, GONE], [other], missing="error")
    assert caught.value.missing == ("gone", "other")
    assert {f"{name} is not in {tmp_path}: fetch it." for name in ("gone", "other")} <= set(
        caught.value.problems
    )


def test_a_split_without_classes_is_left_out_too(tmp_path: Path) -> None:
    bare = Shelf(name="bare", classes=(6, 0, 6))
    made = planned(tmp_path, [HERE, bare], [bare])
    assert [source.name for source in made.runs[0].train.sources] == ["here", "bare"]
    assert [source.name for source in made.runs[0].train.validation_sources] == ["here"]
    reason = "what is there of it has no classes in the valid split"
    assert left_out(made) == [("bare", "validation (the regime)", reason)]


def test_validation_falls_back_on_the_training_sources_and_then_on_the_last_checkpoint(
    tmp_path: Path,
) -> None:
    made = planned(tmp_path, [HERE], [HERE], valid=[GONE])
    assert [source.name for source in made.runs[0].train.validation_sources] == ["here"]
    assert made.runs[0].selection == "best_valid"
    bare = Shelf(name="bare", classes=(6, 0, 6))
    made = planned(tmp_path, [bare], [bare], valid=[GONE])
    assert made.runs[0].train.validation_sources == ()
    assert made.runs[0].selection == "last"


def test_nothing_left_to_train_or_to_test_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="No training source of the regime 'gone' is there: gone"):
        planned(tmp_path, [GONE], [HERE])
    with pytest.raises(PlanError, match="No source to evaluate on is there") as caught:
        planned(tmp_path, [HERE], [GONE])
    assert caught.value.missing == ("gone",)


@pytest.mark.parametrize(
    ("shelf", "said"),
    [
        (Shelf(name="bad", state="damaged"), "bad is damaged"),
        (Shelf(name="small", classes=(3, 6, 6)), "fewer than the 5 ways"),
    ],
)
def test_what_is_there_and_wrong_is_never_left_out(tmp_path: Path, shelf: Shelf, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        planned(tmp_path, [HERE, shelf], [HERE])


def test_a_plan_without_its_data_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    config = Path(__file__).resolve().parents[1] / "gin" / "metadataset_anil.gin"
    said = refused(capsys, "plan", str(config), "--cache", str(tmp_path))
    assert "Experiment.missing_sources = 'skip'" in said
    assert f"without any data: harness run {config} --demo" in said
