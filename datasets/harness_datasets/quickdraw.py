"""Quick, Draw! (Jongejan and others 2016): drawings of 345 words made in 20 seconds, as 28x28 bitmaps."""

import hashlib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, ClassVar
from urllib.parse import unquote

import numpy as np

from harness.dataset import SPLITS, ClassGroups, ClassImages
from harness.errors import DataError
from harness_datasets.image_files import PART_BYTES, array_parts
from harness_datasets.meta_dataset_source import MetaDatasetSource
from harness_datasets.official_class_names import QUICKDRAW
from harness_datasets.official_splits import official_split
from harness_datasets.raw_archives import DAMAGED, Listing, Opener
from harness_datasets.raw_files import FOLDER, RawFolder, damaged, look_for
from harness_datasets.source import Find
from harness_datasets.source import Rows as Places
from harness_datasets.tfds_catalogue import find_tfds_quickdraw
from harness_datasets.tfds_preparing import FetchedByTfds

SIDE = 28
PIXELS = SIDE * SIDE
PREFIX = "full_numpy_bitmap_"
"""What the bucket's browser puts before a file's name."""

CHECKSUM_BYTES = 1 << 30
HEAD = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class QuickDraw(FetchedByTfds, MetaDatasetSource):
    """Drawings of 241 train, 52 valid and 52 test words, grey, 28x28, bright ink on black.

    Routes: Meta-Dataset's records; `npy`, an archive or folder of the bucket's `<word>.npy`; `tfds`, TFDS's
    `quickdraw_bitmap`. The folder of arrays may hold some of the words only: each keeps its official split, and a
    split then has fewer classes, as `harness plan` shows.
    """

    name: str = "quickdraw"

    tfds_builder: ClassVar[str] = "quickdraw_bitmap"
    channels: ClassVar[int] = 1
    native_size: ClassVar[int | None] = SIDE
    official_name: ClassVar[str] = "quickdraw"
    official_classes: ClassVar[Mapping[str, int]] = {"train": 241, "valid": 52, "test": 52}
    official_images: ClassVar[int] = 50_426_266
    licence: ClassVar[str] = "CC BY 4.0"
    how_to_get: ClassVar[str] = (
        "Fetch the files of gs://quickdraw_dataset/full/numpy_bitmap (37 GB, one for each word) into a folder "
        "`quickdraw`."
    )

    def other_routes(self) -> Mapping[str, Find]:
        """The bitmaps as numpy arrays, and what TFDS has prepared of them."""
        return {"npy": partial(_find_arrays, self.name), "tfds": find_tfds_quickdraw}


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawings:
    """One `.npy` file for each class, uint8 [n, 784]; a `harness_datasets.source.RawData`.

    rows: class -> row of its file in `listing`.
    """

    source: str
    raw: RawFolder
    listing: Listing
    rows: Mapping[str, int]

    @property
    def location(self) -> Path:
        """The archive or folder."""
        return self.raw.location

    def fingerprint(self) -> str:
        """Of every class with the size and CRC-32 of its file: the same for archive and folder.

        For more than 1 GiB the CRC-32 is of a file's first 64 KiB alone (80 drawings), so that a plan on the whole
        37 GB takes seconds: a change behind them that leaves the size as it was goes unnoticed.
        """
        rows = np.array(list(self.rows.values()), np.intp)
        if int(self.listing.sizes[rows].sum()) <= CHECKSUM_BYTES:
            crcs = self.raw.crcs(self.listing, rows).tolist()
        else:
            with self.raw.opener() as opened:
                crcs = [zlib.crc32(self._head(opened, name)) for name in self.rows]
        sizes = self.listing.sizes[rows].tolist()
        content = list(zip(self.rows, sizes, crcs, strict=True))
        return f"quickdraw-1-{hashlib.sha256(repr(content).encode()).hexdigest()[:16]}"

    def class_sizes(self, split: str) -> Mapping[str, int]:
        """Word -> number of drawings, in the official order. Raises DataError for a file that is cut off."""
        with self.raw.opener() as opened:
            return {name: self._shape(opened, name)[0] for name in self._split(split)}

    def class_groups(self, split: str) -> ClassGroups | None:  # noqa: ARG002
        """None: the words have no order above them."""
        return None

    def read(self, split: str, wanted: Mapping[str, Places]) -> Iterator[ClassImages]:  # noqa: ARG002
        """Yield the drawings, [n, 28, 28, 1]: mapped from a folder, streamed from an archive."""
        with self.raw.opener() as opened:
            for name, places in wanted.items():
                count, start = self._shape(opened, name)
                if self.raw.form == FOLDER:
                    file = self.location.parent / self._path(name)
                    images = np.memmap(file, np.uint8, "r", start, (count, SIDE, SIDE, 1))
                    yield from array_parts(name, images, places)
                else:
                    yield from self._streamed(opened, name, places)

    def _streamed(self, opened: Opener, name: str, places: Places) -> Iterator[ClassImages]:
        step = PART_BYTES // PIXELS
        try:
            with opened(self._path(name)) as stream:
                _read_header(stream)
                for start in range(0, int(places[-1]) + 1, step) if len(places) else ():
                    content = stream.read(step * PIXELS)
                    chosen = places[np.searchsorted(places, start) : np.searchsorted(places, start + step)]
                    if len(chosen):
                        images = np.frombuffer(content, np.uint8, (len(content) // PIXELS) * PIXELS)
                        yield name, images.reshape(-1, SIDE, SIDE, 1)[chosen - start]
        except (*DAMAGED, IndexError) as error:
            raise damaged(self._path(name), self.location, error) from error

    def _split(self, split: str) -> list[str]:
        return [name for name in official_words()[split] if name in self.rows]

    def _path(self, name: str) -> str:
        return self.listing.path(self.rows[name])

    def _head(self, opened: Opener, name: str) -> bytes:
        try:
            with opened(self._path(name)) as stream:
                return stream.read(HEAD)
        except DAMAGED as error:
            raise damaged(self._path(name), self.location, error) from error

    def _shape(self, opened: Opener, name: str) -> tuple[int, int]:
        """Number of drawings, and where they begin in the file. Raises DataError for a file of another kind."""
        path, size = self._path(name), int(self.listing.sizes[self.rows[name]])
        try:
            with opened(path) as stream:
                shape, fortran, dtype = _read_header(stream)
                start = stream.tell()
        except DAMAGED as error:
            raise damaged(path, self.location, error) from error
        if dtype != np.uint8 or fortran or len(shape) != 2 or shape[1] != PIXELS or not shape[0]:
            raise DataError(
                f"{path} in {self.location} holds {dtype} {shape}, not the uint8 (n, {PIXELS}) of drawings of source "
                f"{self.source!r}. Fetch it again."
            )
        if start + shape[0] * PIXELS != size:
            raise DataError(
                f"{path} in {self.location} has {size} bytes, not the {start + shape[0] * PIXELS} of its {shape[0]} "
                "drawings: it is truncated. Fetch it again."
            )
        return shape[0], start


def official_words() -> dict[str, list[str]]:
    """Split -> its words, in Meta-Dataset's order."""
    counts = QuickDraw.official_classes
    chosen = official_split(QUICKDRAW, counts["train"], counts["valid"])
    return {split: list(chosen[split]) for split in SPLITS}


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, "np.dtype[Any]"]:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    header: tuple[tuple[int, ...], bool, np.dtype[Any]] = read(stream)
    return header


def _find_arrays(source: str, data_dir: Path) -> Drawings | None:
    raw = _loose(data_dir / "quickdraw") or _loose(data_dir)
    raw = raw or look_for("quickdraw", data_dir, ("quickdraw*", "numpy_bitmap*"))
    if raw is None:
        return None
    listing = raw.listing()
    rows: dict[str, int] = {}
    for row, path in enumerate(listing.paths.tolist()):
        word = unquote(path.decode().rpartition("/")[2]).removeprefix(PREFIX)
        if not word.endswith(".npy"):
            continue
        if word.removesuffix(".npy") in rows:
            raise DataError(f"{raw.location} has {word} twice: keep one of them.")
        rows[word.removesuffix(".npy")] = row
    unknown = sorted(set(rows) - set(QUICKDRAW))
    if unknown:
        raise DataError(
            f"{raw.location} has {len(unknown)} files that are none of the 345 words of source {source!r}, among them "
            f"{', '.join(map(repr, unknown[:3]))}: their split is not known. Move them elsewhere."
        )
    ordered: dict[str, int] = {word: rows[word] for word in QUICKDRAW if word in rows}
    return Drawings(source=source, raw=raw, listing=listing, rows=ordered) if ordered else None


def _loose(folder: Path) -> RawFolder | None:
    """The folder itself, where it holds files of words besides whatever else."""
    files = tuple(name for name in _names(folder) if name.endswith(".npy"))
    known = any(unquote(name).removeprefix(PREFIX).removesuffix(".npy") in QUICKDRAW for name in files)
    return RawFolder(location=folder, form=FOLDER, only=files) if known else None


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
