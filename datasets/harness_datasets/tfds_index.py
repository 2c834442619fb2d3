"""Where the records of each label are in a prepared TFDS data set, found in one pass and kept.

TFDS writes records in a shuffled order, and sources are read class by class. The pass reads every shard once, which
takes minutes for ImageNet, so its result is kept in the folder of prepared data (`$HARNESS_CACHE` or the user's cache
folder) under the fingerprint of the data: 8 bytes a record.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from harness.errors import DataError
from harness_datasets.kept_arrays import keep_arrays, kept_arrays
from harness_datasets.tfds_prepared import Prepared
from harness_datasets.tfds_shards import scan

VERSION = 1
FOLDER = "tfds-index"
SHARD_BITS = 40
"""A record's place is one number: that of its shard above these bits, its offset or number in it below."""

STARTS, PLACES = "starts", "places"


@dataclass(frozen=True, kw_only=True)
class Leave:
    """Records to leave out: those whose text feature `key` has one of these values."""

    key: str
    values: frozenset[bytes]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What an index is of. splits: the TFDS splits, merged in this order. labels: how many labels there are."""

    prepared: Prepared
    splits: tuple[str, ...]
    label: str
    labels: int
    leave: Leave | None
    fingerprint: str


@dataclass(frozen=True, eq=False)
class LabelIndex:
    """The records of label k are `places[starts[k] : starts[k + 1]]`, in the order of shards and of records in them."""

    starts: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]

    def sizes(self) -> npt.NDArray[np.int64]:
        """Number of records of each label."""
        return np.diff(self.starts)

    def of(
        self, label: int, rows: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The shard of each of these records of a label, and its place in the shard."""
        places = np.asarray(self.places[self.starts[label] : self.starts[label + 1]][rows])
        return places >> SHARD_BITS, places & ((1 << SHARD_BITS) - 1)


# A source is asked for its classes and images one after the other; this remembers a pure function of files that
# did not change, as their fingerprint is part of the question.
@lru_cache(maxsize=4)
def label_index(asked: Asked) -> LabelIndex:
    """The index, from the folder of prepared data or by a pass through the shards.

    Raises DataError for a damaged shard, and for a record whose label is none of those named.
    """
    about = (VERSION, asked.fingerprint, asked.splits, asked.label, asked.labels, _leaving(asked.leave))
    kept = kept_arrays(FOLDER, about, (STARTS, PLACES))
    if kept is not None and len(kept[PLACES]) == kept[STARTS][-1]:
        return LabelIndex(kept[STARTS], kept[PLACES])
    found = _built(asked)
    keep_arrays(FOLDER, about, {STARTS: found.starts, PLACES: found.places})
    return found


def _built(asked: Asked) -> LabelIndex:
    labels, places = [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
    leave = asked.leave
    for number, shard in enumerate(asked.prepared.shards_of(asked.splits)):
        passed = scan(shard, asked.prepared.file_format, asked.label, leave.key if leave else None)
        wrong = passed.labels[(passed.labels < 0) | (passed.labels >= asked.labels)]
        if len(wrong):
            raise DataError(
                f"The shard {shard.path} has {len(wrong)} records with the label {wrong[0]}, and the labels are 0 to "
                f"{asked.labels - 1}: -1 stands for images without a label. Leave out the TFDS split they are in, or "
                "prepare the data set again."
            )
        keep = np.ones(len(passed.labels), bool)
        if leave is not None:
            keep = np.array([key not in leave.values for key in passed.keys], bool)
        labels.append(passed.labels[keep].astype(np.int32))
        places.append((number << SHARD_BITS) | passed.at[keep])
    of_each = np.concatenate(labels)
    counts = np.bincount(of_each, minlength=asked.labels)
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
    return LabelIndex(starts, np.concatenate(places)[np.argsort(of_each, kind="stable")])


def _leaving(leave: Leave | None) -> object:
    return None if leave is None else (leave.key, sorted(leave.values))
