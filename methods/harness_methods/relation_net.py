"""Relation Networks: Sung et al. 2018, "Learning to compare" (arXiv 1711.06025), section 3."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.embedding_method import EmbeddingMethod
from harness.episode import Episode
from harness.layers import ConvBlock, Statistics
from harness.learner import Learner, support_statistics
from harness.networks import Body
from harness.parameters import check_choice, check_whole
from harness.task_batch import TaskBatch, equal_shapes

EPSILON = 1e-5
SUM, MEAN = "sum", "mean"
TRIAL_SIDE = 64
"""Pixels of the image that shows how many channels a body's last stage has."""


class RelationLearner(Learner):
    """A learner with the relation module: two convolution blocks and two linear layers, which score a pair of maps."""

    def __init__(self, body: Body, max_way: int, filters: int, hidden: int) -> None:
        super().__init__(body, max_way)
        channels = _channels(body)
        self.block1, self.block2 = (
            ConvBlock(size, filters, stride=1, pool=False, scale=True, epsilon=EPSILON)
            for size in (2 * channels, filters)
        )
        self.first, self.second = nn.Linear(filters, hidden), nn.Linear(hidden, 1)

    def maps(self, x: Tensor, statistics: Statistics) -> Tensor:
        """What the last stage gives for images, [T, N, C, H, W], before the read-out."""
        return self.features({}, x, statistics, 0, len(self.body.layers))

    def relation(self, classes: Tensor, maps: Tensor, statistics: Statistics) -> Tensor:
        """Scores 0..1 [T, N, n_way] of maps [T, N, C, H, W] with each class's [T, n_way, C, H, W]."""
        tasks, images, ways = *maps.shape[:2], classes.shape[1]
        left = classes[:, None].expand(-1, images, -1, -1, -1, -1)
        right = maps[:, :, None].expand(-1, -1, ways, -1, -1, -1)
        x = torch.cat([left, right], dim=3).flatten(1, 2)
        for block in (self.block1, self.block2):
            x = block(x, statistics)
            if min(x.shape[-2:]) > 1:
                halved = F.max_pool2d(x.flatten(0, 1), 2)
                x = halved.view(*x.shape[:2], *halved.shape[1:])
        scores: Tensor = self.second(F.relu(self.first(x.mean(dim=(3, 4)))))
        return scores.sigmoid().view(tasks, images, ways)


@dataclass(frozen=True, kw_only=True)
class RelationNet(EmbeddingMethod):
    """Score each query with each class by a learned module, trained on squared errors (equations 1 and 2).

    A class's map is the sum of its support images' (section 3.2), the module sees it beside the query's. Where the
    paper flattens the module's last map, its spatial mean is taken, so that images of any size will do; maps of a
    single position are not pooled. Under the batch-norm policy `support` the module is normalised by the support
    images' pairs.

    class_map: `sum`, which suits the number of shots of the training alone, or as in Meta-Dataset's code `mean`, which
    suits any. filters, hidden: of the module's convolutions and of its first linear layer.
    """

    name: str = "relation_net"
    class_map: str = SUM
    filters: int = 64
    hidden: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("RelationNet.class_map", self.class_map, (SUM, MEAN))
        check_whole("RelationNet.filters", self.filters, low=1)
        check_whole("RelationNet.hidden", self.hidden, low=1)

    def init(self, body: Body, max_way: int) -> RelationLearner:
        """A learner with the relation module."""
        return RelationLearner(body, max_way, self.filters, self.hidden)

    def outer_loss(self, learner: Learner, episodes: Sequence[Episode]) -> Tensor:
        """Mean over tasks of the mean squared error of the scores."""
        losses = []
        for batch, query_y in equal_shapes(episodes, learner.tasks_at_once):
            scores = self.logits(learner, batch, training=True)
            targets = F.one_hot(query_y, batch.n_way).to(scores.dtype)
            losses.append((scores - targets).square().mean(dim=(1, 2)))
        return torch.cat(losses).mean()

    def logits(self, learner: Learner, batch: TaskBatch, *, training: bool) -> Tensor:
        """The scores stand for logits: their order is all that a prediction needs."""
        assert isinstance(learner, RelationLearner)
        by_support = learner.body.batch_norm == "support"
        seen = Statistics("record") if by_support else support_statistics(learner, training=training)
        support = learner.maps(batch.support_x, seen)
        query = learner.maps(batch.query_x, seen.replay() if by_support else seen)
        members = F.one_hot(batch.support_y, batch.n_way).to(support.dtype)
        if self.class_map == MEAN:
            members = members / members.sum(1, keepdim=True)
        classes = torch.einsum("tsk,tschw->tkchw", members, support)
        if by_support:
            learner.relation(classes, support, seen)
            seen = seen.replay()
        return learner.relation(classes, query, seen)


@torch.no_grad()
def _channels(body: Body) -> int:
    """C of the last stage's maps."""
    first = next(p for p in body.parameters() if p.ndim == 4)
    image = first.new_zeros(1, 1, first.shape[1], TRIAL_SIDE, TRIAL_SIDE)
    with torch.random.fork_rng():
        return int(body(image, Statistics("batch"), 0, len(body.layers)).shape[2])
