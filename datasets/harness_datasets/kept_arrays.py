"""Arrays that take a long pass over raw data to find, kept in the folder of prepared data.

That is `$HARNESS_CACHE` or the user's cache folder. They lie there as .npy files under a digest of what they are of,
and are mapped from disk when they are asked for again.
"""

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[Any]]


def kept_arrays(kind: str, about: object, names: Sequence[str]) -> Arrays | None:
    """The arrays of these names, mapped from disk; None where there are none that can be read.

    kind: the folder of all that are of one kind. about: all that they depend on; its `repr` is digested.
    """
    folder = _folder(kind, about)
    try:
        return {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names}
    except (OSError, ValueError, EOFError):
        return None


def keep_arrays(kind: str, about: object, arrays: Arrays) -> None:
    """Keep arrays; a folder that cannot be written is no reason to stop, as the pass can be made again."""
    folder = _folder(kind, about)
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        with suppress(OSError):
            aside.mkdir(parents=True, exist_ok=True)
            for name, array in arrays.items():
                np.save(aside / f"{name}.npy", array)
            if folder.is_dir():
                shutil.rmtree(folder)
            aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _folder(kind: str, about: object) -> Path:
    import platformdirs

    cache = os.environ.get("HARNESS_CACHE") or platformdirs.user_cache_dir("harness", appauthor=False)
    return Path(cache) / kind / hashlib.sha256(repr(about).encode()).hexdigest()[:20]
