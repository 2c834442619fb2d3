"""What is timed: the paper's settings, and the cases in each of them."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from harness.episode import Episode, Task
from harness.learner import Learner
from harness.method import Method
from harness.networks import Conv4
from harness_methods.anil import ANIL
from harness_methods.maml import MAML
from harness_methods.nil import NIL

MethodName = Literal["MAML", "first-order MAML", "ANIL", "NIL"]
Phase = Literal["training", "test"]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A network, an episode shape and an inner loop. `inner_lr` is for a mean over the support set."""

    name: str
    filters: int
    downsample: str
    readout: str
    image_size: int
    channels: int
    n_way: int
    n_shot: int
    n_query: int
    tasks: int
    inner_lr: float
    inner_steps: int = 5
    test_inner_steps: int = 10

    @property
    def support(self) -> int:
        """Support images of a task."""
        return self.n_way * self.n_shot

    @property
    def query(self) -> int:
        """Query images of a task."""
        return self.n_way * self.n_query

    @property
    def pooled(self) -> bool:
        """Whether blocks halve the image by pooling and not by a stride."""
        return self.downsample == "max_pool"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One line of the table: what a method does in one iteration of training, or with one test episode."""

    setting: Setting
    method: MethodName
    phase: Phase

    @property
    def tasks(self) -> int:
        """How many tasks one call deals with."""
        return self.setting.tasks if self.phase == "training" else EPISODES

    @property
    def name(self) -> str:
        """As the table calls it."""
        return f"{self.method}, {self.phase}"

    @property
    def second_order(self) -> bool:
        """Whether the outer gradient goes through the inner gradients."""
        return self.method != "first-order MAML"


EPISODES = 8
"""How many test episodes one call predicts: evaluation has a long row of them."""

OMNIGLOT = Setting(
    name="Omniglot 20-way 1-shot, 1 query",
    filters=64,
    downsample="stride",
    readout="mean",
    image_size=28,
    channels=1,
    n_way=20,
    n_shot=1,
    n_query=1,
    tasks=16,
    inner_lr=2.0,
)
MINIIMAGENET = Setting(
    name="miniImageNet 5-way 1-shot, 15 queries",
    filters=32,
    downsample="max_pool",
    readout="flatten",
    image_size=84,
    channels=3,
    n_way=5,
    n_shot=1,
    n_query=15,
    tasks=4,
    inner_lr=0.05,
)
SETTINGS = (
    OMNIGLOT,
    replace(OMNIGLOT, name="Omniglot 20-way 1-shot, 15 queries", n_query=15),
    MINIIMAGENET,
    replace(MINIIMAGENET, name="miniImageNet 5-way 5-shot, 15 queries", n_shot=5),
)
"""Those of the ANIL paper (arXiv 1909.09157), whose code took as many queries as shots on Omniglot; with 15
queries a class, as on miniImageNet and in most later work, the queries are most of the computation."""

KINDS: tuple[tuple[MethodName, Phase], ...] = (
    ("MAML", "training"),
    ("first-order MAML", "training"),
    ("ANIL", "training"),
    ("MAML", "test"),
    ("ANIL", "test"),
    ("NIL", "test"),
)


def cases(setting: Setting) -> list[Case]:
    """The lines of a setting. NIL trains as ANIL does, first-order MAML adapts at test as MAML does."""
    return [Case(setting=setting, method=method, phase=phase) for method, phase in KINDS]


def method_of(case: Case) -> Method:
    """The method as a gin file would set it."""
    setting = case.setting
    if case.method == "NIL":
        return NIL()
    kind = ANIL if case.method == "ANIL" else MAML
    return kind(
        inner_lr=setting.inner_lr,
        inner_steps=setting.inner_steps,
        test_inner_steps=setting.test_inner_steps,
        first_order=not case.second_order,
    )


def learner_of(case: Case, dtype: torch.dtype) -> Learner:
    """The same drawn weights in every process; the offsets of batch norm are drawn too, to be compared."""
    setting = case.setting
    network = Conv4(filters=setting.filters, downsample=setting.downsample, readout=setting.readout)
    torch.manual_seed(0)
    learner = method_of(case).trainer.init(network.build(setting.channels, setting.image_size), setting.n_way)
    with torch.no_grad():
        for name, parameter in learner.named_parameters():
            if name.endswith("norm.bias"):
                parameter.normal_(std=0.1)
    return learner.to(dtype)


def meta_batch(case: Case, dtype: torch.dtype, seed: int) -> list[Episode]:
    """Episodes of random images, as many as one call deals with; each class has a pattern of its own."""
    generator = torch.Generator().manual_seed(seed)
    return [_episode(case.setting, index, generator, dtype) for index in range(case.tasks)]


def _episode(setting: Setting, index: int, generator: torch.Generator, dtype: torch.dtype) -> Episode:
    shape = (setting.image_size, setting.image_size, setting.channels)
    patterns = torch.rand(setting.n_way, *shape, generator=generator, dtype=torch.float64)

    def images(each: int) -> Tensor:
        noise = torch.rand(setting.n_way * each, *shape, generator=generator, dtype=torch.float64)
        mixed = (noise + patterns.repeat_interleave(each, 0)) / 2
        return mixed.to(dtype).permute(0, 3, 1, 2)  # channels last in memory, as pools give them

    labels = torch.arange(setting.n_way)
    return Episode(
        task=Task(
            support_x=images(setting.n_shot),
            support_y=labels.repeat_interleave(setting.n_shot),
            query_x=images(setting.n_query),
            n_way=setting.n_way,
        ),
        query_y=labels.repeat_interleave(setting.n_query),
        source="random",
        classes=tuple(range(setting.n_way)),
        index=index,
    )
