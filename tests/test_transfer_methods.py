"""Methods on what an ordinary training has left, each against a few lines of PyTorch or of plain loops in float64."""

import copy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from harness.episode import Task
from harness.errors import ConfigError
from harness.inner_loop import InnerStep, Variation
from harness.layer_norms import constant_factors, equal_relative_steps, relative_changes
from harness.read_outs import PENALTY
from harness_methods.anil import ANIL
from harness_methods.baseline import Baseline
from harness_methods.baseline_pp import BaselinePlusPlus
from harness_methods.finetune import Finetune
from harness_methods.knn import KNN
from harness_methods.linear_probe import LinearProbe
from harness_methods.maml import MAML
from harness_methods.matching_net import MatchingNet
from harness_methods.multiclass import Multiclass
from harness_methods.multitask import Multitask
from harness_methods.nil import NIL
from harness_methods.nil_training import NILTraining
from harness_methods.random_features import RandomFeatures
from plain_embeddings import embeddings, stored
from plain_inner_loop import reference_logits
from tiny import tiny_episode, tiny_learner

EPISODES = [tiny_episode(seed=1), tiny_episode(seed=2), tiny_episode(seed=3, n_way=2, n_query=3)]
TASK = EPISODES[0].task
N_CLASSES = 7


def test_baseline_fits_a_new_linear_classifier_as_torch_would() -> None:
    method = Baseline(num_finetune_steps=10, minibatch=2, finetune_lr=0.5)  # 6 images: 3 steps a round
    learner = tiny_learner(method, max_way=N_CLASSES)
    support, query = (embeddings(learner, x) for x in (TASK.support_x, TASK.query_x))
    head = nn.Linear(support.shape[1], 3).double()
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    optimiser = torch.optim.SGD(head.parameters(), lr=0.5, momentum=0.9, dampening=0.9, weight_decay=0.001)
    for _ in range(30):
        optimiser.zero_grad()
        F.cross_entropy(head(support), TASK.support_y).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    found = method.predict(learner, TASK)
    assert torch.allclose(found, head(query), atol=1e-10)
    assert found.abs().max() > 0.1


def test_baseline_pp_fits_a_cosine_classifier_as_torch_would() -> None:
    method = BaselinePlusPlus(num_finetune_steps=10, finetune_lr=0.1)
    learner = tiny_learner(method, max_way=N_CLASSES)
    support, query = (embeddings(learner, x) for x in (TASK.support_x, TASK.query_x))
    unit = F.normalize(support, dim=1)
    vectors = torch.stack([unit[TASK.support_y == c].mean(0) for c in range(3)]).requires_grad_()
    optimiser = torch.optim.SGD([vectors], lr=0.1, momentum=0.9, dampening=0.9, weight_decay=0.001)

    def logits(features: Tensor) -> Tensor:
        return 10 * torch.stack([F.cosine_similarity(features, w[None], dim=1) for w in vectors], dim=1)

    began = logits(query).detach()
    for _ in range(20):
        optimiser.zero_grad()
        F.cross_entropy(logits(support), TASK.support_y).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert torch.allclose(method.predict(learner, TASK), logits(query), atol=1e-9)
    assert (logits(query) - began).abs().max() > 0.01
    without_steps = BaselinePlusPlus(num_finetune_steps=0)
    assert torch.allclose(without_steps.predict(learner, TASK), began, atol=1e-10)


@pytest.mark.parametrize("adam", [True, False], ids=["adam", "gradient"])
@pytest.mark.parametrize("every_layer", [True, False], ids=["all layers", "head"])
def test_finetune_steps_as_torch_would(adam: bool, every_layer: bool) -> None:
    method = Finetune(
        num_finetune_steps=4, finetune_lr=0.02, finetune_with_adam=adam, finetune_all_layers=every_layer
    )
    learner = tiny_learner(method, max_way=N_CLASSES)
    params = stored(learner)
    params["head.weight"], params["head.bias"] = torch.zeros(3, 3).double(), torch.zeros(3).double()
    moving = {
        name: p.requires_grad_()
        for name, p in params.items()
        if name.startswith("head") or (every_layer and not name.endswith("norm.bias"))
    }
    kind = torch.optim.Adam if adam else torch.optim.SGD
    optimiser = kind(moving.values(), lr=0.02)
    for _ in range(4):
        optimiser.zero_grad()
        F.cross_entropy(reference_logits(params, TASK.support_x, 3), TASK.support_y).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert torch.allclose(method.predict(learner, TASK), reference_logits(params, TASK.query_x, 3), atol=1e-8)
    before = dict(learner.named_parameters())
    if every_layer:
        assert not torch.equal(
            params["body.stages.conv1.conv.weight"], before["body.stages.conv1.conv.weight"]
        )


@pytest.mark.parametrize("policy", ["support", "running"])
@pytest.mark.parametrize("method", [Baseline(num_finetune_steps=4), Finetune(num_finetune_steps=4)])
def test_every_policy_of_batch_norm_and_uneven_shots(method: Baseline | Finetune, policy: str) -> None:
    """Statistics of the support set, or the stored ones, for support and queries alike."""
    learner = tiny_learner(method, max_way=N_CLASSES, batch_norm=policy)
    with torch.no_grad():
        for name, buffer in learner.named_buffers():
            buffer.uniform_(0.5, 1.5) if name.endswith("running_var") else buffer.uniform_(-0.2, 0.2)
    task = Task(
        support_x=TASK.support_x[:5], support_y=torch.tensor([0, 0, 1, 1, 2]), query_x=TASK.query_x, n_way=3
    )
    moving = [*learner.adaptable(method.adapted_layers(learner))]
    plain = copy.deepcopy(learner)
    head = nn.Linear(3, 3).double()
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)

    def features(x: Tensor, of: Tensor) -> Tensor:
        for stage in plain.body.stages.values():
            x, of = (stage.conv(v[None])[0] for v in (x, of))
            norm = stage.norm
            mean, var = (
                (of.mean(dim=(0, 2, 3)), of.var(dim=(0, 2, 3), unbiased=False))
                if policy == "support"
                else (norm.running_mean, norm.running_var)
            )
            x, of = (
                F.relu(
                    (v - mean[:, None, None]) / (var[:, None, None] + 1e-3).sqrt() + norm.bias[:, None, None]
                )
                for v in (x, of)
            )
        return x.mean(dim=(2, 3))

    body = [p for name, p in plain.named_parameters() if name in moving and not name.startswith("head")]
    optimiser: torch.optim.Optimizer = (
        torch.optim.Adam([*head.parameters(), *body], lr=0.01)
        if isinstance(method, Finetune)
        else torch.optim.SGD(head.parameters(), lr=0.01, momentum=0.9, dampening=0.9, weight_decay=0.001)
    )
    for _ in range(4 if isinstance(method, Finetune) else 8):  # five images are two minibatches of four
        optimiser.zero_grad()
        F.cross_entropy(head(features(task.support_x, task.support_x)), task.support_y).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    learner.eval()
    expected = head(features(task.query_x, task.support_x))
    assert torch.allclose(method.predict(learner, task), expected, atol=1e-8)


def test_what_multiplies_the_steps_multiplies_them_whatever_their_direction() -> None:
    """Adam does not care for the size of a gradient; a control that makes steps ten times larger must."""
    method = Finetune(num_finetune_steps=3)
    learner = tiny_learner(method, max_way=N_CLASSES)
    moved = {}
    for factor in (1.0, 10.0):
        steps: list[InnerStep] = []
        rule = partial(constant_factors, layers=learner.body.layers, factor=factor)
        method.adapt(learner, TASK, variation=Variation(multipliers=rule, observe=steps.append))
        name = "body.stages.conv4.conv.weight"
        moved[factor] = [float((s.after[name] - s.before[name]).norm()) for s in steps]
    assert moved[10.0][1] == pytest.approx(10 * moved[1.0][1], rel=0.2)
    rule = partial(equal_relative_steps, learner, n_way=3)
    steps = []
    method.adapt(learner, TASK, variation=Variation(multipliers=rule, observe=steps.append))
    relative = relative_changes(learner, steps[2].before, steps[2].after, 3)
    head = relative["head"].value
    assert [found.value for found in relative.values()] == pytest.approx([head] * 5, rel=1e-6)


@pytest.mark.parametrize("method", [Baseline(), BaselinePlusPlus(), Finetune(num_finetune_steps=3)])
def test_the_head_that_was_trained_plays_no_part(method: Baseline) -> None:
    learner = tiny_learner(method, max_way=N_CLASSES)
    before = method.predict(learner, TASK)
    with torch.no_grad():
        for parameter in learner.head.parameters():
            parameter.normal_()
    assert torch.equal(method.predict(learner, TASK), before)


@pytest.mark.parametrize("k", [1, 2, 5, 6, 50])
def test_the_nearest_neighbours_vote(k: int) -> None:
    method = KNN(k=k)
    learner = tiny_learner(method, max_way=N_CLASSES, filters=12)  # with few filters many cosines are equal
    support, query = (embeddings(learner, x) for x in (TASK.support_x, TASK.query_x))
    found = method.predict(learner, TASK)
    for q, logits in zip(query, found, strict=True):
        order = sorted(range(6), key=lambda i: -F.cosine_similarity(q, support[i], dim=0).item())[:k]
        votes = [sum(int(TASK.support_y[i]) == c for i in order) for c in range(3)]
        # Of the classes with most votes, that of the nearest neighbour.
        best = next(c for c in (int(TASK.support_y[i]) for i in order) if votes[c] == max(votes))
        assert int(logits.argmax()) == best
        ranked = sorted(range(3), key=lambda c: votes[c])
        assert [votes[c] for c in logits.argsort().tolist()] == [votes[c] for c in ranked]


def test_of_a_tie_the_class_of_the_nearest_wins_however_near_the_others_are() -> None:
    """The first and the fifth of five neighbours against the second and the third, and one of a third class."""
    angles = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5], dtype=torch.float64)
    support, query = (
        torch.stack([angles.cos(), angles.sin()], dim=1)[None],
        torch.tensor([[[1.0, 0.0]]]).double(),
    )
    labels = torch.tensor([[1, 0, 0, 2, 1]])
    logits = KNN(k=5).compare(tiny_learner(KNN(), max_way=N_CLASSES), support, labels, query, 3)
    assert logits.argmax(2).tolist() == [[1]]
    assert logits[0, 0, 0] > logits[0, 0, 2]


def test_the_linear_probe_is_scikit_learns_logistic_regression() -> None:
    learner = tiny_learner(LinearProbe(), max_way=N_CLASSES)
    support, query = (
        F.normalize(embeddings(learner, x), dim=1).numpy() for x in (TASK.support_x, TASK.query_x)
    )
    fitted = LogisticRegression(C=1 / PENALTY, tol=1e-10, max_iter=10_000).fit(
        support, TASK.support_y.numpy()
    )
    expected = torch.from_numpy(fitted.predict_log_proba(query))
    assert torch.allclose(LinearProbe().predict(learner, TASK).log_softmax(1), expected, atol=1e-5)


def test_nil_training_minimises_the_loss_of_what_nil_predicts() -> None:
    method = NILTraining()
    learner = tiny_learner(method)
    losses = [F.cross_entropy(NIL().predict(learner, e.task), e.query_y) for e in EPISODES]
    loss = method.outer_loss(learner, EPISODES)
    assert loss.item() == pytest.approx(torch.stack(losses).mean().item(), abs=1e-10)
    loss.backward()  # type: ignore[no-untyped-call]
    for name, parameter in learner.named_parameters():
        assert (parameter.grad is None) == name.startswith("head"), name


@pytest.mark.parametrize(
    "trainer",
    [MAML(), ANIL(), Multiclass(), Multitask(), RandomFeatures(), NILTraining(), MatchingNet()],
    ids=lambda m: m.name,
)
def test_nil_reads_out_the_body_whatever_its_trainer_keeps_beside_it(trainer: ANIL) -> None:
    method = NIL(trainer=trainer)
    learner = tiny_learner(method, max_way=N_CLASSES)
    support, query = (embeddings(learner, x) for x in (TASK.support_x, TASK.query_x))
    cosines = torch.stack([F.cosine_similarity(q[None], support) for q in query])
    summed = torch.stack([cosines[:, TASK.support_y == c].sum(1) for c in range(3)], dim=1)
    assert torch.allclose(method.predict(learner, TASK), summed, atol=1e-10)


def test_a_classifier_of_another_kind_than_was_trained_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"BaselinePlusPlus\.trainer must train a cosine classifier"):
        BaselinePlusPlus(trainer=Multiclass())
    for method in (Baseline, Finetune):
        with pytest.raises(
            ConfigError, match=r"trains a cosine one. Write `\w+\.trainer = @linear/Multiclass"
        ):
            method(trainer=Multiclass(classifier="cosine"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (partial(KNN, k=0), r"KNN\.k must be a whole number of at least 1"),
        (partial(Multiclass, classifier="cos"), r"Multiclass\.classifier must be one of"),
        (partial(Multiclass, batch_size=0), r"Multiclass\.batch_size"),
        (partial(Multitask, n_way=1), r"Multitask\.n_way"),
        (partial(Baseline, momentum=1.0), r"Baseline\.momentum must be at least 0 and below 1"),
        (partial(Finetune, finetune_lr=0.0), r"Finetune\.finetune_lr must be a number above 0"),
    ],
)
def test_wrong_settings_are_refused(wrong: partial[object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        wrong()
