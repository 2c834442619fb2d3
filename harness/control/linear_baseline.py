"""The linear feature baseline (Duan et al. 2016): what a state is worth, from its observation and the time."""

import torch
from torch import Tensor

TIME_UNIT = 100.0
ATTEMPTS = 5


def baseline_features(observations: Tensor, mask: Tensor) -> Tensor:
    """[o, o², t, t², t³, 1] in float64, t in hundreds of steps from 0.01: [T, N, H, O] -> [T, N, H, 2 O + 4].

    All are 0 where `mask` [T, N, H] is.
    """
    o = observations.double()
    steps = torch.arange(1, o.shape[2] + 1, dtype=torch.float64, device=o.device) / TIME_UNIT
    t = steps.view(1, 1, -1, 1).expand(*o.shape[:3], 1)
    features = torch.cat([o, o.square(), t, t.square(), t**3, torch.ones_like(t)], dim=-1)
    return features * mask.unsqueeze(-1)


def fitted_values(observations: Tensor, returns: Tensor, mask: Tensor, *, regularisation: float) -> Tensor:
    """V(s) of each step [T, N, H], by least squares on each task's own discounted returns.

    Solves (FᵀF + λ I) w = Fᵀ R in float64, with ten times the λ, up to five times, where the solution is not finite.
    """
    features = baseline_features(observations, mask).flatten(1, 2)
    targets = (returns.double() * mask).flatten(1).unsqueeze(-1)
    square, product = features.mT @ features, features.mT @ targets
    identity = torch.eye(square.shape[-1], dtype=torch.float64, device=square.device)
    weights = torch.zeros_like(product)
    for attempt in range(ATTEMPTS):
        weights, failures = torch.linalg.solve_ex(square + regularisation * 10**attempt * identity, product)
        if not failures.any() and weights.isfinite().all():
            break
    return (features @ weights.nan_to_num(0.0, 0.0, 0.0)).view(returns.shape).to(returns.dtype)
