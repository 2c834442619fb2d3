"""A source moved by a dial, against what it wraps, and as an experiment names it."""

import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from experiments import write_tiny
from harness import plugins
from harness.config import load_experiment
from harness.dataset import ClassGroups, ClassImages
from harness.demo import demonstration
from harness.errors import ConfigError, DataError, MissingDataError
from harness.plan import plan
from harness.pools import ensure_pool
from harness.testing import check_dataset
from harness_datasets import image_shifts
from harness_datasets.controlled_shift import KINDS, ControlledShift
from harness_datasets.glyphs import Glyphs
from harness_datasets.omniglot import Omniglot
from harness_datasets.textures import Textures

Pixels = np.ndarray[Any, np.dtype[Any]]

GREY, COLOUR = Glyphs(n_classes=20, images_per_class=4), Textures(n_classes=20, images_per_class=4)


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """As its package registers it; for an installation made before there was this source."""
    entry = EntryPoint(
        "controlled_shift", "harness_datasets.controlled_shift:ControlledShift", plugins.DATASETS
    )
    entries = plugins._entries

    def with_shift(group: str) -> dict[str, EntryPoint]:
        return {entry.name: entry, **entries(group)} if group == plugins.DATASETS else entries(group)

    monkeypatch.setattr(plugins, "_entries", with_shift)


def source_for(kind: str) -> Any:
    return COLOUR if kind == "colour" else GREY


def read(dataset: Any, split: str = "test") -> dict[str, Pixels]:
    parts: dict[str, list[Pixels]] = {}
    for name, images in dataset.read(split, list(dataset.class_sizes(split, None)), None):
        parts.setdefault(name, []).append(images)
    return {name: np.concatenate(images) for name, images in parts.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_the_source_at_0_gives_the_bytes_of_its_origin(kind: str) -> None:
    source = source_for(kind)
    plain, same = read(source), read(ControlledShift(source=source, kind=kind, amount=0))
    assert list(plain) == list(same)
    assert all(plain[name].tobytes() == same[name].tobytes() for name in plain)


@dataclass(frozen=True, kw_only=True)
class Snapshots:
    """Images of many sizes, in parts, with groups; `parts` in how many pieces a class comes."""

    name: str = "snapshots"
    parts: int = 3
    content: str = "a"

    channels: ClassVar[int] = 3
    splits: ClassVar[tuple[str, ...]] = ("train", "test")
    needs_data: ClassVar[bool] = False

    def fingerprint(self, data_dir: Path | None) -> str:
        return self.content

    def class_sizes(self, split: str, data_dir: Path | None) -> Mapping[str, int]:
        if split not in self.splits:
            raise DataError(f"no split {split!r}")
        return {f"{split}{c}": 6 for c in range(4)}

    def class_groups(self, split: str, data_dir: Path | None) -> ClassGroups | None:
        return ClassGroups(kind="superclasses", members={"all": list(self.class_sizes(split, data_dir))})

    def read(self, split: str, classes: Sequence[str], data_dir: Path | None) -> Iterator[ClassImages]:
        self.class_sizes(split, data_dir)
        for name in classes:
            height = 20 + 15 * int(name[-1])
            images = np.random.default_rng(list(name.encode())).integers(0, 256, (6, height, 33, 3))
            for part in np.array_split(images.astype(np.uint8), self.parts):
                yield name, part


@pytest.mark.parametrize("kind", KINDS)
def test_a_shifted_source_keeps_the_contract(kind: str) -> None:
    for source in (source_for(kind), Snapshots()):
        shifted = ControlledShift(source=source, kind=kind, amount=0.4)
        assert [check for check in check_dataset(shifted, None) if not check.passed] == []


@pytest.mark.parametrize("kind", KINDS)
def test_it_does_not_matter_in_how_many_parts_a_class_comes(kind: str) -> None:
    whole, pieces = (
        {
            f"{name}/{first}": image
            for name, images in _numbered(ControlledShift(source=Snapshots(parts=parts), kind=kind))
            for first, image in images
        }
        for parts in (1, 4)
    )
    assert list(whole) == list(pieces)
    assert all(np.array_equal(whole[key], pieces[key]) for key in whole)


def _numbered(dataset: ControlledShift) -> Iterator[tuple[str, list[tuple[int, Pixels]]]]:
    counts: dict[str, int] = {}
    for name, images in dataset.read("test", list(dataset.class_sizes("test", None)), None):
        first = counts.get(name, 0)
        counts[name] = first + len(images)
        yield name, [(first + k, image) for k, image in enumerate(images)]


def test_everything_but_the_images_is_the_source_s() -> None:
    source = Snapshots()
    shifted = ControlledShift(source=source, kind="blur")
    assert (shifted.channels, shifted.splits, shifted.needs_data) == (3, ("train", "test"), False)
    assert shifted.class_sizes("test", None) == source.class_sizes("test", None)
    assert shifted.class_groups("test", None) == source.class_groups("test", None)
    assert (shifted.native_size, ControlledShift(source=GREY).native_size) == (None, 112)
    assert ControlledShift(source=GREY).class_groups("test", None) is None
    for missing in ("write_stand_in", "download", "how_to_get"):
        assert not hasattr(shifted, missing)
    omniglot = ControlledShift(source=Omniglot())
    assert omniglot.needs_data
    assert callable(omniglot.write_stand_in)
    assert omniglot.how_to_get == Omniglot.how_to_get
    with pytest.raises(MissingDataError, match="omniglot"):
        omniglot.fingerprint(None)
    with pytest.raises(DataError, match="no split 'tset'"):
        next(ControlledShift(source=GREY).read("tset", ["x"], None))


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({}, "glyphs-permutation-050"),
        ({"kind": "blur", "amount": 0}, "glyphs-blur-000"),
        ({"kind": "blur", "amount": 1}, "glyphs-blur-100"),
        ({"amount": 0.1 + 0.2}, "glyphs-permutation-030"),
        ({"amount": 0.125}, "glyphs-permutation-012p5"),
        ({"amount": 0.005}, "glyphs-permutation-000p5"),
        ({"seed": 3, "grid": 14}, "glyphs-permutation-050-s3-g14"),
        ({"name": "far"}, "far"),
    ],
)
def test_its_name_says_what_it_is(parameters: dict[str, Any], name: str) -> None:
    assert ControlledShift(source=GREY, **parameters).name == name


def test_shifts_of_shifts_and_of_other_sources_have_names_of_their_own() -> None:
    twice = ControlledShift(source=ControlledShift(source=GREY, kind="blur", amount=0.1), kind="noise")
    assert twice.name == "glyphs-blur-010-noise-050"
    assert [check for check in check_dataset(twice, None) if not check.passed] == []


def test_the_fingerprint_follows_every_parameter_the_source_and_the_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = [
        ControlledShift(source=source, kind=kind, amount=amount, seed=seed, grid=grid)
        for source in (COLOUR, Snapshots(), Snapshots(content="b"))
        for kind in KINDS
        for amount in (0.0, 0.4)
        for seed in (0, 1)
        for grid in (28, 9)
    ]
    assert len({dataset.fingerprint(None) for dataset in made}) == len(made)
    assert len({dataset.name for dataset in made if dataset.source is COLOUR}) == len(made) // 3
    blur = next(dataset for dataset in made if (dataset.kind, dataset.amount) == ("blur", 0.4))
    before = blur.fingerprint(None)
    assert blur.fingerprint(None) == before
    monkeypatch.setattr(image_shifts, "BLUR_SHARE", 0.11)
    assert blur.fingerprint(None) != before


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"source": Glyphs}, r"source must be a source, written for example @Omniglot\(\); got <class"),
        ({"source": "glyphs"}, "source must be a source, .* got 'glyphs'"),
        ({"kind": "blurr"}, "kind must be one of .* got 'blurr'. Did you mean 'blur'?"),
        ({"amount": 1.01}, "amount must be a number from 0 to 1; got 1.01"),
        ({"amount": -0.1}, "amount must be a number from 0 to 1; got -0.1"),
        ({"amount": "half"}, "amount must be a finite number; got 'half'"),
        ({"seed": -1}, "seed must be a whole number from 0 to .* got -1"),
        ({"grid": 1}, "grid must be a whole number from 2 to 1024; got 1"),
        ({"kind": "colour"}, "kind = 'colour' needs a source of three channels; 'glyphs' is grey"),
        ({"name": "a b"}, "name must be letters"),
    ],
)
def test_wrong_parameters_are_config_errors(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"ControlledShift.{message}"):
        ControlledShift(**{"source": GREY, **parameters})


def test_it_is_described_built_and_pickled_with_its_source() -> None:
    dataset = ControlledShift(source=GREY, kind="noise", amount=1, seed=2)
    component = plugins.describe(plugins.DATASETS, dataset)
    assert component.plugin == "controlled_shift"
    assert component.params["source"] == plugins.describe(plugins.DATASETS, GREY)
    assert plugins.build(plugins.DATASETS, component) == dataset
    assert pickle.loads(pickle.dumps(dataset)) == dataset


DIAL = """
Evaluation.sources = [@Glyphs(), @near/ControlledShift(), @far/ControlledShift()]
ControlledShift.source = @Glyphs()
near/ControlledShift.amount = 0.1
far/ControlledShift.amount = 1.0
""".strip().splitlines()


def test_an_experiment_turns_the_dial(tmp_path: Path) -> None:
    experiment, text = load_experiment(write_tiny(tmp_path, *DIAL))
    names = ["glyphs", "glyphs-permutation-010", "glyphs-permutation-100"]
    assert [dataset.name for dataset in experiment.evaluations[0].sources] == names
    assert experiment.evaluations[0].sources[2].source == Glyphs(n_classes=40)
    (tmp_path / "again.gin").write_text(text)
    assert load_experiment(tmp_path / "again.gin")[0] == experiment
    made = plan(experiment, data_dir=None, cache=tmp_path)
    assert [evaluation.source.name for evaluation in made.runs[0].evaluations] == names
    shifted = [need for need in made.pools if need.source.name == names[2]]
    assert len(shifted) == 1
    pool = ensure_pool(
        shifted[0].dataset, shifted[0].source, "test", shifted[0].images, data_dir=None, cache=tmp_path
    )
    assert pool.source == names[2]
    assert len(pool.class_sizes) == 10
    moved = ["far/ControlledShift.seed = 5"]
    other = plan(load_experiment(write_tiny(tmp_path, *DIAL, *moved))[0], data_dir=None, cache=tmp_path)
    assert {run.run_id for run in other.runs}.isdisjoint(run.run_id for run in made.runs)
    assert {run.training_id for run in other.runs} == {run.training_id for run in made.runs}


def test_a_mistake_in_the_source_of_a_shift_is_found_where_it_is_made(tmp_path: Path) -> None:
    for line, message in {
        "ControlledShift.source = @Glyphs": r"write.* @Omniglot\(\)|written for example @Omniglot\(\)",
        "Glyphs.n_clases = 4": "no parameter 'n_clases'. Did you mean 'n_classes'",
        "ControlledShift.amount = 2": "amount must be a number from 0 to 1; got 2",
    }.items():
        with pytest.raises(ConfigError, match=message):
            load_experiment(write_tiny(tmp_path, *DIAL[:2], "near/ControlledShift.kind = 'blur'", line))


def test_a_demonstration_shifts_the_stand_in(tmp_path: Path) -> None:
    lines = ["Evaluation.sources = [@ControlledShift()]", "ControlledShift.source = @Omniglot()"]
    experiment = demonstration(load_experiment(write_tiny(tmp_path, *lines))[0])
    (shifted,) = experiment.evaluations[0].sources
    assert shifted.name == "omniglot-permutation-050-standin"
    assert shifted.write_stand_in == shifted.source.write_stand_in
