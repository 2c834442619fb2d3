"""Methods trained on batches of all classes, each loss against plain loops in float64."""

import pytest
import torch
import torch.nn.functional as F

from harness.cosine_head import CosineHead
from harness.errors import ConfigError
from harness.image_batch import ImageBatch
from harness_methods.multiclass import Multiclass
from harness_methods.multitask import Multitask, MultitaskLearner, task_places
from plain_embeddings import embeddings, stored
from plain_inner_loop import reference_logits
from tiny import tiny_episode, tiny_learner

N_CLASSES = 7
BATCH = ImageBatch(
    x=tiny_episode(seed=4, n_way=4, n_shot=3).task.support_x,
    y=torch.tensor([0, 3, 6, 2, 2, 5, 1, 0, 4, 6, 6, 3]),
    n_classes=N_CLASSES,
)


def test_the_multiclass_loss_is_that_of_one_head_over_all_classes() -> None:
    method = Multiclass()
    learner = tiny_learner(method, max_way=N_CLASSES + 2)
    logits = reference_logits(stored(learner), BATCH.x, N_CLASSES)
    surprises = [-logits[i].log_softmax(0)[BATCH.y[i]] for i in range(len(BATCH.y))]
    assert method.batch_loss(learner, BATCH).item() == pytest.approx(sum(surprises).item() / 12, abs=1e-10)  # type: ignore[union-attr]


def test_the_cosine_classifier_sees_angles_alone() -> None:
    method = Multiclass(classifier="cosine", scale_factor=4.0)
    learner = tiny_learner(method, max_way=N_CLASSES)
    assert isinstance(learner.head, CosineHead)
    features = embeddings(learner, BATCH.x)
    loss = method.batch_loss(learner, BATCH).item()
    total = 0.0
    for f, y in zip(features, BATCH.y, strict=True):
        cosines = torch.stack([F.cosine_similarity(f, w, dim=0) for w in learner.head.weight])
        total -= (4 * cosines).log_softmax(0)[y].item()
    assert loss == pytest.approx(total / 12, abs=1e-10)
    with torch.no_grad():
        learner.head.weight *= torch.rand(N_CLASSES, 1) + 0.5
    assert method.batch_loss(learner, BATCH).item() == pytest.approx(loss, abs=1e-12)


def test_the_multitask_loss_counts_an_image_in_every_task_of_its_class() -> None:
    method = Multitask(tasks_per_class=3, n_way=3)
    learner = tiny_learner(method, max_way=N_CLASSES + 3)  # more rows than classes: some heads are not used
    assert isinstance(learner, MultitaskLearner)
    features = embeddings(learner, BATCH.x)
    heads = learner.task_heads
    losses = []
    places = task_places(N_CLASSES, 3, 3)
    for f, y in zip(features, BATCH.y, strict=True):
        for t in range(6):
            if places[y, t] >= 0:
                logits = heads.weight[t] @ f + heads.bias[t]
                losses.append(-logits.log_softmax(0)[places[y, t]])
    assert losses
    found = method.batch_loss(learner, BATCH)
    assert found.item() == pytest.approx(torch.stack(losses).mean().item(), abs=1e-10)
    found.backward()
    assert learner.head.weight.grad is None  # type: ignore[union-attr]
    assert learner.get_parameter("task_heads.weight").grad is not None


def test_the_classes_are_dealt_out_to_the_tasks_of_multitask() -> None:
    places = task_places(23, 5, 4)
    assert places.shape == (23, 25)
    assert [sorted(places[:, t][places[:, t] >= 0].tolist()) for t in range(25)] == [[0, 1, 2, 3]] * 25
    for deal in range(5):  # 20 of the 23 classes have one task each time
        assert sorted((places[:, 5 * deal : 5 * deal + 5] >= 0).sum(1).tolist()) == [0] * 3 + [1] * 20
    assert (places >= 0).any(1).all()
    with pytest.raises(ConfigError, match=r"Multitask\.n_way is 9, but there are 7 training classes"):
        Multitask(n_way=9).check_classes(N_CLASSES)


@pytest.mark.parametrize(
    "method",
    [Multiclass(), Multiclass(classifier="cosine"), Multitask(tasks_per_class=2, n_way=3)],
    ids=["linear", "cosine", "multitask"],
)
def test_the_gradient_of_a_batch_is_that_of_finite_differences(method: Multiclass | Multitask) -> None:
    learner = tiny_learner(method, max_way=N_CLASSES)
    method.batch_loss(learner, BATCH).backward()  # type: ignore[no-untyped-call]
    for name, parameter in learner.named_parameters():
        if parameter.grad is None:
            continue
        place = tuple(int(i) for i in torch.unravel_index(parameter.grad.abs().argmax(), parameter.shape))
        losses = []
        with torch.no_grad():
            for step in (1e-6, -2e-6):
                parameter[place] += step
                losses.append(method.batch_loss(learner, BATCH).item())
            parameter[place] += 1e-6
        assert float(parameter.grad[place]) == pytest.approx(
            (losses[0] - losses[1]) / 2e-6, rel=1e-3, abs=1e-8
        ), name
