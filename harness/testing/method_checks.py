"""Whether a method keeps the contract of `harness.method`. Seconds to run, on drawn glyphs."""

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness import plugins
from harness.batch_sequence import BatchSequence
from harness.dataset import Dataset
from harness.episode import Episode, EpisodeShape, VariableShape
from harness.episode_sequence import SourceSequence
from harness.learner import Learner
from harness.method import BatchTrained, EpisodeTrained, Method, Trainable, predicts_batches, trains_on
from harness.networks import Conv4
from harness.plugins import Component
from harness.pools import Pool
from harness.resizing import resize_pixels
from harness.spec import ImageSpec
from harness.testing.checks import Check, frozen_dataclass, loads_elsewhere, require, run_checks
from harness.testing.learning_check import learns
from harness.testing.share_check import shares_add_up
from harness.testing.used_parameters import used_parameters

MAX_WAY = 20
IMAGES = ImageSpec(size=28, channels=1, scaling="unit", resize="antialias")
UPDATES = 60
META_BATCH = 4

MOST_IMAGES = 64
"""Of a batch of a method that trains on batches."""

NOT_TRAINED = "it is not trained"

SIDE_BY_SIDE = 1e-3
"""How far logits may move with the company a task is in, relative to the largest: orders of float32 sums."""


def check_method(method: Any) -> list[Check]:
    """Whether a method keeps the contract of `harness.method.Method`.

    Nothing is raised: each promise is one `Check`, passed or not.
    """
    checks = {
        "attributes": _attributes,
        "frozen dataclass that pickles": _pickles,
        "loss of an update is a finite scalar": _loss,
        "its gradient is finite and reaches what is used, nothing else": _gradient,
        "loss and predict are deterministic": _deterministic,
        "several workers can share an update, or it says why not": _shared,
        "predict gives logits for 2, 5, 20 and varying ways": _ways,
        "predict leaves the learner as it was": _unchanged,
        "tasks side by side get what each gets alone": _side_by_side,
        "order of the labels does not matter": _relabelled,
        "order of the queries does not matter": _reordered,
        "learner survives saving and loading": _state,
        "learns: above chance after a few updates": _learns,
    }
    return run_checks(checks, _Subject(method))


@dataclass(frozen=True)
class _Subject:
    """The method under test, with glyphs to try it on."""

    method: Method

    def learner(self, *, more: int = 0) -> Learner:
        """The same each time; `more`: rows of the head beyond those that a plan would ask for."""
        torch.manual_seed(0)
        return self.method.trainer.init(Conv4(filters=8).build(1, IMAGES.size), self.rows + more)

    @property
    def rows(self) -> int:
        """Of the head: as many as a plan would ask for."""
        classes = len(self.pools["train"].class_sizes)
        return max(MAX_WAY, classes) if trains_on(self.method.trainer) == "batches" else MAX_WAY

    def episode(self, k: int = 0, n_way: int = 5, split: str = "train") -> Episode:
        shape = EpisodeShape(n_way=n_way, n_shot=1, n_query=3)
        return SourceSequence(self.pools[split], shape, IMAGES, seed=0)[k]

    def uneven(self, k: int) -> Episode:
        """Of varying ways and shots, as Meta-Dataset draws them."""
        shape = VariableShape(min_way=3, max_way=8, max_query=3, max_support=40)
        return SourceSequence(self.pools["train"], shape, IMAGES, seed=0)[k]

    @cached_property
    def pools(self) -> dict[str, Pool]:
        return {split: glyph_pool(split) for split in ("train", "test")}

    @property
    def is_trained(self) -> bool:
        return trains_on(self.method.trainer) != "nothing"

    def loss(self, learner: Learner, update: int = 0) -> Tensor:
        """That of one of the updates, each on other images; of a method that is trained."""
        trainer = self.method.trainer
        if isinstance(trainer, BatchTrained):
            batches = BatchSequence(
                [self.pools["train"]], IMAGES, batch_size=min(trainer.batch_size, MOST_IMAGES), seed=0
            )
            return trainer.batch_loss(learner, batches[update])
        assert isinstance(trainer, EpisodeTrained)
        return trainer.outer_loss(learner, [self.episode(update * META_BATCH + k) for k in range(META_BATCH)])


def glyph_pool(split: str) -> Pool:
    """Drawn glyphs, 8 of a class, in memory."""
    dataset: Dataset = plugins.build(
        plugins.DATASETS, Component(plugin="glyphs", params={"n_classes": 100, "images_per_class": 8})
    )
    names = list(dataset.class_sizes(split, None))
    classes = [
        (name, resize_pixels(images, IMAGES.size, IMAGES.resize))
        for name, images in dataset.read(split, names, None)
    ]
    return Pool(
        key="in memory",
        source=dataset.name,
        split=split,
        images=np.concatenate([images for _, images in classes]),
        class_names=tuple(name for name, _ in classes),
        class_sizes=np.array([len(images) for _, images in classes], dtype=np.int64),
        fingerprint="",
        sha256="",
        mean=(0.0,),
        std=(255.0,),
        groups=None,
    )


def _attributes(subject: _Subject) -> str:
    method = subject.method
    require(isinstance(method, Method), f"{type(method).__name__} lacks a member of harness.method.Method")
    require(bool(method.name) and isinstance(method.name, str), f"name is {method.name!r}")
    steps = method.adaptation_steps
    require(
        isinstance(steps, int) and steps >= 0, f"adaptation_steps is {steps!r}, not a whole number from 0"
    )
    trainer = method.trainer
    require(isinstance(trainer, Trainable), f"trainer is {trainer!r}, not a method with a learner")
    return f"{method.name}, trained by {trainer.name} on {trains_on(trainer)}, {steps} steps at test time"


def _pickles(subject: _Subject) -> str:
    said = frozen_dataclass(subject.method)
    loads_elsewhere(subject.method)
    return f"{said}, also in another process"


def _loss(subject: _Subject) -> str:
    if not subject.is_trained:
        return NOT_TRAINED
    loss = subject.loss(subject.learner())
    require(loss.shape == (), f"the loss has shape {tuple(loss.shape)}")
    require(bool(loss.isfinite()), f"the loss is {loss.item()}")
    require(loss.requires_grad, "the loss cannot be differentiated")
    return f"{loss.item():.3f}"


def _gradient(subject: _Subject) -> str:
    if not subject.is_trained:
        return NOT_TRAINED
    learner = subject.learner()
    subject.loss(learner).backward()  # type: ignore[no-untyped-call]
    named = dict(learner.named_parameters())
    gradients = {name: p.grad for name, p in named.items() if p.grad is not None}
    require(bool(gradients), "no parameter has a gradient")
    require(all(bool(g.isfinite().all()) for g in gradients.values()), "a gradient is not finite")
    reached = {name for name, g in gradients.items() if bool(g.abs().max() > 0)}
    require(bool(reached), "every gradient is zero")
    body = {name for name in named if name.startswith("body.")}
    require(bool(body & reached), "no gradient reaches the body: nothing but the head would be trained")
    trainer = subject.method.trainer
    predictor = trainer if isinstance(trainer, Method) else subject.method
    used = used_parameters(predictor, subject.learner(), subject.episode().task)
    missed = sorted(used - reached)
    require(not missed, f"no gradient reaches {_some(missed)}, which predictions depend on")
    idle = sorted(reached - used)
    # A training on batches has heads of its own, which read-outs do without.
    in_vain = idle and trains_on(trainer) == "episodes"
    require(not in_vain, f"gradients reach {_some(idle)}, on which no prediction depends")
    left = sorted(set(named) - reached)
    return f"{len(reached)} of {len(named)} parameters{f'; as drawn stay {_some(left)}' if left else ''}"


def _some(names: list[str]) -> str:
    return f"{', '.join(names[:3])}{' and others' * (len(names) > 3)}"


def _shared(subject: _Subject) -> str:
    episodes = [subject.episode(k) for k in range(META_BATCH + 1)]
    return shares_add_up(subject.method, subject.learner, episodes, 2)


def _deterministic(subject: _Subject) -> str:
    results = []
    for _ in range(2):
        learner = subject.learner()
        torch.manual_seed(1)
        loss = subject.loss(learner).detach() if subject.is_trained else torch.zeros(())
        torch.manual_seed(1)
        results.append((loss, subject.method.predict(learner, subject.episode().task).detach()))
    require(torch.equal(results[0][0], results[1][0]), "the same loss computed twice differs")
    require(torch.equal(results[0][1], results[1][1]), "the same prediction made twice differs")
    return "bit for bit"


def _ways(subject: _Subject) -> str:
    learner = subject.learner()
    for n_way in (2, 5, MAX_WAY):
        episode = subject.episode(n_way=n_way)
        logits = subject.method.predict(learner, episode.task)
        expected = (len(episode.query_y), n_way)
        require(logits.shape == expected, f"{n_way} ways: shape {tuple(logits.shape)}, not {expected}")
        require(bool(logits.isfinite().all()), f"{n_way} ways: logits are not finite")
    uneven = [subject.uneven(k) for k in range(3)]
    for episode in uneven:
        logits = subject.method.predict(learner, episode.task)
        expected = (len(episode.query_y), episode.task.n_way)
        require(logits.shape == expected, f"varying shots: shape {tuple(logits.shape)}, not {expected}")
        require(bool(logits.isfinite().all()), "varying shots: logits are not finite")
    trainer = subject.method.trainer
    if isinstance(trainer, EpisodeTrained):
        loss = trainer.outer_loss(learner, uneven)
        require(loss.shape == () and bool(loss.isfinite()), f"the loss of episodes of varying size is {loss}")
    return f"up to {MAX_WAY}, and of varying size"


def _side_by_side(subject: _Subject) -> str:
    method = subject.method
    if not predicts_batches(method):
        return "predicts one at a time"
    learner = subject.learner().eval()
    tasks = [subject.episode(k).task for k in range(3)]
    together = method.predict_batch(learner, tasks).detach()
    alone = torch.stack([method.predict(learner, task).detach() for task in tasks])
    require(
        together.shape == alone.shape, f"shape {tuple(together.shape)} together, {tuple(alone.shape)} alone"
    )
    apart = float((together - alone).abs().max() / alone.abs().max())
    require(apart < SIDE_BY_SIDE, f"logits differ by {apart:.1e} of the largest")
    return f"{len(tasks)} tasks"


def _unchanged(subject: _Subject) -> str:
    learner = subject.learner().eval()
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    subject.method.predict(learner, subject.episode().task)
    changed = [name for name, value in learner.state_dict().items() if not torch.equal(value, before[name])]
    require(not changed, f"predict changed {changed}")
    grown = [name for name, parameter in learner.named_parameters() if parameter.grad is not None]
    require(not grown, f"predict left gradients in {grown}")
    return f"{len(before)} tensors"


def _relabelled(subject: _Subject) -> str:
    """Renaming the classes, in the task and where the learner keeps a row for each, renames the logits."""
    learner, task = subject.learner(), subject.episode().task
    logits = subject.method.predict(learner, task)
    order = torch.tensor([3, 0, 4, 1, 2])
    rows = torch.cat([order, torch.arange(len(order), subject.rows)])
    with torch.no_grad():
        for parameter in _of_classes(subject, learner):
            parameter[rows] = parameter.clone()
    renamed = subject.method.predict(learner, dataclasses.replace(task, support_y=order[task.support_y]))
    require(torch.allclose(renamed[:, order], logits, atol=1e-4), "renaming the classes changes the logits")
    return "logits follow the names"


def _of_classes(subject: _Subject, learner: Learner) -> list[Tensor]:
    """Parameters with a row a class: those that a learner of more classes has longer. Others may be as long, too."""
    larger = dict(subject.learner(more=1).named_parameters())
    return [p for name, p in learner.named_parameters() if p.ndim and len(larger[name]) == len(p) + 1]


def _reordered(subject: _Subject) -> str:
    """Each query is answered for itself or in any company, but not by its place."""
    learner, task = subject.learner(), subject.episode().task
    torch.manual_seed(1)
    logits = subject.method.predict(learner, task)
    order = torch.randperm(len(task.query_x), generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    other = subject.method.predict(learner, dataclasses.replace(task, query_x=task.query_x[order]))
    apart = float((other - logits[order]).abs().max() / logits.abs().max())
    require(
        apart < SIDE_BY_SIDE, f"queries in another order get logits that differ by {apart:.1e} of the largest"
    )
    return "logits follow the queries"


def _state(subject: _Subject) -> str:
    """With what an update has left in the learner, which a resumed training must find again."""
    learner = subject.learner()
    if subject.is_trained:
        subject.loss(learner.train())
    task = subject.episode().task
    other = subject.method.trainer.init(Conv4(filters=8).build(1, IMAGES.size), subject.rows)
    other.load_state_dict(learner.state_dict())
    same = torch.equal(subject.method.predict(learner, task), subject.method.predict(other, task))
    require(same, "a learner with the loaded state predicts otherwise: state is kept outside state_dict")
    return f"{len(learner.state_dict())} tensors"


def _learns(subject: _Subject) -> str:
    updates = UPDATES if subject.is_trained else 0
    unseen = [subject.episode(k, split="test") for k in range(100)]
    return learns(subject.method, subject.learner(), subject.loss, updates, unseen)
