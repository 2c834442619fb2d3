"""Where a run computes, and how exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import ConfigError
from harness.parameters import check_choice, check_fields

if TYPE_CHECKING:
    from harness.learner import Learner

DEVICES = ("cpu", "cuda")
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class Compute:
    """device: `cpu`, or `cuda` for an NVIDIA GPU, which Ray then gives each run one of.

    precision: `float32`, or `bfloat16` to convolve in bfloat16. Statistics of batch norm, heads, losses and updates
    stay float32 either way. Both are part of a run's identity; rows of different precision are never compared.
    """

    device: str = "cpu"
    precision: str = "float32"

    def __post_init__(self) -> None:
        check_fields(self)
        check_choice("Compute.device", self.device, DEVICES)
        check_choice("Compute.precision", self.precision, PRECISIONS)

    def place(self, learner: Learner) -> Learner:
        """The learner on the device, its convolutions at this precision. Raises ConfigError where there is no GPU."""
        import torch

        from harness.layers import Conv2d

        if self.device == "cuda" and not torch.cuda.is_available():
            raise ConfigError(
                "Compute.device is 'cuda', but PyTorch finds no NVIDIA GPU on this machine. Use one that has a GPU and "
                "PyTorch's CUDA build, or set Compute.device = 'cpu'."
            )
        for module in learner.modules():
            if isinstance(module, Conv2d):
                module.low = self.precision == "bfloat16"
        return learner.to(self.device)
