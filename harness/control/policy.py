"""A policy: a learner that gives, in place of logits, a normal distribution over actions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from harness.control.policy_network import MLP
from harness.layers import Head, Statistics
from harness.learner import Learner, Weights
from harness.seeds import seed_torch

if TYPE_CHECKING:
    from harness.control.source import ControlSource
    from harness.inner_loop_method import InnerLoopMethod
    from harness.networks import Body

LOG_STD = "head.log_std"


@dataclass(frozen=True, kw_only=True)
class Gaussian:
    """Independent normal distributions: mean [T, N, A], log_std [T, 1, A] (which no observation changes)."""

    mean: Tensor
    log_std: Tensor

    def log_prob(self, actions: Tensor) -> Tensor:
        """The logarithm of the density of actions [T, N, A]: [T, N]."""
        z = (actions - self.mean) * torch.exp(-self.log_std)
        return -0.5 * z.square().sum(-1) - self.log_std.sum(-1) - 0.5 * math.log(2 * math.pi) * z.shape[-1]

    def kl_to(self, other: Gaussian) -> Tensor:
        """KL(self ‖ other) for each observation: [T, N]."""
        ratio = torch.exp(2 * (self.log_std - other.log_std))
        distance = (self.mean - other.mean).square() * torch.exp(-2 * other.log_std)
        return (other.log_std - self.log_std + 0.5 * (ratio + distance - 1)).sum(-1)

    def detach(self) -> Gaussian:
        """The same without a graph."""
        return Gaussian(mean=self.mean.detach(), log_std=self.log_std.detach())


class GaussianHead(Head):
    """The last layer: the mean of the actions, linear in the features, and their log standard deviation, which is free.

    The spread belongs to the head: whoever adapts the head adapts both.
    """

    def __init__(self, features: int, action_size: int, initial_std: float) -> None:
        super().__init__(features, action_size)
        nn.init.xavier_uniform_(self.weight)
        nn.init.zeros_(self.bias)
        self.log_std = nn.Parameter(torch.full((action_size,), math.log(initial_std)))


class Policy(Learner):
    """A body, and a head that is a distribution over actions."""

    def __init__(self, body: Body, action_size: int, *, initial_std: float = 1.0, min_std: float = 1e-6):
        super().__init__(body, action_size)
        self.head = GaussianHead(body.out_features, action_size, initial_std)
        self.action_size, self._lowest = action_size, math.log(min_std)

    def shared(self, tasks: int) -> Weights:
        """The stored parameters of all layers, the same for each of T tasks, [T, ...] each."""
        stored = self.adaptable(self.layers)
        return {name: parameter.expand(tasks, *parameter.shape) for name, parameter in stored.items()}

    def actions(self, weights: Weights, observations: Tensor) -> Gaussian:
        """The distribution for observations [T, N, O], where task t uses `weights[name][t]` for `name`."""
        whole = {**self.shared(len(observations)), **weights}
        mean = self.logits(whole, self.features(whole, observations, Statistics("batch")), self.action_size)
        return Gaussian(mean=mean, log_std=self.log_std(whole))

    def log_std(self, weights: Weights) -> Tensor:
        """Of each task's actions, [T, 1, A], never below the least allowed."""
        return weights[LOG_STD].clamp(min=self._lowest).unsqueeze(1)


def fresh_policy(network: MLP, method: InnerLoopMethod, source: ControlSource, *, seed: int) -> Policy:
    """The policy before its first update: pure in the arguments."""
    seed_torch(seed, "init")
    body = network.build_body(source.observation_size)
    policy = Policy(body, source.action_size, initial_std=network.initial_std, min_std=network.min_std)
    method.prepare(policy)
    return policy
