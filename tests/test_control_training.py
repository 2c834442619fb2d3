"""Meta-training of policies: that it learns, that it resumes to the bit, and what it refuses."""

import io
from dataclasses import replace

import pytest
import torch

from control_cases import Drift, tiny_policy
from harness.control.adaptation import adaptation_of
from harness.control.clipped_surrogate import ClippedSurrogate
from harness.control.meta_training import MetaTraining, Update
from harness.control.policy import fresh_policy
from harness.control.policy_network import MLP
from harness.control.sampling import Sampling
from harness.control.source import ControlSource
from harness.control.task_evaluation import TaskOutcome, check_sizes, evaluate_tasks
from harness.control.trust_region import TrustRegion
from harness.errors import ConfigError
from harness.inner_loop_method import InnerLoopMethod
from harness_datasets.navigation2d import Navigation2D
from harness_methods.anil import ANIL
from harness_methods.boil import BOIL
from harness_methods.fo_maml import FOMAML
from harness_methods.maml import MAML
from harness_methods.maml_pp import MAMLPlusPlus
from harness_methods.meta_sgd import MetaSGD
from harness_methods.no_adaptation import NoAdaptation
from harness_methods.proto_net import ProtoNet
from harness_methods.random_body import RandomBody

ONE_STEP = {"inner_lr": 0.1, "inner_steps": 1, "test_inner_steps": 1}
FEW = Sampling(trajectories=4)


def training(
    method: InnerLoopMethod,
    *,
    source: ControlSource | None = None,
    outer: TrustRegion | ClippedSurrogate | None = None,
    meta_batch: int = 3,
    sampling: Sampling = FEW,
    hidden: tuple[int, ...] = (8, 8),
) -> MetaTraining:
    source = source or Drift()
    policy = fresh_policy(MLP(hidden=hidden), method, source, seed=1)
    return MetaTraining(
        policy,
        method,
        source,
        meta_batch=meta_batch,
        sampling=sampling,
        outer=outer or TrustRegion(),
        seed=1,
    )


@pytest.mark.slow
def test_navigation_is_learnt_and_adapted_to() -> None:
    source, method = Navigation2D(horizon=40), MAML(**ONE_STEP)
    sampling = Sampling(trajectories=10)
    learner = training(
        method,
        source=source,
        meta_batch=10,
        sampling=sampling,
        hidden=(32,),
        outer=TrustRegion(max_kl=0.03),
    )

    def outcomes() -> list[TaskOutcome]:
        found = evaluate_tasks(
            learner.policy, method, source, split="test", n_tasks=25, sampling=sampling, seed=1
        )
        return list(found)

    def gain(found: list[TaskOutcome]) -> float:
        return sum(each.after - each.before for each in found) / len(found)

    untrained = outcomes()
    for _ in range(25):
        learner.update()
    trained = outcomes()
    better = [new.after - old.after for new, old in zip(trained, untrained, strict=True)]
    assert sum(better) / len(better) > 8
    assert gain(trained) > 4  # of -14 before
    assert sum(each.after > each.before for each in trained) >= 20
    assert [each.task.index for each in trained] == list(range(25))


@pytest.mark.parametrize("outer", [TrustRegion(), ClippedSurrogate(updates=2)], ids=["trpo", "ppo"])
def test_a_resumed_training_gives_the_same_bits(outer: TrustRegion | ClippedSurrogate) -> None:
    method = MAML(**ONE_STEP)
    through = training(method, outer=outer)
    seen = [through.update() for _ in range(4)]
    first = training(method, outer=outer)
    again = [first.update() for _ in range(2)]
    kept = io.BytesIO()
    torch.save(first.state_dict(), kept)
    kept.seek(0)
    second = training(method, outer=outer)
    second.load_state_dict(torch.load(kept, weights_only=True))
    again += [second.update() for _ in range(2)]
    assert again == seen
    assert len({update.return_before for update in seen}) == 4
    for name, value in through.policy.state_dict().items():
        assert torch.equal(value, second.policy.state_dict()[name]), name


@pytest.mark.parametrize(
    "method",
    [
        MAML(**ONE_STEP),
        FOMAML(**ONE_STEP),
        ANIL(**ONE_STEP),
        BOIL(**ONE_STEP),
        NoAdaptation(),
        RandomBody(**ONE_STEP),
    ],
    ids=lambda method: method.name,
)
def test_each_method_adapts_and_learns_what_it_says(method: InnerLoopMethod) -> None:
    learner = training(method)
    before = {name: value.clone() for name, value in learner.policy.state_dict().items()}
    update: Update = learner.update()
    assert update.taken.share > 0
    after = learner.policy.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    head = {"head.weight", "head.bias", "head.log_std"}
    assert moved == (head if method.name == "random_body" else set(before))
    adapted = adaptation_of(method, learner.policy, training=True).mask
    layers = {
        "maml": {"hidden1", "hidden2", "head"},
        "fo_maml": {"hidden1", "hidden2", "head"},
        "anil": {"head"},
        "random_body": {"head"},
        "boil": {"hidden1", "hidden2"},
        "no_adaptation": set(),
    }
    assert adapted == layers[method.name]


def test_without_adaptation_after_is_before() -> None:
    learner = training(NoAdaptation())
    found = evaluate_tasks(
        learner.policy, NoAdaptation(), Drift(), split="test", n_tasks=3, sampling=FEW, seed=1
    )
    assert [each.after == each.before for each in found] == [True] * 3


def test_evaluation_leaves_the_policy_and_does_not_depend_on_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    method = MAML(inner_lr=0.1, inner_steps=1, test_inner_steps=2)
    policy = fresh_policy(MLP(hidden=(8, 8)), method, Drift(), seed=1)
    before = {name: value.clone() for name, value in policy.state_dict().items()}

    def evaluated() -> list[TaskOutcome]:
        return list(evaluate_tasks(policy, method, Drift(), split="test", n_tasks=5, sampling=FEW, seed=1))

    whole = evaluated()
    assert all(torch.equal(value, policy.state_dict()[name]) for name, value in before.items())
    monkeypatch.setattr("harness.control.task_evaluation.TASKS_AT_ONCE", 2)
    assert [len(each.returns) for each in whole] == [3] * 5
    assert evaluated() == whole


def test_a_method_that_is_more_than_steps_is_refused() -> None:
    policy = tiny_policy()
    for method in (MAMLPlusPlus(), MetaSGD(), ProtoNet()):
        with pytest.raises(ConfigError, match=f"{type(method).__name__} does not say how a policy adapts"):
            adaptation_of(method, policy, training=True)


def test_a_policy_of_another_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="of 3 and actions of 2 numbers cannot act on drift, which has 1"):
        check_sizes(tiny_policy(), Drift())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: replace(FEW, trajectories=0), "Sampling.trajectories must be a whole number of at least 1"),
        (lambda: replace(FEW, discount=1.5), "Sampling.discount must be a number from 0 to 1; got 1.5"),
        (lambda: replace(FEW, max_dropped=1.0), "Sampling.max_dropped must be a number from 0 to below 1"),
        (lambda: TrustRegion(max_kl=0.0), "TrustRegion.max_kl must be a number above 0"),
        (lambda: TrustRegion(backtrack=1.0), "TrustRegion.backtrack must be a number between 0 and 1"),
        (lambda: ClippedSurrogate(clip=2.0), "ClippedSurrogate.clip must be a number between 0 and 1"),
        (lambda: MLP(hidden=()), "MLP.hidden must have at least one layer"),
        (lambda: MLP(hidden=(8, 0)), "MLP.hidden must be a whole number of at least 1; got 0"),
        (lambda: MLP(initial_std=0.0), "MLP.initial_std must be at least MLP.min_std"),
        (
            lambda: NoAdaptation(inner_steps=3),
            "no inner steps: leave inner_steps alone, or set it to 0; got 3",
        ),
        (lambda: NoAdaptation(test_inner_steps=1), "leave test_inner_steps alone, or set it to 0; got 1"),
        (lambda: NoAdaptation(first_order=True), "leave first_order alone, or set it to False; got True"),
        (lambda: training(MAML(), meta_batch=0), "meta_batch must be a whole number of at least 1; got 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: object, words: str) -> None:
    assert callable(make)
    with pytest.raises(ConfigError, match=words):
        make()
