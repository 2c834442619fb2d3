"""Whether a source keeps the contract of `harness.dataset`."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from harness.dataset import GROUP_KINDS, SPLITS, ClassImages, Dataset, class_groups, native_size
from harness.errors import DataError
from harness.testing.checks import BrokenError, Check, frozen_dataclass, require, run_checks


def check_dataset(dataset: Any, data_dir: Path | None) -> list[Check]:
    """Whether a source keeps the contract of `harness.dataset.Dataset`.

    Every split is read twice, a part of a class at a time. Nothing is raised: each promise is one `Check`,
    passed or not.
    """
    checks = {
        "attributes": _attributes,
        "frozen dataclass that pickles": lambda subject: frozen_dataclass(subject.dataset),
        "fingerprint is stable": _fingerprint,
        "splits share no class": _disjoint,
        "unknown split is a DataError": _unknown_split,
        "missing raw data is a DataError": _missing_data,
        "read agrees with class_sizes": _counts,
        "images are uint8 in full range": _images,
        "some classes are read alone, in order": _some_classes,
        "groups name classes of the split": _groups,
        "reading twice gives the same bytes": _repeats,
        "splits share no image": _no_shared_images,
    }
    return run_checks(checks, _Subject(dataset, data_dir))


@dataclass(frozen=True, kw_only=True)
class _Survey:
    """What one reading of a split found.

    classes: name and number of images of each, in the order read. content: class -> digest of its pixels, in
    however many parts they came. images: digests of those that are not all one colour.
    """

    classes: tuple[tuple[str, int], ...]
    content: Mapping[str, str]
    kinds: frozenset[tuple[str, tuple[int, ...]]]
    darkest: int
    brightest: int
    images: frozenset[bytes]


@dataclass(frozen=True)
class _Subject:
    """The source under test and how to read it."""

    dataset: Dataset
    data_dir: Path | None

    def read(self, split: str, classes: Sequence[str] | None = None) -> Iterator[ClassImages]:
        wanted = list(self.sizes(split)) if classes is None else classes
        return self.dataset.read(split, wanted, self.data_dir)

    def sizes(self, split: str) -> dict[str, int]:
        return dict(self.dataset.class_sizes(split, self.data_dir))

    @cached_property
    def surveys(self) -> dict[str, _Survey]:
        return {split: _survey(self.read(split)) for split in self.dataset.splits}


def _attributes(subject: _Subject) -> str:
    dataset = subject.dataset
    require(
        isinstance(dataset, Dataset), f"{type(dataset).__name__} lacks a member of harness.dataset.Dataset"
    )
    require(bool(dataset.name) and isinstance(dataset.name, str), f"name is {dataset.name!r}")
    require(dataset.channels in (1, 3), f"channels is {dataset.channels!r}, not 1 or 3")
    splits = dataset.splits
    require(
        bool(splits) and list(splits) == [s for s in SPLITS if s in splits],
        f"splits is {splits!r}, not some of {SPLITS} in that order",
    )
    require(isinstance(dataset.needs_data, bool), f"needs_data is {dataset.needs_data!r}")
    return f"{dataset.name}: {', '.join(splits)}, {dataset.channels} channel(s)"


def _fingerprint(subject: _Subject) -> str:
    first, second = (subject.dataset.fingerprint(subject.data_dir) for _ in range(2))
    require(isinstance(first, str) and 0 < len(first) <= 80, f"the fingerprint is {first!r}")
    require(first == second, f"two calls gave {first!r} and {second!r}")
    return first


def _disjoint(subject: _Subject) -> str:
    names = {split: set(subject.sizes(split)) for split in subject.dataset.splits}
    for one, other in combinations(names, 2):
        shared = sorted(names[one] & names[other])
        require(not shared, f"{one} and {other} share {len(shared)} classes, among them {shared[:3]}")
    return ", ".join(f"{len(classes)} {split}" for split, classes in names.items())


def _unknown_split(subject: _Subject) -> str:
    for ask in (subject.sizes, lambda split: list(subject.read(split, ["no such class"]))):
        try:
            ask("no such split")
        except DataError as error:
            message = str(error)
        else:
            raise BrokenError("it is accepted")
    return message


def _missing_data(subject: _Subject) -> str:
    if not subject.dataset.needs_data:
        return "needs no raw data"
    with TemporaryDirectory() as empty:
        for folder in (Path(empty), None):
            try:
                subject.dataset.fingerprint(folder)
            except DataError as error:
                message = str(error)
            else:
                raise BrokenError(f"it has a fingerprint with the data folder {folder}")
    return message


def _counts(subject: _Subject) -> str:
    total = 0
    for split, survey in subject.surveys.items():
        announced, found = list(subject.sizes(split).items()), list(survey.classes)
        different = [pair for pair in zip(announced, found, strict=False) if pair[0] != pair[1]]
        require(not different, f"{split}: announced and read differ, first {different[:1]}")
        require(len(announced) == len(found), f"{split}: {len(announced)} announced, {len(found)} read")
        require(all(n for _, n in found), f"{split} has a class without images")
        total += sum(n for _, n in found)
    require(total > 0, "no split has any class")
    return f"{total} images"


def _images(subject: _Subject) -> str:
    channels, size = subject.dataset.channels, native_size(subject.dataset)
    for split, survey in subject.surveys.items():
        for dtype, shape in survey.kinds:
            fits = dtype == "uint8" and len(shape) == 3 and shape[2] == channels and min(shape) > 0
            require(fits, f"{split} has images {dtype} {shape}, not uint8 height x width x {channels}")
            square = size is None or shape[:2] == (size, size)
            require(square, f"{split} has images {shape}, and native_size is {size}")
    darkest = min(survey.darkest for survey in subject.surveys.values())
    brightest = max(survey.brightest for survey in subject.surveys.values())
    # Pixels in [0, 1] that were cast to uint8 would be 0 and 1.
    require(darkest < 64 and brightest > 191, f"pixels go from {darkest} to {brightest} only, of 0 to 255")
    shapes = {shape for survey in subject.surveys.values() for _, shape in survey.kinds}
    kinds = str(shapes.pop()) if len(shapes) == 1 else f"{len(shapes)} sizes"
    return f"{kinds}, from {darkest} to {brightest}"


def _some_classes(subject: _Subject) -> str:
    """What a preparation needs that is carried on: the classes behind the first ones, without these."""
    for split, survey in subject.surveys.items():
        rest = [name for name, _ in survey.classes[len(survey.classes) // 2 :]]
        alone = _survey(subject.read(split, rest))
        found = [name for name, _ in alone.classes]
        require(found == rest, f"{split}: asked for {rest[:3]}..., got {found[:3]}...")
        other = [name for name in rest if alone.content[name] != survey.content[name]]
        require(not other, f"{split}: without the classes before it, {other[:1]} has other images")
    return "the second half of each split"


def _groups(subject: _Subject) -> str:
    said = []
    for split in subject.dataset.splits:
        groups, known = class_groups(subject.dataset, split, subject.data_dir), set(subject.sizes(split))
        if groups is None:
            continue
        require(groups.kind in GROUP_KINDS, f"{split}: kind is {groups.kind!r}, not one of {GROUP_KINDS}")
        named = {name for members in groups.members.values() for name in members}
        require(named <= known, f"{split} groups classes that it does not have: {sorted(named - known)[:3]}")
        said.append(f"{len(groups.members)} {groups.kind} in {split}")
    return ", ".join(said) or "no groups"


def _repeats(subject: _Subject) -> str:
    said = []
    for split, survey in subject.surveys.items():
        again = _survey(subject.read(split))
        other = [name for name, digest in survey.content.items() if again.content.get(name) != digest]
        require(not other, f"{split} read twice differs, first in {other[:1]}")
        require(again.classes == survey.classes, f"{split} read twice has its classes in another order")
        said.append(f"{split} {hashlib.sha256(repr(survey.content).encode()).hexdigest()[:12]}")
    return ", ".join(said)


def _no_shared_images(subject: _Subject) -> str:
    seen = {split: survey.images for split, survey in subject.surveys.items()}
    for one, other in combinations(seen, 2):
        shared = seen[one] & seen[other]
        require(not shared, f"{one} and {other} share {len(shared)} images")
    return ", ".join(f"{len(images)} different {split}" for split, images in seen.items())


def _survey(parts: Iterable[ClassImages]) -> _Survey:
    """Read a split once, a part of a class at a time."""
    sizes: dict[str, int] = {}
    order: list[str] = []
    content: dict[str, Any] = {}
    kinds, different = set(), set()
    darkest, brightest = 255, 0
    for name, images in parts:
        if not order or order[-1] != name:
            order.append(name)
        sizes[name] = sizes.get(name, 0) + len(images)
        kinds.add((str(images.dtype), images.shape[1:]))
        if images.size:
            darkest, brightest = min(darkest, int(images.min())), max(brightest, int(images.max()))
        for image in images:
            found = np.ascontiguousarray(image).tobytes()
            content.setdefault(name, hashlib.sha256()).update(f"{image.shape}".encode() + found)
            if image.size and image.min() != image.max():
                different.add(hashlib.sha256(found).digest())
    return _Survey(
        classes=tuple((name, sizes[name]) for name in order),
        content={name: digest.hexdigest() for name, digest in content.items()},
        kinds=frozenset(kinds),
        darkest=darkest,
        brightest=brightest,
        images=frozenset(different),
    )
