"""Rows of a pool -> images as a network takes them, augmented if asked."""

from torch import Tensor

from harness.augmentation import Augmentation, augment
from harness.device_pixels import DevicePool
from harness.pixels import scaled_ends, to_tensor
from harness.pools import Pool
from harness.sampling import IntArray
from harness.spec import ImageSpec


class PoolTensors:
    """The images of one pool.

    augmentation: None for none. device: where the tensors are. Away from the CPU they are made there, unless they are
    augmented.
    """

    def __init__(
        self, pool: Pool, images: ImageSpec, *, augmentation: Augmentation | None, seed: int, device: str
    ) -> None:
        self._pool, self._images, self._augmentation = pool, images, augmentation
        self._seed, self._device = seed, device
        self._on_device = DevicePool(pool, images, device) if device != "cpu" and not augmentation else None

    def read(self, rows: IntArray, stream: str) -> Tensor:
        """Images [n, channels, size, size], channels last in memory; `stream` names the draws of the augmentation."""
        if self._on_device is not None:
            return self._on_device[rows]
        pool = self._pool
        x = to_tensor(pool.images[rows], self._images, mean=pool.mean, std=pool.std)
        if self._augmentation is None:
            return x
        ends = scaled_ends(self._images, mean=pool.mean, std=pool.std)
        augmented = augment(x, self._augmentation, ends=ends, seed=self._seed, stream=stream)
        return augmented.to(self._device)
