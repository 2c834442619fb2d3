"""Omniglot's 1623 published characters, and the ways they are split into training, validation and test."""

import hashlib
from collections.abc import Mapping

from harness.dataset import SPLITS

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


def characters(splitter: str, split: str) -> list[str]:
    """The characters (`Alphabet/characterNN`) of a split, in class order; no two splits share one.

    shuffled: 1100 / 100 / 423 of all of them, sorted by name within a split. lake: the evaluation alphabets are
    test and `VALIDATION_ALPHABETS` valid, in the order of Meta-Dataset's specification.
    """
    return SPLITTERS[splitter]()[split]


def part_of(character: str) -> str:
    """The archive, background or evaluation, that has a character."""
    alphabet = character.partition("/")[0]
    return next(part for part, alphabets in ALPHABETS.items() if alphabet in alphabets)


def published(part: str) -> list[str]:
    """The characters of one archive."""
    return [
        f"{alphabet}/character{number:02}"
        for alphabet, size in ALPHABETS[part].items()
        for number in range(1, size + 1)
    ]


def _shuffled() -> dict[str, list[str]]:
    """In the order of a hash of their paths: a shuffle that no library version can change."""
    paths = [f"{part}/{name}" for part in ALPHABETS for name in published(part)]
    order = sorted(paths, key=lambda path: hashlib.sha256(path.encode()).digest())
    border = SHUFFLED_TRAIN + SHUFFLED_VALID
    chosen = {"train": order[:SHUFFLED_TRAIN], "valid": order[SHUFFLED_TRAIN:border], "test": order[border:]}
    return {split: [path.partition("/")[2] for path in sorted(paths)] for split, paths in chosen.items()}


def _lake() -> dict[str, list[str]]:
    place = {alphabet: k for k, alphabet in enumerate(VALIDATION_ALPHABETS)}
    chosen: dict[str, list[str]] = {split: [] for split in SPLITS}
    for part in ALPHABETS:
        for name in published(part):
            valid = name.partition("/")[0] in place
            chosen["test" if part == EVALUATION else "valid" if valid else "train"].append(name)
    chosen["valid"].sort(key=lambda name: place[name.partition("/")[0]])  # stable within an alphabet
    return chosen


SPLITTERS = {"shuffled": _shuffled, "lake": _lake}
