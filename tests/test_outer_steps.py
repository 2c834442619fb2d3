"""A trainer's own outer optimiser: that it is used, resumed to the bit and told, and that others keep Adam."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from experiments import write_tiny
from harness import checkpoint, cli, plugins
from harness.errors import ConfigError
from harness.method import steps_itself
from harness.outer_steps import learning_rate, new_optimiser
from harness.progress import Progress
from harness.report import settings
from harness.report.gather import FinishedRun
from harness.seeds import seed_torch
from harness.spec import OWN_STEPS, RunSpec
from harness.store import Workspace
from harness.testing import check_method
from harness.worker import execute, fresh_learner, training_updates
from harness_methods.maml import MAML
from harness_methods.reptile import Reptile
from real_runs import elsewhere, numbers, silent, weights

REPTILE = (
    "Experiment.methods = [@Reptile(), @MAML()]",
    "Regime.iterations = 6",
    "Regime.validate_every = 2",
    "Regime.selection = 'last'",
    "Reptile.inner_steps = 2",
    "Reptile.meta_step = 0.6",
)


@dataclass(frozen=True, kw_only=True)
class WithMomentum(MAML):
    """MAML by an outer optimiser that remembers, at a rate that falls."""

    name: str = "with_momentum"
    factor: float = 0.0

    def outer_optimiser(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=1.0, momentum=0.9)

    def outer_rate(self, iteration: int, iterations: int) -> float:
        return self.factor * (iterations - iteration)


def test_an_update_goes_a_share_of_the_way(
    planned: Callable[..., dict[str, RunSpec]], workspace: Workspace
) -> None:
    """The weights of a training, against its outer gradients followed by hand."""
    spec = planned(*REPTILE)["reptile"]
    execute(spec, workspace, silent)
    method = Reptile(inner_steps=2, meta_step=0.6)
    learner = fresh_learner(spec, method, _network(spec))
    updates = training_updates(spec, workspace, method)
    assert updates is not None
    learner.train()
    for i in range(6):
        learner.zero_grad()
        items = [updates.items[k] for k in range(i * updates.per_update, (i + 1) * updates.per_update)]
        seed_torch(spec.seed, f"train/{i}")
        updates.loss(learner, items).backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for parameter in learner.parameters():
                parameter -= 0.6 * (1 - i / 6) * parameter.grad
    for name, tensor in weights(spec, workspace).items():
        assert torch.allclose(tensor, learner.state_dict()[name], rtol=1e-5, atol=1e-6), name


def _network(spec: RunSpec) -> Any:
    return plugins.build(plugins.NETWORKS, spec.network)


def test_a_training_by_its_own_steps_resumes_to_the_same_bits(
    planned: Callable[..., dict[str, RunSpec]], workspace: Workspace
) -> None:
    """What the inner Adam remembers is in the checkpoint, and the meta step goes on falling."""
    spec = planned(*REPTILE)["reptile"]
    execute(spec, workspace, silent)
    other = elsewhere(workspace, "interrupted")

    def interrupt(progress: Progress) -> None:
        if progress.state == "training" and progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(spec, other, interrupt)
    execute(spec, other, silent)
    whole, resumed = weights(spec, workspace), weights(spec, other)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert int(whole["inner_steps_taken"]) == 12
    pd.testing.assert_frame_equal(numbers(spec, workspace), numbers(spec, other), check_exact=True)


def test_what_an_own_optimiser_remembers_is_in_the_checkpoint(
    planned: Callable[..., dict[str, RunSpec]], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Momentum of a method that takes the place of MAML."""
    spec = planned(*REPTILE)["maml"]
    build = plugins.build

    def other_trainer(kind: Any, component: Any) -> Any:
        made = build(kind, component)
        return WithMomentum(inner_lr=made.inner_lr, factor=0.1) if isinstance(made, MAML) else made

    monkeypatch.setattr(plugins, "build", other_trainer)
    execute(spec, workspace, silent)
    content = checkpoint.load(workspace.folder(spec.run_id).checkpoint, spec.training_id)
    assert content is not None
    (group,), state = content["optimiser"]["param_groups"], content["optimiser"]["state"]
    assert group["lr"] == pytest.approx(0.1 * 1)  # of the last of 6 updates
    assert len(state) > 4
    assert all(bool(one["momentum_buffer"].any()) for one in state.values())


def test_the_regimes_rate_and_schedule_make_no_other_training_of_it(
    planned: Callable[..., dict[str, RunSpec]],
) -> None:
    changed = ("Regime.learning_rate = 0.5", "Regime.schedule = 'cosine'")
    plain, other = planned(*REPTILE), planned(*REPTILE, *changed)
    assert plain["reptile"].run_id == other["reptile"].run_id
    assert plain["maml"].run_id != other["maml"].run_id
    assert plain["reptile"].run_id != planned(*REPTILE, "Reptile.meta_step = 0.7")["reptile"].run_id
    assert plain["reptile"].train.schedule == OWN_STEPS
    assert plain["maml"].train.schedule == "constant"


def test_others_take_adams_steps(planned: Callable[..., dict[str, RunSpec]]) -> None:
    runs = planned(*REPTILE, "Regime.learning_rate = 0.25")
    own, train = WithMomentum(factor=0.1), runs["maml"].train
    learner = fresh_learner(runs["maml"], own, _network(runs["maml"]))
    assert isinstance(new_optimiser(MAML(), train, learner), torch.optim.Adam)
    assert isinstance(new_optimiser(own, train, learner), torch.optim.SGD)
    assert learning_rate(MAML(), train, 2) == 0.25
    assert learning_rate(own, train, 2) == pytest.approx(0.4)


def test_half_an_outer_optimiser_is_refused() -> None:
    class Half(MAML):
        def outer_rate(self, iteration: int, iterations: int) -> float:
            return 1.0

    assert not steps_itself(MAML())
    assert steps_itself(WithMomentum())
    with pytest.raises(ConfigError, match="Half has one of `outer_optimiser` and `outer_rate`: give it both"):
        steps_itself(Half())


def test_one_report_has_methods_of_both_kinds(home: Path) -> None:
    config = write_tiny(home, *REPTILE, "Regime.learning_rate = 0.25")
    assert cli.main(["run", str(config), "--backend", "serial"]) == 0
    assert cli.main(["report", str(home / "reports" / "tiny")]) == 0
    report = (home / "reports" / "tiny" / "report.md").read_text(encoding="utf-8")
    assert "| the method's own, see its settings |" in report
    assert "| Adam, learning rate 0.25, constant |" in report


def test_the_report_does_not_say_that_it_was_adam(planned: Callable[..., dict[str, RunSpec]]) -> None:
    runs = planned(*REPTILE)
    said = {
        name: settings.regimes(
            [FinishedRun(run_id=name, spec=run.to_json(), status={}, episodes=pd.DataFrame())]
        )
        for name, run in runs.items()
    }
    assert "the method's own, see its settings" in said["reptile"].rows[0]
    assert "Adam, learning rate 0.001, constant" in said["maml"].rows[0]


def test_the_conformance_kit_trains_by_the_methods_own_optimiser(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    rate = WithMomentum.outer_rate

    def watched(self: WithMomentum, iteration: int, iterations: int) -> float:
        asked.append((iteration, iterations))
        return rate(self, iteration, iterations)

    monkeypatch.setattr(WithMomentum, "outer_rate", watched)
    checks = {check.name: check.passed for check in check_method(WithMomentum(factor=1e-4))}
    assert checks["learns: above chance after a few updates"]
    assert asked == [(i, len(asked)) for i in range(len(asked))]
    assert len(asked) > 10
