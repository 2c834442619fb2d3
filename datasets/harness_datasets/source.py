"""A source that people have in several usual forms: how a dataset plugin finds and reads whichever is there."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from harness.dataset import SPLITS, ClassGroups, ClassImages
from harness.errors import DataError, MissingDataError, named_choices
from harness.parameters import check_choice, check_fields, check_name, check_split, check_whole
from harness.seeds import stream_id

AUTO = "auto"

Rows = npt.NDArray[np.int64]


class RawData(Protocol):
    """The raw data of one source, found on disk in one form. All methods raise DataError for damaged data."""

    @property
    def location(self) -> Path:
        """The file or folder it is in, for messages."""

    def fingerprint(self) -> str:
        """A short text that changes with the content: at most 60 characters."""

    def class_sizes(self, split: str) -> Mapping[str, int]:
        """Class name -> number of images, in class order; empty for a split without classes."""

    def class_groups(self, split: str) -> ClassGroups | None:
        """The groups of the split's classes, None where there are none."""

    def read(self, split: str, wanted: Mapping[str, Rows]) -> Iterator[ClassImages]:
        """Yield, class by class in the order of `wanted`, the images with these (sorted) places in the class.

        In parts of bounded size: uint8 [n, H, W, C] as stored.
        """


Find = Callable[[Path], RawData | None]
"""Looks for one form of a source in a folder of raw data (or at the very file or folder named), None if absent.

It must be quick and open no more than it needs to recognise the form.
"""


@dataclass(frozen=True, kw_only=True)
class RoutedSource(ABC):
    """What the sources on disk share. A subclass says how each form of it is found, in order of preference.

    Args:
        name: the source's name.
        route: the form to read, one of the plugin's routes; "auto" takes the first that is there.
        max_images_per_class: None for all images; otherwise a fixed choice of so many of each larger class.

    Raises ConfigError for a parameter out of range.
    """

    name: str
    route: str = AUTO
    max_images_per_class: int | None = None

    channels: ClassVar[int]
    splits: ClassVar[tuple[str, ...]] = SPLITS
    needs_data: ClassVar[bool] = True
    native_size: ClassVar[int | None] = None
    licence: ClassVar[str]
    how_to_get: ClassVar[str]

    def __post_init__(self) -> None:
        plugin = type(self).__name__
        check_name(plugin, self.name)
        check_fields(self)
        check_choice(f"{plugin}.route", self.route, (AUTO, *self.routes()))
        if self.max_images_per_class is not None:
            check_whole(f"{plugin}.max_images_per_class", self.max_images_per_class, low=2)

    @abstractmethod
    def routes(self) -> Mapping[str, Find]:
        """Name of each form -> how it is found; the preferred one first."""

    def find(self, data_dir: Path | None) -> RawData:
        """The raw data. Raises MissingDataError where none of the forms is there."""
        routes = self.routes()
        wanted = list(routes) if self.route == AUTO else [self.route]
        for route in wanted if data_dir is not None else []:
            found = routes[route](data_dir)  # type: ignore[arg-type]
            if found is not None:
                return found
        looked = (
            f"looked in {data_dir} for the forms {named_choices(wanted)}"
            if data_dir is not None
            else "no folder of raw data was named"
        )
        raise MissingDataError(f"{self.name} is not there: {looked}. {self.how_to_get}{self._fetching()}")

    def _fetching(self) -> str:
        """How TFDS can fetch it, where it can; see `tfds_preparing.FetchedByTfds`."""
        if not hasattr(self, "tfds_builder"):
            return ""
        by_hand = getattr(self, "by_hand", "")
        command = f"harness data prepare {self.name} --download{' --manual-dir ARCHIVES' * bool(by_hand)} --data DIR"
        return f" Or let TFDS {f'prepare {by_hand}' if by_hand else 'fetch it'}: `{command}`."

    def fingerprint(self, data_dir: Path | None) -> str:
        """Of the content that is there; the limit per class is part of it."""
        limit = "" if self.max_images_per_class is None else f"-at-most-{self.max_images_per_class}"
        return self.find(data_dir).fingerprint() + limit

    def class_sizes(self, split: str, data_dir: Path | None) -> Mapping[str, int]:
        """Class name -> number of images, no more than `max_images_per_class`, in class order."""
        check_split(self.name, split, self.splits)
        return {name: self._limited(size) for name, size in self.find(data_dir).class_sizes(split).items()}

    def class_groups(self, split: str, data_dir: Path | None) -> ClassGroups | None:
        """The groups of the split's classes, None where there are none."""
        check_split(self.name, split, self.splits)
        return self.find(data_dir).class_groups(split)

    def read(self, split: str, classes: Sequence[str], data_dir: Path | None) -> Iterator[ClassImages]:
        """Yield the images of `classes`. Raises DataError for a class that the split does not have."""
        check_split(self.name, split, self.splits)
        raw = self.find(data_dir)
        sizes = raw.class_sizes(split)
        unknown = [name for name in classes if name not in sizes]
        if unknown:
            raise DataError(f"Source {self.name!r} has no class {unknown[0]!r} in split {split!r}.")
        yield from raw.read(split, {name: self._chosen(name, sizes[name]) for name in classes})

    def _limited(self, size: int) -> int:
        return size if self.max_images_per_class is None else min(size, self.max_images_per_class)

    def _chosen(self, name: str, size: int) -> Rows:
        """The places of the images that are read, sorted: all, or a choice that only the class's name decides.

        A choice from the whole class, because neighbours on disk can be near copies (frames of one video).
        """
        if self._limited(size) == size:
            return np.arange(size, dtype=np.int64)
        rng = np.random.default_rng([stream_id(f"{self.name}/{name}/images"), size])
        return np.sort(rng.choice(size, self._limited(size), replace=False)).astype(np.int64)
