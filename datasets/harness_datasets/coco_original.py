"""MS COCO 2017 as published: `train2017` with its instance annotations, unpacked or in the archives they come in."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.errors import DataError
from harness_datasets.coco_annotations import read_annotations
from harness_datasets.coco_objects import CocoObjects, ObjectIndex, kept_index
from harness_datasets.raw_archives import DAMAGED, Listing
from harness_datasets.raw_files import RawFolder, damaged, find_raw_folder, look_for, raw_folder_at

IMAGES, ANNOTATIONS = "train2017", "instances_train2017.json"
ARCHIVE = "annotations_trainval2017"
FOLDERS = ("mscoco", "coco", "coco2017", "")
"""Where `train2017` is looked for below the folder of raw data, there or in its `images`."""

_PHOTOGRAPH = re.compile(rb"(?:.*/)?(\d{12})\.jpg")
_AGAIN = f"Fetch {ARCHIVE}.zip from cocodataset.org again and put it beside {IMAGES}."


def find_original_coco(source: str, data_dir: Path) -> CocoObjects | None:
    """The objects of `train2017`, a folder or an archive; None where it is not there.

    `instances_train2017.json` is in the folder `annotations`, by itself, or in `annotations_trainval2017.zip`, beside
    `train2017` or above it. Raises DataError where it is in none of them.
    """
    tops = [data_dir / name for name in FOLDERS] if data_dir.is_dir() else [data_dir.parent]
    for top in tops:
        found = _images(top) if data_dir.is_dir() else raw_folder_at(data_dir)
        if found is not None:
            places = dict.fromkeys((found.location.parent, top, data_dir))
            raw, path = _annotations(source, found, [place for place in places if place.is_dir()])
            return CocoObjects(source=source, photographs=CocoFiles(images=found, annotations=raw, path=path))
    return None


def _images(top: Path) -> RawFolder | None:
    return look_for("images", top, (IMAGES,)) if top.is_dir() else None


def _annotations(source: str, images: RawFolder, places: Iterable[Path]) -> tuple[RawFolder, str]:
    """What holds the annotations, and their path in it."""
    for place in places:
        for folder in (place / "annotations", place, place / ARCHIVE / "annotations"):
            if (folder / ANNOTATIONS).is_file() and (raw := raw_folder_at(folder)) is not None:
                raw = replace(raw, only=(ANNOTATIONS,))
                return raw, f"{raw.location.name}/{ANNOTATIONS}"
        packed = find_raw_folder(ARCHIVE, [place])
        if packed is not None and packed.packed:
            inside = [path for path in packed.paths() if path.rpartition("/")[2] == ANNOTATIONS]
            if inside:
                return packed, inside[0]
    raise DataError(
        f"Source {source!r} has its photographs in {images.location}, but not their annotations, {ANNOTATIONS}: fetch "
        f"{ARCHIVE}.zip (0.24 GB) from cocodataset.org and put it beside them."
    )


@dataclass(frozen=True, kw_only=True)
class CocoFiles:
    """Photographs in files (`coco_objects.Photographs`), numbered by their COCO id, which is the file's name.

    annotations: the folder or archive that holds the annotations, at `path` in it.
    """

    images: RawFolder
    annotations: RawFolder
    path: str

    @property
    def location(self) -> Path:
        """The folder or archive of the photographs."""
        return self.images.location

    def fingerprint(self) -> str:
        """Of the annotations' content, and of each photograph's id and size in bytes, but not of its content.

        So an exchanged photograph of equal size goes unnoticed, as in all sources of more than 50,000 images. The
        same for archives and folders. Raises DataError where there are no photographs or one comes twice.
        """
        ids, rows = self._photographs
        listing = self.annotations.listing()
        row = listing.row(self.path)
        if row is None:
            raise DataError(f"{self.path} in {self.annotations.location} is gone. Run the command again.")
        crc = self.annotations.crcs(listing, np.array([row], np.intp))[0]
        digest = hashlib.sha256(f"{listing.sizes[row]} {crc}\n".encode())
        digest.update(ids.tobytes())
        digest.update(self._listing.sizes[rows].tobytes())
        return f"mscoco-1-{digest.hexdigest()[:16]}"

    def index(self) -> ObjectIndex:
        """Where the objects are: kept, or found by a pass through the annotations, which takes ten seconds."""
        return _index(self, self.fingerprint())

    def name(self, number: int) -> str:
        """The path."""
        ids, rows = self._photographs
        return self._listing.path(int(rows[np.searchsorted(ids, number)]))

    @contextmanager
    def reader(self) -> Iterator[Callable[[Iterable[int]], Iterator[bytes]]]:
        """Reads one file after the other."""
        with self.images.reader() as read:
            yield lambda numbers: (read(self.name(number)) for number in numbers)

    @cached_property
    def _listing(self) -> Listing:
        return self.images.listing()

    @cached_property
    def _photographs(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.intp]]:
        """The ids of the photographs, sorted, and their rows in the listing."""
        matches = map(_PHOTOGRAPH.fullmatch, self._listing.paths.tolist())
        found = [(int(match[1]), row) for row, match in enumerate(matches) if match]
        both = np.array(sorted(found), np.int64).reshape(-1, 2)
        ids, rows = both[:, 0].copy(), both[:, 1].astype(np.intp)
        twice = np.flatnonzero(ids[1:] == ids[:-1])
        if len(twice) or not len(ids):
            said = (
                f"{ids[twice[0]]:012}.jpg twice" if len(twice) else "no photograph such as 000000000009.jpg"
            )
            raise DataError(
                f"{self.location} has {said}: it is not {IMAGES} of COCO 2017. Fetch {IMAGES}.zip from "
                "cocodataset.org, or unpack it anew."
            )
        return ids, rows

    def _build(self) -> ObjectIndex:
        where = self.annotations.location
        with self.annotations.opener() as opened:
            try:
                with opened(self.path) as stream:
                    found = read_annotations(stream, where, _AGAIN)
            except DAMAGED as error:
                raise damaged(self.path, where, error) from error
        self._check_complete(found.image_ids)
        return found.indexed()

    def _check_complete(self, annotated: npt.NDArray[np.int64]) -> None:
        """Raise DataError unless the photographs are those that the annotations are for."""
        ids, _ = self._photographs
        missing, more = np.setdiff1d(annotated, ids), np.setdiff1d(ids, annotated)
        if not len(missing) and not len(more):
            return
        said = (
            f"lacks {len(missing)} of the {len(annotated)} photographs that {ANNOTATIONS} names"
            if len(missing)
            else f"has {len(more)} photographs that {ANNOTATIONS} does not name"
        )
        some = ", ".join(f"{number:012}.jpg" for number in (missing if len(missing) else more)[:3])
        raise DataError(
            f"{self.location} {said}, among them {some}. Fetch {IMAGES}.zip from cocodataset.org again and unpack "
            "all of it, into an empty folder."
        )


# A source is asked for its classes and images one after the other; this remembers a pure function of files that did
# not change, as their fingerprint is part of the question.
@lru_cache(maxsize=2)
def _index(files: CocoFiles, fingerprint: str) -> ObjectIndex:
    return kept_index(fingerprint, files._build)
