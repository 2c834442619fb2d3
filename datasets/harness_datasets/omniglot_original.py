"""Omniglot's original archives, or the folders unpacked from them: one PNG a drawing."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.errors import DataError
from harness_datasets.image_files import UNREADABLE, Pixels, decode
from harness_datasets.omniglot_characters import ALPHABETS, DRAWINGS, characters, part_of, published
from harness_datasets.raw_files import RawFolder, find_raw_folder
from harness_datasets.source import Rows

VERSION = "omniglot-2"
DRAWING = re.compile(r"images_\w+/(?P<character>[^/.][^/]*/character\d\d)/\d{4}_\d\d\.png")


@dataclass(frozen=True, kw_only=True)
class OriginalDrawings:
    """The drawings in `images_background` and `images_evaluation`; `parts` are found archives or folders."""

    parts: Mapping[str, RawFolder]

    @property
    def location(self) -> Path:
        """The folder that has them."""
        return next(iter(self.parts.values())).location.parent

    def fingerprint(self) -> str:
        """Of (path, CRC-32, size) of every drawing: the same for the archives and the unpacked folders.

        Raises DataError for missing, truncated or incomplete data.
        """
        digest = hashlib.sha256()
        for part, raw in self.parts.items():
            sums = raw.checksums(lambda path: DRAWING.fullmatch(path) is not None)
            _drawings(part, [path for path, _, _ in sums], raw)
            digest.update(repr(sums).encode())
        return f"{VERSION}-{digest.hexdigest()[:16]}"

    def characters(self, splitter: str, split: str) -> list[str]:
        """The published characters of a split. Raises DataError unless all are there, with all their drawings."""
        for part, raw in self.parts.items():
            _drawings(part, raw.paths(), raw)
        return characters(splitter, split)

    def read(self, wanted: Sequence[tuple[str, Rows]]) -> Iterator[tuple[int, Pixels]]:
        """The wanted drawings: the place in `wanted`, and uint8 [n, 105, 105, 1], ink bright.

        Raises DataError as `characters` does, and for a damaged drawing, naming it.
        """
        with ExitStack() as stack:
            readers = {part: stack.enter_context(raw.reader()) for part, raw in self.parts.items()}
            paths: dict[str, list[str]] = {}
            for part, raw in self.parts.items():
                paths |= _drawings(part, raw.paths(), raw)
            last, images = "", np.empty(0, np.uint8)
            for place, (character, rows) in enumerate(wanted):
                if character != last:  # its turned versions come right after one another
                    part = part_of(character)
                    read, raw = readers[part], self.parts[part]
                    images = np.stack([_decoded(read(path), path, raw) for path in paths[character]])
                    last = character
                yield place, images[rows]


def find_drawings(data_dir: Path) -> OriginalDrawings | None:
    """The archives or folders in `<data_dir>/omniglot` or `data_dir`; None where there is neither of the two.

    Raises DataError where only one of them is there.
    """
    places = [data_dir / "omniglot", data_dir]
    found = {part: find_raw_folder(part, places) for part in ALPHABETS}
    there = {part: raw for part, raw in found.items() if raw is not None}
    missing = [part for part in found if part not in there]
    if there and missing:
        raise DataError(
            f"Omniglot needs {missing[0]}.zip beside {next(iter(there.values())).location}, or the folder "
            "unpacked from it. Fetch it from python/ of github.com/brendenlake/omniglot."
        )
    return OriginalDrawings(parts=there) if there else None


def _drawings(part: str, paths: list[str], raw: RawFolder) -> dict[str, list[str]]:
    """Character -> its drawings, in order. Raises DataError unless they are those published."""
    found: dict[str, list[str]] = {character: [] for character in published(part)}
    known = len(found)
    for path in paths:
        if match := DRAWING.fullmatch(path):
            found.setdefault(match["character"], []).append(path)
    expected = dict.fromkeys(published(part), DRAWINGS)
    wrong = [c for c, drawings in found.items() if len(drawings) != expected.get(c, 0)]
    if wrong:
        named = ", ".join(f"{c} ({len(found[c])})" for c in wrong[:5])
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        complete = len(set(expected).difference(wrong))
        raise DataError(
            f"Omniglot at {raw.location} is not as published: {complete} of {known} characters have "
            f"their {DRAWINGS} drawings. Wrong (drawings found): {named}{more}. "
            "Fetch it again, and unpack all of it."
        )
    return {character: sorted(drawings) for character, drawings in found.items()}


def _decoded(content: bytes, path: str, raw: RawFolder) -> Pixels:
    try:
        return np.asarray(255 - decode(content, 1), dtype=np.uint8)
    except UNREADABLE as error:
        raise DataError(
            f"{path} in {raw.location} is not a readable PNG ({error}). Fetch it again."
        ) from error
