"""Whether an outer loss is a mean over episodes, so that several workers can share an update."""

from collections.abc import Callable, Sequence

import torch

from harness.episode import Episode
from harness.learner import Learner
from harness.method import EpisodeTrained, Method
from harness.shares import ShareSum, share_sizes
from harness.testing.checks import require

APART = 1e-3
"""How far gradients may be apart, relative to the largest: orders of float32 sums."""


def shares_add_up(
    method: Method, learner: Callable[[], Learner], episodes: Sequence[Episode], n_shares: int
) -> str:
    """What was found, where the shares' gradients add up to the whole's; `learner` makes a fresh one, always the same.

    Raises BrokenError where they do not, and ConfigError as `ShareSum` does.
    """
    trainer = method.trainer
    if not isinstance(trainer, EpisodeTrained):
        return "it is not trained on episodes"
    if reason := getattr(trainer, "unshared", ""):
        return f"refused, as it {reason}"
    whole, shared = learner().train(), learner().train()
    trainer.outer_loss(whole, episodes).backward()  # type: ignore[no-untyped-call]
    sums, vectors, begin = ShareSum(shared), [], 0
    for size in share_sizes(len(episodes), n_shares):
        part = episodes[begin : begin + size]
        vectors.append(sums.share(trainer.outer_loss, part, size / len(episodes)))
        begin += size
    sums.take(vectors)
    pairs = list(zip(whole.parameters(), shared.parameters(), strict=True))
    largest = max(float(one.grad.abs().max()) for one, _ in pairs if one.grad is not None)
    apart = max(float((_gradient(one) - _gradient(other)).abs().max()) for one, other in pairs)
    require(
        apart <= APART * largest,
        f"the gradients of {n_shares} shares of a meta-batch add up to another than the whole's, by "
        f"{apart / largest:.1e} of the largest: the loss is no mean over tasks. Say why in `unshared`",
    )
    for name in sorted(whole.mean_buffers):
        _same_mean(name, whole.get_buffer(name), shared.get_buffer(name))
    return f"{n_shares} shares"


def _same_mean(name: str, whole: torch.Tensor, shared: torch.Tensor) -> None:
    apart, largest = float((whole - shared).abs().max()), float(whole.abs().max())
    require(
        apart <= APART * largest,
        f"the buffer {name} is one of `mean_buffers`, but of shares of a meta-batch its mean is another than of the "
        f"whole, by {apart:.1e} where the largest is {largest:.1e}: it is no mean over episodes",
    )


def _gradient(parameter: torch.nn.Parameter) -> torch.Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
