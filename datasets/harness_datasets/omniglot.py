"""Omniglot (Lake and others, Science 2015): 1623 characters in 50 alphabets, drawn 20 times."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np

from harness.dataset import SUPERCLASSES, ClassGroups, ClassImages
from harness.errors import DataError
from harness.parameters import check_choice
from harness_datasets.image_files import Pixels, in_parts
from harness_datasets.md_tfds import MdTfds, find_md_tfds
from harness_datasets.meta_dataset_source import MetaDatasetSource
from harness_datasets.omniglot_characters import DRAWINGS, SPLITTERS, characters
from harness_datasets.omniglot_original import find_drawings
from harness_datasets.records import Records, find_records
from harness_datasets.source import Find, Rows
from harness_datasets.tfds_catalogue import find_tfds_omniglot
from harness_datasets.tfds_preparing import FetchedByTfds

ROTATIONS = (0, 90, 180, 270)


class Drawings(Protocol):
    """Omniglot in one form, by character."""

    @property
    def location(self) -> Path:
        """The file or folder it is in."""

    def fingerprint(self) -> str:
        """A short text that changes with the content."""

    def characters(self, splitter: str, split: str) -> list[str]:
        """The characters (`Alphabet/characterNN`) of a split, in class order."""

    def read(self, wanted: Sequence[tuple[str, Rows]]) -> Iterator[tuple[int, Pixels]]:
        """The drawings of each (character, places): the place in `wanted`, and uint8 [n, 105, 105, 1]."""


@dataclass(frozen=True, kw_only=True)
class Omniglot(FetchedByTfds, MetaDatasetSource):
    """Handwritten characters, 105x105 black ink on white, read as grey with bright ink.

    Args:
        split: which characters are train, valid and test.
            `"shuffled"` (MAML's): all 1623 in a fixed shuffled order, 1100 / 100 / 423; alphabets are shared.
            `"lake"` (Lake's, with Meta-Dataset's validation): by alphabet, 883 / 81 / 659, and the alphabets are
            the groups that Meta-Dataset's episodes are drawn from.
        rotations: every character turned by 0, 90, 180 and 270 degrees is four classes, all in one split; a
            turned alphabet is a group of its own.

    Raises ConfigError for a parameter out of range.
    """

    name: str = "omniglot"
    split: str = "lake"
    rotations: bool = False

    tfds_builder: ClassVar[str] = "omniglot"
    channels: ClassVar[int] = 1
    native_size: ClassVar[int | None] = 105
    licence: ClassVar[str] = "MIT (the repository brendenlake/omniglot)"
    how_to_get: ClassVar[str] = (
        "Fetch images_background.zip and images_evaluation.zip from python/ of github.com/brendenlake/omniglot."
    )
    official_name: ClassVar[str] = "omniglot"
    official_classes: ClassVar[Mapping[str, int]] = {"train": 883, "valid": 81, "test": 659}
    official_images: ClassVar[int] = 32_460

    def __post_init__(self) -> None:
        MetaDatasetSource.__post_init__(self)
        check_choice("Omniglot.split", self.split, tuple(SPLITTERS))

    def routes(self) -> Mapping[str, Find]:
        """Meta-Dataset's records and TFDS data set, then the other forms; each split as this source says."""
        return {
            "records": partial(self._split_up, _find_recorded),
            "md_tfds": partial(self._split_up, _find_recorded_by_tfds),
            **self.other_routes(),
        }

    def other_routes(self) -> Mapping[str, Find]:
        """The original archives or folders, and TFDS's `omniglot`."""
        return {
            "original": partial(self._split_up, find_drawings),
            "tfds": partial(self._split_up, find_tfds_omniglot),
        }

    def _split_up(self, find: Callable[[Path], Drawings | None], data_dir: Path) -> "SplitDrawings | None":
        drawings = find(data_dir)
        if drawings is None:
            return None
        return SplitDrawings(drawings=drawings, splitter=self.split, rotations=self.rotations)


@dataclass(frozen=True, kw_only=True)
class SplitDrawings:
    """Drawings as a source's raw data (`source.RawData`): split into classes, turned where asked."""

    drawings: Drawings
    splitter: str
    rotations: bool

    @property
    def location(self) -> Path:
        """The file or folder."""
        return self.drawings.location

    def fingerprint(self) -> str:
        """That of the drawings: what is made of them stands in the source's parameters."""
        return self.drawings.fingerprint()

    def class_sizes(self, split: str) -> Mapping[str, int]:
        """`Alphabet/characterNN` -> 20, or `Alphabet/characterNN/rotDDD` -> 20 with rotations."""
        found = self.drawings.characters(self.splitter, split)
        return {name: DRAWINGS for character in found for name in self._class_names(character)}

    def class_groups(self, split: str) -> ClassGroups | None:
        """The alphabets, where a split does not share them with another."""
        if self.splitter != "lake":
            return None
        members: dict[str, list[str]] = {}
        for name in self.class_sizes(split):
            alphabet, _, rest = name.partition("/")
            turn = rest.partition("/")[2]
            members.setdefault(f"{alphabet}/{turn}" if turn else alphabet, []).append(name)
        return ClassGroups(kind=SUPERCLASSES, members=members) if members else None

    def read(self, split: str, wanted: Mapping[str, Rows]) -> Iterator[ClassImages]:
        """Yield the wanted images of each class."""
        turns = {
            name: (character, turn)
            for character in self.drawings.characters(self.splitter, split)
            for turn, name in enumerate(self._class_names(character))
        }
        names = list(wanted)
        for place, images in self.drawings.read([(turns[name][0], rows) for name, rows in wanted.items()]):
            turn = turns[names[place]][1]
            yield names[place], np.ascontiguousarray(np.rot90(images, turn, axes=(1, 2)))

    def _class_names(self, character: str) -> list[str]:
        return [f"{character}/rot{d:03}" for d in ROTATIONS] if self.rotations else [character]


@dataclass(frozen=True, kw_only=True)
class RecordedDrawings:
    """Omniglot in Meta-Dataset's records or TFDS data set, by character. Their ink is inverted already."""

    records: Records | MdTfds

    @property
    def location(self) -> Path:
        """The folder or archive."""
        return self.records.location

    @property
    def sizes(self) -> Mapping[str, int]:
        """Character -> drawings, by the specification."""
        spec = self.records.spec
        return {_character(name): n for split in spec.ids for name, n in spec.class_sizes(split).items()}

    def fingerprint(self) -> str:
        """That of the records."""
        return self.records.fingerprint()

    def characters(self, splitter: str, split: str) -> list[str]:
        """The published characters of a split, or those of a stand-in, which has one way to split them.

        Raises DataError unless all are there, with all their drawings.
        """
        found = [_character(name) for name in self.records.class_sizes(split)]
        wanted, sizes = found if self.records.stand_in else characters(splitter, split), self.sizes
        missing = [character for character in wanted if sizes.get(character) != DRAWINGS]
        if missing:
            raise DataError(
                f"The records of Omniglot in {self.location} lack {len(missing)} of the {len(wanted)} characters "
                f"of its {split} split, or some of their {DRAWINGS} drawings; among them {missing[0]!r}. Convert "
                "or fetch all of it again."
            )
        return wanted

    def read(self, wanted: Sequence[tuple[str, Rows]]) -> Iterator[tuple[int, Pixels]]:
        """The wanted drawings, in parts; a character is read once however often it is wanted.

        Its uses must come right after one another, as those of its turned versions do.
        """
        names = {_character(name): name for name in self.records.spec.names.values()}
        uses: dict[str, list[tuple[int, Rows]]] = {}
        for place, (character, rows) in enumerate(wanted):
            uses.setdefault(names[character], []).append((place, rows))
        chosen = {name: np.unique(np.concatenate([rows for _, rows in of])) for name, of in uses.items()}
        for name, parts in groupby(self.records.read_classes(chosen), key=itemgetter(0)):
            found = (image for _, part in parts for image in part)
            images = dict(zip(chosen[name].tolist(), found, strict=True))
            for place, rows in uses[name]:
                for _, drawings in in_parts(name, (images[row] for row in rows.tolist())):
                    yield place, drawings


def _find_recorded(data_dir: Path) -> RecordedDrawings | None:
    records = find_records(data_dir, "omniglot", channels=1)
    return None if records is None else RecordedDrawings(records=records)


def _find_recorded_by_tfds(data_dir: Path) -> RecordedDrawings | None:
    prepared = find_md_tfds(data_dir, "omniglot", channels=1)
    return None if prepared is None else RecordedDrawings(records=prepared)


def _character(name: str) -> str:
    """`Greek-character01`, the class name of the records -> `Greek/character01`."""
    alphabet, _, character = name.rpartition("-")
    return f"{alphabet}/{character}"
