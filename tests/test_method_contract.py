"""Every registered method keeps its contract, and what does not is caught."""

import dataclasses
import sys
import types
from collections.abc import Sequence

import pytest
import torch

from harness import plugins
from harness.episode import Episode, Task
from harness.learner import Learner
from harness.surrogate import with_gradient
from harness.testing import check_method
from harness_methods.anil import ANIL
from harness_methods.proto_net import ProtoNet
from harness_methods.relation_net import RelationNet


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
