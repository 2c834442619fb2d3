"""A batch of labelled images: what ordinary classification learns from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class ImageBatch:
    """N images of the training classes, numbered source after source.

    `x` [N, C, H, W] float; `y` [N] int64 in 0..n_classes-1, the place of the class among those of all sources.
    """

    x: torch.Tensor
    y: torch.Tensor
    n_classes: int

    @property
    def n_values(self) -> int:
        """Its pixel values."""
        return self.x.numel()
