"""Meta-Dataset's sources that the catalogue of tensorflow-datasets (TFDS) has, with the official class splits.

Each `find_tfds_*` looks for one builder's prepared data in a folder (see `tfds_prepared.find_prepared`) and gives None
where it is not there. All TFDS splits that hold a source's images are merged, as Meta-Dataset splits classes.

The catalogue has no FGVC-Aircraft, no Fungi and no GTSRB as published. MSCOCO, whose images are objects cut out of the
records' photographs, is in `coco_tfds`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from harness.dataset import SPLITS
from harness.errors import DataError
from harness_datasets.ilsvrc_2012_classes import IMAGES, left_out, split_of_ilsvrc_2012
from harness_datasets.ilsvrc_2012_graph import groups_of
from harness_datasets.image_files import Pixels
from harness_datasets.official_class_names import CU_BIRDS, DTD, QUICKDRAW, VGG_FLOWER
from harness_datasets.official_splits import official_split
from harness_datasets.omniglot_characters import ALPHABETS, DRAWINGS, characters, published
from harness_datasets.source import Rows
from harness_datasets.tfds_index import Leave
from harness_datasets.tfds_route import ClassNames, TfdsData, find_tfds, published_labels

ALL_PARTS = ("train", "validation", "test")
ALL = "all"
QUICKDRAW_IMAGES = 50_426_266


def find_tfds_cu_birds(data_dir: Path) -> TfdsData | None:
    """`caltech_birds2011`: its label k is the k-th of the numbered folders. Whole images, not cropped to the bird."""
    return find_tfds(
        data_dir,
        "caltech_birds2011",
        parts=("train", "test"),
        class_names=_numbered("caltech_birds2011", CU_BIRDS),
        split_classes=partial(official_split, n_train=140, n_valid=30),
        images=11_788,
    )


def find_tfds_dtd(data_dir: Path) -> TfdsData | None:
    """`dtd`: the three parts of its first fold are all images."""
    return find_tfds(
        data_dir,
        "dtd",
        parts=ALL_PARTS,
        class_names=published_labels("dtd", DTD),
        split_classes=partial(_split_sorted, n_train=33, n_valid=7),
        images=5640,
    )


def find_tfds_vgg_flower(data_dir: Path) -> TfdsData | None:
    """`oxford_flowers102`: its names of labels lack the numbers that the official ones begin with, `034.`."""
    return find_tfds(
        data_dir,
        "oxford_flowers102",
        parts=ALL_PARTS,
        class_names=_flowers,
        split_classes=partial(official_split, n_train=71, n_valid=15),
        images=8189,
    )


def find_tfds_quickdraw(data_dir: Path) -> TfdsData | None:
    """`quickdraw_bitmap`: all drawings, grey with bright ink; its labels come in another order than the sorted."""
    return find_tfds(
        data_dir,
        "quickdraw_bitmap",
        parts=("train",),
        class_names=published_labels("quickdraw_bitmap", QUICKDRAW),
        split_classes=partial(_split_sorted, n_train=241, n_valid=52),
        channels=1,
        images=QUICKDRAW_IMAGES,
    )


def find_tfds_ilsvrc_2012(data_dir: Path) -> TfdsData | None:
    """`imagenet2012`, images for training less the 403 that Meta-Dataset leaves out; classes are WordNet ids.

    The groups are the nodes of Meta-Dataset's class graph.
    """
    found = find_tfds(
        data_dir,
        "imagenet2012",
        parts=("train",),
        split_classes=split_of_ilsvrc_2012,
        leave=Leave(key="file_name", values=frozenset(name.encode() for name in left_out())),
        images=IMAGES,
    )
    return None if found is None else replace(found, groups={split: groups_of(split) for split in SPLITS})


@dataclass(frozen=True, kw_only=True)
class TfdsDrawings:
    """Omniglot of TFDS, by published character (`harness_datasets.omniglot.Drawings`).

    `data` has the classes `Alphabet/characterNN`, all in the split `ALL`, and gives bright ink on black, 105x105.
    The drawings of a character come in the order of TFDS's shuffle: TFDS does not keep who drew them.
    """

    data: TfdsData

    @property
    def location(self) -> Path:
        """The folder of the prepared version."""
        return self.data.location

    def fingerprint(self) -> str:
        """That of the prepared data."""
        return self.data.fingerprint()

    def characters(self, splitter: str, split: str) -> list[str]:
        """The published characters of a split, in class order. Raises DataError unless all drawings are there."""
        wrong = {name: size for name, size in self.data.class_sizes(ALL).items() if size != DRAWINGS}
        if wrong:
            name, size = next(iter(wrong.items()))
            raise DataError(
                f"Omniglot in {self.location} is not as published: {len(wrong)} characters have not {DRAWINGS} "
                f"drawings, among them {name!r} with {size}. Prepare it again."
            )
        return characters(splitter, split)

    def read(self, wanted: Sequence[tuple[str, Rows]]) -> Iterator[tuple[int, Pixels]]:
        """The wanted drawings: the place in `wanted`, and uint8 [n, 105, 105, 1]."""
        every = np.arange(DRAWINGS, dtype=np.int64)
        last, images = "", np.empty(0, np.uint8)
        for place, (character, rows) in enumerate(wanted):
            if character != last:  # its turned versions come right after one another
                parts = [part for _, part in self.data.read(ALL, {character: every})]
                last, images = character, np.concatenate(parts)
            yield place, images[rows]


def find_tfds_omniglot(data_dir: Path) -> TfdsDrawings | None:
    """`omniglot`: its TFDS splits train and test are the background and the evaluation set.

    Label `Greek_0` is the character `Greek/character01`. `small1` and `small2` repeat drawings of `train`.
    """
    data = find_tfds(
        data_dir,
        "omniglot",
        parts=("train", "test"),
        class_names=_characters,
        split_classes=lambda names: {ALL: names},
        channels=1,
        invert=True,
        images=DRAWINGS * sum(len(published(part)) for part in ALPHABETS),
    )
    return None if data is None else TfdsDrawings(data=data)


def _split_sorted(names: Sequence[str], *, n_train: int, n_valid: int) -> dict[str, list[str]]:
    return official_split(sorted(names), n_train, n_valid)


def _numbered(builder: str, names: Sequence[str]) -> ClassNames:
    """The labels are numbers without names, in the order of the classes."""

    def check(labels: Sequence[str]) -> Sequence[str]:
        if list(labels) != [str(number) for number in range(len(names))]:
            raise DataError(
                f"The TFDS data set {builder!r} has {len(labels)} labels, the first called {labels[0]!r}, not the "
                f"numbers 0 to {len(names) - 1}. Prepare it again with the catalogue's own builder."
            )
        return names

    return check


def _flowers(labels: Sequence[str]) -> Sequence[str]:
    published_labels("oxford_flowers102", [name.partition(".")[2] for name in VGG_FLOWER])(labels)
    official: Mapping[str, str] = {name.partition(".")[2]: name for name in VGG_FLOWER}
    named = [official[label] for label in labels]
    if named != list(VGG_FLOWER):
        raise DataError(
            "The labels of the TFDS data set 'oxford_flowers102' are not in the published order. Prepare it again with "
            "the catalogue's own builder."
        )
    return named


def _characters(labels: Sequence[str]) -> Sequence[str]:
    """`Greek_0` -> `Greek/character01`."""
    parted = [label.rpartition("_") for label in labels]
    named = [
        f"{alphabet}/character{int(k) + 1:02}" if k.isdecimal() else alphabet for alphabet, _, k in parted
    ]
    if set(named) != {name for part in ALPHABETS for name in published(part)}:
        raise DataError(
            "The labels of the TFDS data set 'omniglot' are not the 1623 published characters, as in 'Greek_0'. "
            "Prepare it again with the catalogue's own builder."
        )
    return named
