"""Where a run computes, and how exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import ConfigError
from harness.parameters import check_choice, check_fields, check_whole

if TYPE_CHECKING:
    from torch.nn import Module

    from harness.learner import Learner

DEVICES = ("cpu", "cuda")
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class Compute:
    """Where runs compute, and how exactly.

    device: `cpu`, or `cuda` for an NVIDIA GPU, which Ray then gives each run one of. precision: `float32`, or
    `bfloat16` to convolve in bfloat16.

    Statistics of batch norm, heads, losses and updates stay float32 either way, and on a GPU float32 is not cut to
    TF32. Both are part of a run's identity. Rows have the precision, and those of different precision are never
    compared; of the device, which changes the order of sums only, the spec knows.

    training_workers: shares of each meta-batch, whose gradients are computed at the same time where Ray has room for so
    many workers, each with as much as a run gets. Part of a run's identity, as it changes the order of sums; how many
    workers there are at a time, or whether there is Ray at all, changes nothing.
    """

    device: str = "cpu"
    precision: str = "float32"
    training_workers: int = 1

    def __post_init__(self) -> None:
        check_fields(self)
        if str(self.device).lower().startswith(("gpu", "cuda:")):
            raise ConfigError(
                f"Compute.device is {self.device!r}: an NVIDIA GPU is called 'cuda', without a number; "
                "Ray gives each run one of its own."
            )
        check_choice("Compute.device", self.device, DEVICES)
        check_choice("Compute.precision", self.precision, PRECISIONS)
        check_whole("Compute.training_workers", self.training_workers, low=1)

    def place(self, learner: Learner) -> Learner:
        """The learner on the device, its convolutions at this precision. Raises ConfigError where there is no GPU."""
        import torch

        from harness.layers import Conv2d

        self.check_device()
        if self.device == "cuda":
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.deterministic = True
        self.check_convolutions(learner)
        for module in learner.modules():
            if isinstance(module, Conv2d):
                module.low = self.precision == "bfloat16"
        return learner.to(self.device)

    def check_convolutions(self, network: Module) -> None:
        """Raises ConfigError where the network has convolutions that would not compute at this precision."""
        import torch

        foreign = [type(m).__name__ for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
        if self.precision == "bfloat16" and foreign:
            raise ConfigError(
                f"Compute.precision is 'bfloat16', but this network has convolutions of another kind ({foreign[0]}), "
                "which would stay float32. Build it of harness.layers.Conv2d, or set Compute.precision = 'float32'."
            )

    def check_device(self) -> None:
        """Raises ConfigError where this machine lacks the device."""
        if self.device == "cpu":
            return
        import torch

        if not torch.cuda.is_available():
            raise ConfigError(
                "Compute.device is 'cuda', but PyTorch finds no NVIDIA GPU on this machine. Use one that has a GPU and "
                "PyTorch's CUDA build, or set Compute.device = 'cpu'."
            )
