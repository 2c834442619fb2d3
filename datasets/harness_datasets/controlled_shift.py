"""Another source, moved away from its origin by a dial: how far does what was learned on one reach on the other?"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.dataset import ClassGroups, ClassImages, Dataset, class_groups, native_size
from harness.errors import ConfigError
from harness.parameters import check_choice, check_fields, check_name, check_whole
from harness_datasets.image_shifts import (
    VERSION,
    Pixels,
    blurred,
    inverted,
    noisy,
    permuted,
    recoloured,
    rotated,
)

KINDS = ("permutation", "inversion", "blur", "noise", "colour", "rotation")
GRID = 28


@dataclass(frozen=True, kw_only=True)
class ControlledShift:
    """The classes and splits of `source`, every image shifted in the same way: `@ControlledShift()` around it.

    Args:
        source: the source to shift, for example `@Omniglot()`.
        kind: what is done to the images as they are stored; harness_datasets.image_shifts says it exactly.
            `permutation`: cells of a grid change places. `inversion`: cells of a grid become negatives.
            `blur`: Gaussian, up to a tenth of the side. `noise`: Gaussian, up to 128 grey levels, an image's own.
            `colour`: channels are blended into others. `rotation`: by up to 180 degrees.
        amount: the dial, from 0, the source's very bytes, to 1. Further up, images are never nearer to their
            origin: a larger share, deviation or angle.
        seed: another one draws another permutation, choice of cells, noise or order of channels.
        grid: cells a side of `permutation` and `inversion`; the same on images of every size.
        name: empty for one that says it all, such as `omniglot-permutation-050` at 0.5.
            `dataclasses.replace` keeps the name that was made.

    Raises ConfigError for a parameter out of range, and for `colour` of a grey source.
    """

    source: Dataset
    kind: str = "permutation"
    amount: float = 0.5
    seed: int = 0
    grid: int = GRID
    name: str = ""

    def __post_init__(self) -> None:
        check_fields(self)
        if isinstance(self.source, type) or not isinstance(self.source, Dataset):
            raise ConfigError(
                f"ControlledShift.source must be a source, written for example @Omniglot(); got {self.source!r}."
            )
        check_choice("ControlledShift.kind", self.kind, KINDS)
        if not 0 <= self.amount <= 1:
            raise ConfigError(f"ControlledShift.amount must be a number from 0 to 1; got {self.amount!r}.")
        check_whole("ControlledShift.seed", self.seed, low=0, high=2**31 - 1)
        check_whole("ControlledShift.grid", self.grid, low=2, high=1024)
        if self.kind == "colour" and self.source.channels != 3:
            raise ConfigError(
                f"ControlledShift.kind = 'colour' needs a source of three channels; {self.source.name!r} is grey. "
                "Use another kind, or a source with colour."
            )
        if not self.name:
            object.__setattr__(self, "name", self._own_name())
        check_name("ControlledShift", self.name)

    @property
    def channels(self) -> int:
        """Those of the source."""
        return self.source.channels

    @property
    def splits(self) -> tuple[str, ...]:
        """Those of the source."""
        return self.source.splits

    @property
    def needs_data(self) -> bool:
        """As the source does."""
        return self.source.needs_data

    @property
    def native_size(self) -> int | None:
        """That of the source: no shift changes the size."""
        return native_size(self.source)

    @property
    def write_stand_in(self) -> Callable[[Path], None]:
        """The source's, where it has one."""
        return self.source.write_stand_in  # type: ignore[attr-defined,no-any-return]

    @property
    def download(self) -> Callable[[Path, Path | None], None]:
        """The source's, where it has one."""
        return self.source.download  # type: ignore[attr-defined,no-any-return]

    @property
    def how_to_get(self) -> str:
        """The source's, where it has one."""
        return self.source.how_to_get  # type: ignore[attr-defined,no-any-return]

    def fingerprint(self, data_dir: Path | None) -> str:
        """Of the source's own, and of what the shift makes of a picture: it follows the code that shifts."""
        rng = np.random.default_rng(0)
        picture = rng.integers(0, 256, (1, 37, 41, self.channels)).astype(np.uint8)
        digest = hashlib.sha256(self.source.fingerprint(data_dir).encode())
        digest.update(repr((self.kind, self.amount, self.seed, self.grid)).encode())
        digest.update(self.shifted(picture, "picture", 0).tobytes())
        return f"{VERSION}-{digest.hexdigest()[:16]}"

    def class_sizes(self, split: str, data_dir: Path | None) -> Mapping[str, int]:
        """Those of the source."""
        return self.source.class_sizes(split, data_dir)

    def class_groups(self, split: str, data_dir: Path | None) -> ClassGroups | None:
        """Those of the source."""
        return class_groups(self.source, split, data_dir)

    def read(self, split: str, classes: Sequence[str], data_dir: Path | None) -> Iterator[ClassImages]:
        """Yield what the source yields, shifted."""
        last, first = "", 0
        for name, images in self.source.read(split, classes, data_dir):
            first = first if name == last else 0
            yield name, self.shifted(images, name, first)
            last, first = name, first + len(images)

    def shifted(self, images: Pixels, name: str, first: int) -> Pixels:
        """Images of the class `name`, uint8 [n, H, W, C], the first of them its number `first`."""
        if self.amount == 0 or not len(images):
            return images
        if self.kind == "permutation":
            return permuted(images, self.amount, seed=self.seed, grid=self.grid)
        if self.kind == "inversion":
            return inverted(images, self.amount, seed=self.seed, grid=self.grid)
        if self.kind == "blur":
            return blurred(images, self.amount)
        if self.kind == "noise":
            return noisy(images, self.amount, seed=self.seed, label=name, first=first)
        if self.kind == "colour":
            return recoloured(images, self.amount, seed=self.seed)
        return rotated(images, self.amount)

    def _own_name(self) -> str:
        """The source, the kind and the amount in percent, then what differs from the defaults."""
        whole, _, rest = f"{self.amount * 100:.10g}".partition(".")
        percent = f"{whole:0>3}{'p' * bool(rest)}{rest}"
        seed = f"-s{self.seed}" if self.seed else ""
        grid = f"-g{self.grid}" if self.grid != GRID else ""
        return f"{self.source.name}-{self.kind}-{percent}{seed}{grid}"
