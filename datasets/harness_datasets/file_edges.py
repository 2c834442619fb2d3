"""The first and last bytes of large files: enough to tell that content changed, without reading gigabytes."""

import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness_datasets.raw_archives import DAMAGED, open_zip
from harness_datasets.raw_files import ZIP, RawFolder, damaged

EDGE = 64 * 1024

LOCAL_HEADER = struct.Struct("<4s22xHH")
"""What stands before a member of a zip: a mark, and the lengths of its name and of further fields."""

LOCAL_MARK, ENCRYPTED = b"PK\x03\x04", 1


@contextmanager
def edge_reader(raw: RawFolder) -> Iterator[Callable[[str, int], bytes]]:
    """A function from the path and size of a file to its first and last `EDGE` bytes, or all of a smaller file.

    A file in a folder, a plain tar, or stored in a zip is read at its ends only; a compressed one must be read
    through. The function raises DataError for a file that is damaged or not there.
    """
    stored = _stored(raw.location) if raw.form == ZIP else {}
    with raw.opener() as opened:

        def read(path: str, size: int) -> bytes:
            try:
                if path in stored:
                    return _stored_edges(raw.location, stored[path], size)
                with opened(path) as stream:
                    head = stream.read(EDGE)
                    if size > 2 * EDGE:
                        stream.seek(size - EDGE)
                    return head + stream.read()
            except DAMAGED as error:
                raise damaged(path, raw.location, error) from error

        yield read


def _stored(location: Path) -> dict[str, int]:
    """Path -> where its header begins, of the members of a zip that are neither compressed nor encrypted."""
    with open_zip(location) as archive:
        return {
            info.filename: info.header_offset
            for info in archive.infolist()
            if info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & ENCRYPTED
        }


def _stored_edges(location: Path, offset: int, size: int) -> bytes:
    with location.open("rb") as file:
        file.seek(offset)
        mark, name, more = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
        if mark != LOCAL_MARK:
            raise zipfile.BadZipFile("its header is overwritten")
        start = offset + LOCAL_HEADER.size + name + more
        file.seek(start)
        head = file.read(min(EDGE, size))
        file.seek(start + max(size - EDGE, len(head)))
        tail = file.read(max(0, min(EDGE, size - len(head))))
    if len(head) + len(tail) != min(size, 2 * EDGE):
        raise EOFError("it is cut off")
    return head + tail
