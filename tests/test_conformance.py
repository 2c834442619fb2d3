"""Every registered plugin keeps its contract."""

import dataclasses
import sys
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness import plugins
from harness.dataset import ClassGroups, ClassImages
from harness.episode import Episode, Spare, Task
from harness.errors import MissingDataError
from harness.learner import Learner
from harness.method import Method, can_adapt
from harness.probe import ProbeRow
from harness.probes.specialisation import Specialisation
from harness.surrogate import with_gradient
from harness.testing import check_dataset, check_method, check_probe
from harness_datasets.digits import Digits
from harness_datasets.glyphs import Glyphs
from harness_methods.anil import ANIL
from harness_methods.proto_net import ProtoNet
from harness_methods.relation_net import RelationNet

Pixels = np.ndarray[Any, np.dtype[Any]]

SMALL = {"n_classes": 20, "images_per_class": 5}


ARGUMENTS: dict[str, dict[str, object]] = {
    "image_folder": {"path": "pacs_sketch_84.zip", "fractions": (0.4, 0.2, 0.4)},
    "tfds": {"builder": "omniglot", "channels": 1, "tfds_splits": ("test",), "max_images_per_class": 2},
    "controlled_shift": {"source": Glyphs(n_classes=20, images_per_class=5), "name": "controlled_shift"},
}
"""Of sources that cannot be made from their name alone."""


@pytest.mark.slow
@pytest.mark.parametrize("name", plugins.names(plugins.DATASETS))
def test_every_registered_source_keeps_the_contract(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    source = plugins.load(plugins.DATASETS, name)
    fields = {field.name for field in dataclasses.fields(source)}
    small = {key: value for key, value in SMALL.items() if key in fields}
    dataset = source(**small, **ARGUMENTS.get(name, {}))
    assert dataset.name == name
    data_dir = request.getfixturevalue("data_dir") if dataset.needs_data else None
    try:
        dataset.fingerprint(data_dir)
    except MissingDataError as error:
        if not hasattr(dataset, "write_stand_in"):
            pytest.skip(str(error))
        dataset.write_stand_in(tmp_path)
        data_dir = tmp_path
    checks = check_dataset(dataset, data_dir)
    assert len(checks) == 12
    assert [check for check in checks if not check.passed] == []
    component = plugins.describe(plugins.DATASETS, dataset)
    assert plugins.build(plugins.DATASETS, component) == dataset


@pytest.mark.parametrize("name", plugins.names(plugins.METHODS))
def test_every_registered_method_keeps_the_contract(name: str) -> None:
    method = plugins.load(plugins.METHODS, name)()
    assert method.name == name
    checks = check_method(method)
    assert len(checks) == 13
    assert [check for check in checks if not check.passed] == []
    assert plugins.build(plugins.METHODS, plugins.describe(plugins.METHODS, method)) == method


@dataclasses.dataclass(frozen=True, kw_only=True)
class WrongMethod(ANIL):
    """Keeps the contract but for one fault."""

    name: str = "wrong"
    fault: str = ""

    def outer_loss(self, learner: Learner, episodes: Sequence[Episode]) -> torch.Tensor:
        loss = super().outer_loss(learner, episodes)
        faulty = {
            "nan": loss * torch.nan,
            "detached": loss.detach(),
            "sum": loss * len(episodes),
            "head alone": loss.detach() + learner.head.weight.sum(),
            "not a scalar": loss[None],
            "random": loss * torch.rand((), generator=torch.Generator().manual_seed(id(learner) % 2**31)),
        }
        if self.fault in ("head left alone", "offsets left alone"):
            alone = "head." if self.fault == "head left alone" else ".norm.bias"
            kept = [p for name, p in learner.named_parameters() if alone not in name]
            gradients = torch.autograd.grad(loss, kept, allow_unused=True)
            return with_gradient(loss, {p: g for p, g in zip(kept, gradients, strict=True) if g is not None})
        return faulty.get(self.fault, loss)

    def predict(self, learner: Learner, task: Task) -> torch.Tensor:
        logits = super().predict(learner, task)
        if self.fault == "moves the learner":
            with torch.no_grad():
                learner.head.bias += 1e-3
        faulty = {
            "too many logits": logits.repeat(1, 2),
            "first class": logits + torch.tensor([9.0] + [0.0] * (task.n_way - 1)),
            "guesses": torch.zeros_like(logits),
            "goes by the place": logits + logits.roll(1, dims=0),
        }
        return faulty.get(self.fault, logits)


REACHES = "its gradient is finite and reaches what is used, nothing else"


@pytest.mark.parametrize(
    ("fault", "broken"),
    [
        ("nan", "loss of an update is a finite scalar"),
        ("detached", "loss of an update is a finite scalar"),
        ("sum", "several workers can share an update, or it says why not"),
        ("head alone", REACHES),
        ("head left alone", REACHES),
        ("offsets left alone", REACHES),
        ("not a scalar", "loss of an update is a finite scalar"),
        ("random", "loss and predict are deterministic"),
        ("moves the learner", "predict leaves the learner as it was"),
        ("too many logits", "predict gives logits for 2, 5, 20 and varying ways"),
        ("first class", "order of the labels does not matter"),
        ("goes by the place", "order of the queries does not matter"),
        ("guesses", "learns: above chance after a few updates"),
    ],
)
def test_a_broken_method_is_caught(fault: str, broken: str) -> None:
    failed = [check.name for check in check_method(WrongMethod(fault=fault)) if not check.passed]
    assert broken in failed


def test_a_layer_that_is_as_long_as_the_head_by_chance_is_none() -> None:
    failed = {check.name: check.detail for check in check_method(RelationNet(filters=20)) if not check.passed}
    assert not failed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vain(ProtoNet):
    """Trains the head, which a Prototypical Network does not use."""

    name: str = "vain"

    def outer_loss(self, learner: Learner, episodes: Sequence[Episode]) -> torch.Tensor:
        return super().outer_loss(learner, episodes) + learner.head.weight.square().sum()


def test_a_method_that_trains_what_it_does_not_use_is_caught() -> None:
    failed = {check.name: check.detail for check in check_method(Vain()) if not check.passed}
    assert failed == {REACHES: "gradients reach head.weight, on which no prediction depends"}


def test_a_method_that_only_this_process_knows_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("made_up_here")
    made = dataclasses.make_dataclass(
        "MadeUp", [("name", str, "made_up")], bases=(ANIL,), frozen=True, kw_only=True
    )
    made.__module__ = "made_up_here"
    module.MadeUp = made  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "made_up_here", module)
    failed = {check.name: check.detail for check in check_method(made()) if not check.passed}
    assert list(failed) == ["frozen dataclass that pickles"]
    assert "another process cannot load it: ModuleNotFoundError" in failed["frozen dataclass that pickles"]


@pytest.mark.parametrize("name", plugins.names(plugins.PROBES))
def test_every_registered_probe_keeps_the_contract(name: str) -> None:
    probe = plugins.load(plugins.PROBES, name)()
    assert probe.name == name
    checks = check_probe(probe)
    assert len(checks) == 8
    assert [check for check in checks if not check.passed] == []
    assert plugins.build(plugins.PROBES, plugins.describe(plugins.PROBES, probe)) == probe


@dataclasses.dataclass(frozen=True, kw_only=True)
class WrongProbe(Specialisation):
    """Keeps the contract but for one fault."""

    name: str = "wrong"
    fault: str = ""

    def measure(self, learner: Learner, method: Method, episode: Episode, spare: Spare) -> Iterator[ProbeRow]:
        if self.fault == "moves the learner":
            learner.head.bias += 1e-3
        if self.fault == "needs images" and not len(spare.x):
            raise ValueError("no images")
        if self.fault == "needs a head" and not can_adapt(method):
            raise ValueError("no inner loop")
        rows = list(super().measure(learner, method, episode, spare))
        faulty: dict[str, dict[str, Any]] = {
            "no reason": {"value": float("nan")},
            "infinite": {"value": float("inf")},
            "tensor": {"value": torch.tensor(1.0)},
            "step 0": {"step": 0},
            "random": {"value": float(np.random.default_rng().random())},
        }
        yield dataclasses.replace(rows[0], **faulty.get(self.fault, {}))
        yield from rows[:1] if self.fault == "twice" else rows[1:]

    def pooled(self, rows: Sequence[ProbeRow]) -> Iterator[ProbeRow]:
        for row in super().pooled(rows):
            same = self.fault == "pooled as an episode"
            yield dataclasses.replace(row, quantity="within") if same else row


@pytest.mark.parametrize(
    ("fault", "broken"),
    [
        ("", None),
        ("moves the learner", "measuring leaves the learner as it was"),
        ("needs images", "episodes without spare images have rows"),
        ("needs a head", "any method is measured that it says it can"),
        ("no reason", "rows fit the schema"),
        ("infinite", "rows fit the schema"),
        ("tensor", "rows fit the schema"),
        ("step 0", "rows fit the schema"),
        ("twice", "rows fit the schema"),
        ("random", "measuring is deterministic"),
        ("pooled as an episode", "pooled rows fit the schema"),
    ],
)
def test_a_broken_probe_is_caught(fault: str, broken: str | None) -> None:
    failed = [check.name for check in check_probe(WrongProbe(fault=fault)) if not check.passed]
    assert broken in failed if broken else not failed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wrong(Digits):
    """Keeps the contract but for one fault."""

    fault: str
    name: str = "wrong"

    @property
    def splits(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("test", "train") if self.fault == "order of splits" else ("train", "test")

    @property
    def channels(self) -> int:  # type: ignore[override]
        return 2 if self.fault == "two channels" else 1

    @property
    def needs_data(self) -> bool:  # type: ignore[override]
        return self.fault == "needs nothing"

    def __getstate__(self) -> dict[str, Any]:
        return {} if self.fault == "pickle" else self.__dict__

    def fingerprint(self, data_dir: Path | None) -> str:
        if self.fault == "long fingerprint":
            return "digits" * 20
        return f"{np.random.default_rng().random()}" if self.fault == "fingerprint" else "digits"

    def class_sizes(self, split: str, data_dir: Path | None) -> dict[str, int]:
        if split not in self.splits and self.fault != "any split":
            return {**super().class_sizes(split, data_dir)}
        if self.fault == "no class":
            return {}
        sizes = {f"{split}{digit}": 2 for digit in range(3)}
        if self.fault == "shared class":
            sizes = {"same": 2, **dict(list(sizes.items())[1:])}
        if self.fault == "empty class":
            sizes[f"{split}0"] = 0
        return dict(reversed(sizes.items())) if self.fault == "order" else sizes

    @property
    def native_size(self) -> int | None:  # type: ignore[override]
        return 9 if self.fault == "native size" else 8

    def class_groups(self, split: str, data_dir: Path | None) -> ClassGroups | None:
        kind = "friends" if self.fault == "group kind" else "superclasses"
        names = [f"{split}0", "nobody" if self.fault == "group" else f"{split}1"]
        return ClassGroups(kind=kind, members={"few": names})

    def read(self, split: str, classes: Sequence[str], data_dir: Path | None) -> Iterator[ClassImages]:
        known = self.class_sizes(split, data_dir)
        asked = list(known) if self.fault == "all classes" else list(classes)
        twice = [*asked, *asked] if self.fault == "in two pieces" else asked
        for at, name in enumerate(sorted(asked) if self.fault == "order" else twice):
            images = self._images(name, at, len(asked))[: 0 if known.get(name) == 0 else None]
            if self.fault == "in two pieces":
                images = images[at // len(asked) :][:1]
            yield name, images[:1]
            yield name, images[1:]
            if self.fault == "early end":
                return

    def _images(self, name: str, at: int, asked: int) -> Pixels:
        seed = {"shared image": [0], "counts on": [at, asked, *name.encode()]}.get(
            self.fault, [*name.encode()]
        )
        rng = np.random.default_rng(None if self.fault == "random" else seed)
        images = rng.integers(0, 256, (1 if self.fault == "count" else 2, 8, 8, 1)).astype(np.uint8)
        faulty = {
            "range": (images / 255).astype(np.uint8),
            "colour": images.repeat(3, axis=3),
            "no height": images[:, :0],
            "floats": images / 255,
        }
        return np.asarray(faulty.get(self.fault, images))


def test_the_source_without_fault_passes() -> None:
    assert [check for check in check_dataset(Wrong(fault="none"), None) if not check.passed] == []


@pytest.mark.parametrize(
    ("fault", "caught"),
    [
        ("order of splits", {"attributes"}),
        ("two channels", {"attributes"}),
        ("pickle", {"frozen dataclass that pickles"}),
        ("fingerprint", {"fingerprint is stable"}),
        ("long fingerprint", {"fingerprint is stable"}),
        ("shared class", {"splits share no class", "splits share no image"}),
        ("any split", {"unknown split is a DataError"}),
        ("needs nothing", {"missing raw data is a DataError"}),
        ("order", {"read agrees with class_sizes"}),
        ("count", {"read agrees with class_sizes"}),
        ("early end", {"read agrees with class_sizes"}),
        ("in two pieces", {"read agrees with class_sizes"}),
        ("empty class", {"read agrees with class_sizes"}),
        ("no class", {"read agrees with class_sizes"}),
        ("range", {"images are uint8 in full range"}),
        ("colour", {"images are uint8 in full range"}),
        ("no height", {"images are uint8 in full range"}),
        ("floats", {"images are uint8 in full range"}),
        ("native size", {"images are uint8 in full range"}),
        ("all classes", {"some classes are read alone, in order"}),
        ("counts on", {"some classes are read alone, in order"}),
        ("group", {"groups name classes of the split"}),
        ("group kind", {"groups name classes of the split"}),
        ("random", {"reading twice gives the same bytes"}),
        ("shared image", {"splits share no image"}),
    ],
)
def test_each_fault_of_a_source_is_caught_by_name(fault: str, caught: set[str]) -> None:
    failed = {check.name for check in check_dataset(Wrong(fault=fault), None) if not check.passed}
    assert caught <= failed
    assert len(failed) <= 3


def test_something_else_fails_without_raising() -> None:
    assert not any(check.passed for check in check_dataset(object(), None))
    assert not all(check.passed for check in check_probe(object()))
