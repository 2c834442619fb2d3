"""Do the two implementations compute the same thing? Asked before anything is timed.

In float64, at the rates that are timed, outer losses, outer gradients and logits must agree to EXACT. In float32 a
single ReLU or maximum that rounding tips over changes the outer gradient, whoever computes it; five steps of MAML on
untrained weights make tens of per cent of that. So the rates are smaller there (CALM of theirs), and the median of
some episodes must be CLOSE. Where nothing is tipped over, both are within 1e-5 of float64. Leaving out the second
order changes the gradients by 0.2 and more at these rates.
"""

from dataclasses import dataclass, replace
from statistics import median

import torch

from speed.contestants import CONTESTANTS, Outcome
from speed.settings import Case, Setting

EXACT = 1e-9
CLOSE = 0.1
CLOSE_LOSS = 1e-3
CALM = 0.1
CALM_SEEDS = (1, 2, 3)


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Relative distances of a case's outcomes, all gradients or logits as one vector.

    exact: ours from the usual, float64. close: the same in float32, at the calmer rate, the median of single
    tasks. ours, usual: likewise float32 from the usual in float64: how exact each is.
    """

    case: Case
    exact: float
    loss: float
    close: float
    close_loss: float
    ours: float
    usual: float

    @property
    def holds(self) -> bool:
        """Whether both compute the same; nan never does."""
        exact = self.exact <= EXACT and self.loss <= EXACT
        return exact and self.close <= CLOSE and self.close_loss <= CLOSE_LOSS


def reduced(setting: Setting) -> Setting:
    """The setting with as few images as show a difference: two tasks, at most two shots, one query a class."""
    return replace(setting, tasks=2, n_shot=min(setting.n_shot, 2), n_query=1)


def compare(case: Case) -> Agreement:
    """Run the case both ways, in float64 and in float32."""
    ours, usual = (CONTESTANTS[who](case, torch.float64)[1]() for who in ("ours", "usual"))
    close: dict[str, list[float]] = {"close": [], "close_loss": [], "ours": [], "usual": []}
    calm = replace(case.setting, inner_lr=CALM * case.setting.inner_lr, tasks=1)
    for seed in CALM_SEEDS:
        single = replace(case, setting=calm)
        reference = CONTESTANTS["usual"](single, torch.float64, seed)[1]()
        found = {who: CONTESTANTS[who](single, torch.float32, seed)[1]() for who in ("ours", "usual")}
        close["close"].append(distance(found["ours"], found["usual"]))
        close["close_loss"].append(loss_distance(found["ours"], found["usual"]))
        for who, outcome in found.items():
            close[who].append(distance(outcome, reference))
    medians = {name: median(values) for name, values in close.items()}
    return Agreement(case=case, exact=distance(ours, usual), loss=loss_distance(ours, usual), **medians)


def distance(found: Outcome, reference: Outcome) -> float:
    """Of all gradients, or of the logits: |found - reference| / |reference|."""
    if set(found) != set(reference):
        raise ValueError(f"Not the same outcomes: {sorted(found)} and {sorted(reference)}.")
    names = [name for name in reference if name != "loss"]
    first, second = (torch.cat([o[name].double().flatten() for name in names]) for o in (found, reference))
    return float((first - second).norm() / second.norm())


def loss_distance(found: Outcome, reference: Outcome) -> float:
    """The relative distance of the outer losses, 0 at test."""
    if "loss" not in reference:
        return 0.0
    return abs(float(found["loss"] / reference["loss"]) - 1)
