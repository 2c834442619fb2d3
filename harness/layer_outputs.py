"""What each layer of a network gives for some images, under given weights and by the body's batch-norm policy.

What normalises images that are in neither support nor query set, as the spare images of a probe:

    transductive   these images' own statistics, as for queries: the value depends on which images go together
    support        the statistics of the task's support set under the same weights
    running        the averages kept during training
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from harness.layers import Statistics
from harness.learner import HEAD, Learner, Weights, layer_of, support_statistics
from harness.measured import Measured, relative, undefined
from harness.task_batch import TaskBatch

NO_IMAGES = "The episode has no spare images."


@torch.no_grad()
def layer_outputs(
    learner: Learner, weights: Weights, batch: TaskBatch, x: Tensor
) -> Iterator[tuple[str, Tensor]]:
    """(layer, its output) for images `x` [T, N, C, H, W] of the tasks in `batch`, input side first, one at a time.

    A body layer's output is [T, N, C', H', W']; the head's, which comes last, the logits [T, N, n_way]. Task t uses
    `weights[name][t]` in place of the stored parameter `name`.
    """
    by_support = learner.body.batch_norm == "support"
    statistics = support_statistics(learner, training=False)
    support = batch.support_x
    for i, layer in enumerate(learner.body.layers):
        if by_support:
            statistics = Statistics("record")
            support = learner.features(weights, support, statistics, i, i + 1)
            statistics = statistics.replay()
        x = learner.features(weights, x, statistics, i, i + 1)
        yield layer, x
    features = learner.features(weights, x, statistics, len(learner.body.layers))  # the read-out alone
    yield HEAD, learner.logits(weights, features, batch.n_way)


@torch.no_grad()
def paired_outputs(
    learner: Learner, before: Weights, after: Weights, batch: TaskBatch, x: Tensor
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """(layer, output under `before`, output under `after`) of the layers that `after` can change.

    These are its lowest layer and all above; below it the outputs are the same.
    """
    first = first_changed(learner, after)
    both = zip(layer_outputs(learner, before, batch, x), layer_outputs(learner, after, batch, x), strict=True)
    for place, ((layer, old), (_, new)) in enumerate(both):
        if place >= first:
            yield layer, old, new


def first_changed(learner: Learner, weights: Weights) -> int:
    """The place among the learner's layers of the lowest one that `weights` has parameters of."""
    changed = {layer_of(name) for name in weights}
    return next((i for i, layer in enumerate(learner.layers) if layer in changed), len(learner.layers))


@torch.no_grad()
def function_changes(
    learner: Learner, path: Sequence[Weights], batch: TaskBatch, x: Tensor
) -> Iterator[tuple[int, str, Measured]]:
    """(place in `path` from 1, layer, ‖f_k(x) - f_0(x)‖ / ‖f_0(x)‖) for images `x` [1, N, C, H, W] of one task.

    f_k(x) is the layer's output under `path[k]`, all its values one vector; of the layers from the lowest adapted one
    upwards. Undefined where f_0(x) is all zero, and for no images.
    """
    layers = learner.layers[first_changed(learner, path[0]) :]
    if not x.shape[1]:
        for step in range(1, len(path)):
            yield from ((step, layer, undefined(NO_IMAGES)) for layer in layers)
        return
    origin = dict(layer_outputs(learner, path[0], batch, x))
    for step, weights in enumerate(path[1:], start=1):
        for layer, output in layer_outputs(learner, weights, batch, x):
            if layer in layers:
                change = output.double() - origin[layer].double()
                yield step, layer, relative(float(change.norm()), float(origin[layer].double().norm()))
