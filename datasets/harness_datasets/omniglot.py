"""Omniglot (Lake and others, Science 2015): 1623 characters in 50 alphabets, drawn 20 times."""

import hashlib
import io
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from harness.dataset import SPLITS, ClassImages
from harness.errors import DataError
from harness.parameters import check_choice, check_fields, check_name, check_split
from harness_datasets.raw_files import RawFolder, find_raw_folder

VERSION = "omniglot-1"
DRAWINGS = 20
BACKGROUND, EVALUATION = "images_background", "images_evaluation"
ALPHABETS: Mapping[str, Mapping[str, int]] = {
    BACKGROUND: {
        "Alphabet_of_the_Magi": 20,
        "Anglo-Saxon_Futhorc": 29,
        "Arcadian": 26,
        "Armenian": 41,
        "Asomtavruli_(Georgian)": 40,
        "Balinese": 24,
        "Bengali": 46,
        "Blackfoot_(Canadian_Aboriginal_Syllabics)": 14,
        "Braille": 26,
        "Burmese_(Myanmar)": 34,
        "Cyrillic": 33,
        "Early_Aramaic": 22,
        "Futurama": 26,
        "Grantha": 43,
        "Greek": 24,
        "Gujarati": 48,
        "Hebrew": 22,
        "Inuktitut_(Canadian_Aboriginal_Syllabics)": 16,
        "Japanese_(hiragana)": 52,
        "Japanese_(katakana)": 47,
        "Korean": 40,
        "Latin": 26,
        "Malay_(Jawi_-_Arabic)": 40,
        "Mkhedruli_(Georgian)": 41,
        "N_Ko": 33,
        "Ojibwe_(Canadian_Aboriginal_Syllabics)": 14,
        "Sanskrit": 42,
        "Syriac_(Estrangelo)": 23,
        "Tagalog": 17,
        "Tifinagh": 55,
    },
    EVALUATION: {
        "Angelic": 20,
        "Atemayar_Qelisayer": 26,
        "Atlantean": 26,
        "Aurek-Besh": 26,
        "Avesta": 26,
        "Ge_ez": 26,
        "Glagolitic": 45,
        "Gurmukhi": 45,
        "Kannada": 41,
        "Keble": 26,
        "Malayalam": 47,
        "Manipuri": 40,
        "Mongolian": 30,
        "Old_Church_Slavonic_(Cyrillic)": 45,
        "Oriya": 46,
        "Sylheti": 28,
        "Syriac_(Serto)": 23,
        "Tengwar": 25,
        "Tibetan": 42,
        "ULOG": 26,
    },
}
"""Characters of each alphabet, as published: 964 background and 659 evaluation characters."""

VALIDATION_ALPHABETS = (
    "Blackfoot_(Canadian_Aboriginal_Syllabics)",
    "Ojibwe_(Canadian_Aboriginal_Syllabics)",
    "Inuktitut_(Canadian_Aboriginal_Syllabics)",
    "Tagalog",
    "Alphabet_of_the_Magi",
)
"""Meta-Dataset's validation alphabets: the five smallest of the background set."""

SHUFFLED_TRAIN, SHUFFLED_VALID = 1100, 100
ROTATIONS = (0, 90, 180, 270)
DRAWING = re.compile(r"(?P<character>images_\w+/[^/.][^/]*/character\d\d)/\d{4}_\d\d\.png")


@dataclass(frozen=True, kw_only=True)
class Omniglot:
    """Handwritten characters, 105x105 black ink on white, read as grey with bright ink.

    Reads `images_background.zip` and `images_evaluation.zip`, or the folders unpacked from them, in
    `<data>/omniglot` or `<data>`.

    Args:
        name: the source's name.
        split: which characters are train, valid and test.
            `"shuffled"` (MAML's): all 1623 in a fixed shuffled order, 1100 / 100 / 423; alphabets are shared.
            `"lake"` (Lake's, with Meta-Dataset's validation): by alphabet, 883 / 81 / 659.
        rotations: every character turned by 0, 90, 180 and 270 degrees is four classes, all in one split.

    Raises ConfigError for a parameter out of range.
    """

    name: str = "omniglot"
    split: str = "shuffled"
    rotations: bool = False

    channels: ClassVar[int] = 1
    splits: ClassVar[tuple[str, ...]] = SPLITS
    needs_data: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_name("Omniglot", self.name)
        check_choice("Omniglot.split", self.split, tuple(SPLITTERS))
        check_fields(self)

    def fingerprint(self, data_dir: Path | None) -> str:
        """Of (path, CRC-32, size) of every drawing: the same for the archives and the unpacked folders.

        Raises DataError for missing, truncated or incomplete data.
        """
        digest = hashlib.sha256()
        for raw in _raw_folders(data_dir):
            sums = raw.checksums(lambda path: DRAWING.fullmatch(path) is not None)
            _drawings([path for path, _, _ in sums], raw)
            digest.update(repr(sums).encode())
        return f"{VERSION}-{digest.hexdigest()[:16]}"

    def class_sizes(self, split: str, data_dir: Path | None) -> Mapping[str, int]:
        """`Alphabet/characterNN` -> 20, or `Alphabet/characterNN/rotDDD` -> 20 with rotations, sorted.

        Raises DataError for an unknown split and for missing, truncated or incomplete data.
        """
        check_split(self.name, split, self.splits)
        for raw in _raw_folders(data_dir):
            _drawings(raw.paths(), raw)
        return {name: DRAWINGS for c in characters(self.split, split) for name in self._class_names(c)}

    def read(self, split: str, image_size: int, data_dir: Path | None) -> Iterator[ClassImages]:
        """Yield the classes: uint8 [20, image_size, image_size, 1], ink bright.

        Raises DataError as `class_sizes` does, and for a damaged drawing, naming it.
        """
        check_split(self.name, split, self.splits)
        with ExitStack() as stack:
            sources = {}
            for raw in _raw_folders(data_dir):
                read = stack.enter_context(raw.reader())
                for character, paths in _drawings(raw.paths(), raw).items():
                    sources[character] = [partial(_decode, read, path, raw, image_size) for path in paths]
            for character in characters(self.split, split):
                images = np.stack([decode() for decode in sources[character]])[..., np.newaxis]
                for turn, name in enumerate(self._class_names(character)):
                    yield name, np.ascontiguousarray(np.rot90(images, turn, axes=(1, 2)))

    def _class_names(self, character: str) -> list[str]:
        name = character.partition("/")[2]
        return [f"{name}/rot{degrees:03}" for degrees in ROTATIONS] if self.rotations else [name]


def characters(splitter: str, split: str) -> list[str]:
    """The characters (`images_.../Alphabet/characterNN`) of a split, sorted; no two splits share one."""
    return sorted(SPLITTERS[splitter]()[split])


def _all_characters() -> list[str]:
    return [
        f"{part}/{alphabet}/character{number:02}"
        for part, alphabets in ALPHABETS.items()
        for alphabet, size in alphabets.items()
        for number in range(1, size + 1)
    ]


def _shuffled() -> dict[str, list[str]]:
    """In the order of a hash of their names: a shuffle that no library version can change."""
    order = sorted(_all_characters(), key=lambda name: hashlib.sha256(name.encode()).digest())
    border = SHUFFLED_TRAIN + SHUFFLED_VALID
    return {"train": order[:SHUFFLED_TRAIN], "valid": order[SHUFFLED_TRAIN:border], "test": order[border:]}


def _lake() -> dict[str, list[str]]:
    chosen: dict[str, list[str]] = {split: [] for split in SPLITS}
    for character in _all_characters():
        part, alphabet, _ = character.split("/")
        valid = "valid" if alphabet in VALIDATION_ALPHABETS else "train"
        chosen["test" if part == EVALUATION else valid].append(character)
    return chosen


SPLITTERS = {"shuffled": _shuffled, "lake": _lake}


def _raw_folders(data_dir: Path | None) -> list[RawFolder]:
    places = [] if data_dir is None else [data_dir / "omniglot", data_dir]
    found = [(part, find_raw_folder(part, places)) for part in ALPHABETS]
    missing = [part for part, raw in found if raw is None]
    if missing:
        looked = " and ".join(str(place) for place in places) or "no folder, because none was named"
        raise DataError(
            f"Omniglot needs {' and '.join(f'{part}.zip' for part in missing)}, or the folders unpacked from "
            f"them; looked in {looked}. Fetch them from python/ of github.com/brendenlake/omniglot into "
            "<data>/omniglot and name <data> with `--data DIR` or the environment variable HARNESS_DATA."
        )
    return [raw for _, raw in found if raw is not None]


def _drawings(paths: list[str], raw: RawFolder) -> dict[str, list[str]]:
    """Character -> its drawings, in order. Raises DataError unless they are those published."""
    part = raw.location.name.removesuffix(".zip")
    published = [c for c in _all_characters() if c.startswith(f"{part}/")]
    found: dict[str, list[str]] = {character: [] for character in published}
    for path in paths:
        if match := DRAWING.fullmatch(path):
            found.setdefault(match["character"], []).append(path)
    expected = dict.fromkeys(published, DRAWINGS)
    wrong = [c for c, drawings in found.items() if len(drawings) != expected.get(c, 0)]
    if wrong:
        named = ", ".join(f"{c.partition('/')[2]} ({len(found[c])})" for c in wrong[:5])
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        complete = len(set(published).difference(wrong))
        raise DataError(
            f"Omniglot at {raw.location} is not as published: {complete} of {len(published)} characters have "
            f"their {DRAWINGS} drawings. Wrong (drawings found): {named}{more}. "
            "Fetch it again, and unpack all of it."
        )
    return {character: sorted(drawings) for character, drawings in found.items()}


def _decode(read: Callable[[str], bytes], path: str, raw: RawFolder, size: int) -> npt.NDArray[np.uint8]:
    """One drawing as uint8 [size, size], ink bright."""
    try:
        with Image.open(io.BytesIO(read(path))) as image:
            grey = image.convert("L").resize((size, size), Image.Resampling.LANCZOS)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{path} in {raw.location} is not a readable PNG ({error}). Fetch it again."
        ) from error
    return 255 - np.asarray(grey, dtype=np.uint8)
