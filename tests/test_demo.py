"""`--demo`: the same experiment on stand-ins, marked as such and cut short."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.demo import FOLDER, MARK, TEST_EPISODES, demonstration, draw_stand_ins
from harness.episode import EpisodeShape
from harness.errors import ConfigError
from harness.experiment import Evaluation, Experiment, Images, Regime
from harness.networks import Conv4
from harness_datasets.glyphs import Glyphs
from harness_methods.anil import ANIL

SHAPE = EpisodeShape(n_way=5, n_query=1)


@dataclass(frozen=True, kw_only=True)
class Paintings:
    """A source that needs data, and can draw a stand-in."""

    name: str = "paintings"
    channels = 3
    splits = ("train", "valid", "test")
    needs_data = True

    def fingerprint(self, data_dir: Path | None) -> str:
        return "real"

    def class_sizes(self, split: str, data_dir: Path | None) -> Mapping[str, int]:
        return {f"{split}{c}": 5 for c in range(6)}

    def read(self, split: str, classes: Sequence[str], data_dir: Path | None) -> Iterator[Any]:
        for name in classes:
            yield name, np.zeros((5, 8, 8, 3), np.uint8)

    def write_stand_in(self, folder: Path) -> None:
        (folder / "paintings").mkdir(exist_ok=True)


def experiment(**changes: Any) -> Experiment:
    given: dict[str, Any] = {
        "name": "real",
        "title": "Real",
        "claim": "Something holds.",
        "methods": [ANIL()],
        "network": Conv4(filters=4),
        "regimes": [Regime(sources=[Paintings(), Glyphs()], shape=SHAPE, iterations=75_000)],
        "evaluations": [Evaluation(sources=[Paintings()], shape=SHAPE)],
    }
    return Experiment(**{**given, **changes})


def test_a_stand_in_is_marked_in_every_name_and_the_rest_is_as_it_was() -> None:
    demo = demonstration(experiment())
    assert [d.name for d in demo.regimes[0].sources] == [f"paintings{MARK}", "glyphs"]
    assert [d.name for d in demo.evaluations[0].sources] == [f"paintings{MARK}"]
    assert demo.regimes[0].label == f"paintings{MARK}+glyphs"
    assert (demo.name, demo.title) == ("real_demo", "STAND-INS: Real")
    assert demo.claim.startswith("This is a demonstration: every source is a drawn stand-in")
    assert demo.claim.endswith("Something holds.")
    assert demo.methods == experiment().methods


def test_it_is_cut_short_and_never_made_longer() -> None:
    demo = demonstration(experiment())
    assert demo.regimes[0].iterations < 1000
    assert demo.evaluations[0].n_episodes == TEST_EPISODES
    assert demo.images.size < 84
    short = experiment(
        images=Images(size=16),
        regimes=[Regime(sources=[Paintings()], shape=SHAPE, iterations=3)],
        evaluations=[Evaluation(sources=[Paintings()], shape=SHAPE, n_episodes=2)],
    )
    demo = demonstration(short)
    assert (demo.images.size, demo.regimes[0].iterations, demo.evaluations[0].n_episodes) == (16, 3, 2)


def test_each_stand_in_is_drawn_once_below_the_cache(tmp_path: Path) -> None:
    told: list[str] = []
    folder = draw_stand_ins(demonstration(experiment()), tmp_path, told.append)
    assert folder == tmp_path / FOLDER
    assert (folder / "paintings").is_dir()
    assert told == [f"paintings{MARK}"]


def test_an_experiment_without_stand_ins_is_refused() -> None:
    regimes = [Regime(sources=[Glyphs()], shape=SHAPE)]
    evaluations = [Evaluation(sources=[Glyphs()], shape=SHAPE)]
    with pytest.raises(ConfigError, match=r"--demo: none of the sources .*\(glyphs\) has a drawn stand-in"):
        demonstration(experiment(regimes=regimes, evaluations=evaluations))
