"""Pickles of numbers, lists and numpy arrays, read without running what a stranger wrote into them."""

import codecs
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from harness.errors import DataError

FORBIDDEN = "which has no place in a data set"


def _encode(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes for Python 2; other codecs can decompress without end."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it asks for the codec {encoding!r}, {FORBIDDEN}")
    return codecs.latin_1_encode(text)[0]


def _allowed() -> dict[tuple[str, str], Any]:
    """(module, name) -> what stands for it: numpy's constructors under their old and new names."""
    # numpy names its own constructors in pickles, and moved them in 1.16 and 2.0.
    array = np.empty(0, np.uint8)
    reconstruct = array.__reduce__()[0]
    scalar = np.int64(0).__reduce__()[0]
    from_buffer = cast(Any, array.__reduce_ex__(5))[0]
    allowed: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("collections", "OrderedDict"): OrderedDict,
        ("_codecs", "encode"): _encode,
    }
    for core in ("numpy.core", "numpy._core"):
        allowed[f"{core}.multiarray", "_reconstruct"] = reconstruct
        allowed[f"{core}.multiarray", "scalar"] = scalar
        allowed[f"{core}.numeric", "_frombuffer"] = from_buffer
    for kind in (list, tuple, dict, set, frozenset, bytearray, int, float, complex, bool, str, bytes):
        allowed["builtins", kind.__name__] = kind
    return allowed


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: IO[bytes]) -> None:
        # latin1 is how numpy's arrays from Python 2 are read; bytes of Python 3 are not touched by it.
        super().__init__(stream, encoding="latin1")
        self._allowed = _allowed()

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._allowed[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, {FORBIDDEN}") from None


UNREADABLE = (
    pickle.UnpicklingError,
    OSError,
    EOFError,
    AttributeError,
    ImportError,
    LookupError,
    TypeError,
    ValueError,
    ArithmeticError,
    MemoryError,
    RecursionError,
    AssertionError,
    struct.error,
    SystemError,
)
"""What unpickling damaged or hostile content raises."""


def load_pickle(open_file: Callable[[], IO[bytes]], path: str, location: Path) -> dict[str, Any]:
    """The dictionary that a pickle holds, its keys as text: arrays, numbers, texts, lists and dictionaries alone.

    Reads what Python 2 and 3 write. The content is in memory in full, as pickles cannot be read otherwise.
    Raises DataError, naming `path` in `location`, for anything else, for damaged content, and for a pickle that
    would run code; nothing of it is run.
    """
    try:
        with open_file() as stream:
            content = _Unpickler(stream).load()
    except UNREADABLE as error:
        raise DataError(
            f"{path} in {location} is no readable pickle of arrays ({error or type(error).__name__}). "
            "Fetch it again from its original place."
        ) from error
    if not isinstance(content, dict):
        raise DataError(
            f"{path} in {location} holds a {type(content).__name__}, not a dictionary: is it the right file?"
        )
    return {as_text(key): value for key, value in content.items()}


def as_text(name: object) -> str:
    """A name in a pickle, which is text or, from Python 2, bytes."""
    return name.decode("latin1") if isinstance(name, bytes) else str(name)


def entry(content: dict[str, Any], key: str, path: str, location: Path) -> Any:
    """One value of the dictionary. Raises DataError where it is not there, naming those that are."""
    if key not in content:
        raise DataError(
            f"{path} in {location} has no entry {key!r}; it has {sorted(content)}: is it the right file?"
        )
    return content[key]
