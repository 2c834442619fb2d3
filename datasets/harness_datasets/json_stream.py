"""Large JSON files, read element by element: one of hundreds of megabytes would take gigabytes as Python objects."""

import codecs
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

CHUNK = 1 << 20
MOST = 64 << 20
"""No single element is longer, in characters."""

_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"[0-9.eE+-]*")


def elements(stream: IO[bytes]) -> Iterator[tuple[str, Any]]:
    """Yield what the object that the stream holds has: (key, element) of each list, (key, value) of what is none.

    In the order of the file; no more than one element and a few megabytes of text are in memory.
    Raises ValueError, saying where, for what is no such JSON text in UTF-8, or ends too early.
    """
    text = _Text(stream)
    text.expect("{")
    while text.ahead() != "}":
        key = text.value()
        if not isinstance(key, str):
            raise text.wrong("no name of a value")
        text.expect(":")
        if text.ahead() == "[":
            text.expect("[")
            while text.ahead() != "]":
                yield key, text.value()
                text.expect_between("]")
            text.expect("]")
        else:
            yield key, text.value()
        text.expect_between("}")
    text.expect("}")
    if text.ahead():
        raise text.wrong("more text after the end")


def take_elements(stream: IO[bytes], take: Mapping[str, Callable[[Any], None]]) -> None:
    """Call, for each element of each list that `take` names, the function there; others are passed over.

    Raises ValueError as `elements` does, and for an element on which its function raises what an unfit one causes.
    """
    for key, element in elements(stream):
        if key in take:
            try:
                take[key](element)
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                reason = f"{type(error).__name__}: {error}"
                raise ValueError(f"{str(element)[:200]} is none of its {key} ({reason})") from error


class _Text:
    """The text of a stream from one place onwards."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._scan = json.JSONDecoder().raw_decode
        self._text, self._at, self._before, self._over = "", 0, 0, False

    def ahead(self) -> str:
        """The next character that is no space; "" at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def expect(self, character: str) -> None:
        """Step over this character."""
        found = self.ahead()
        if found != character:
            raise self.wrong(f"{found!r} instead of {character!r}" if found else f"no {character!r}")
        self._at += 1

    def expect_between(self, end: str) -> None:
        """Step over the comma between two elements; after the last comes `end`, which is left."""
        if self.ahead() == end:
            return
        self.expect(",")
        if self.ahead() == end:
            raise self.wrong(f"{end!r} after a comma")

    def value(self) -> Any:
        """The next value, whole."""
        self.ahead()
        while True:
            try:
                found, end = self._scan(self._text, self._at)
            except (json.JSONDecodeError, RecursionError) as error:
                # Either it is no JSON or its end is not there yet.
                if len(self._text) - self._at > MOST or not self._more():
                    raise self.wrong(error.msg if isinstance(error, ValueError) else "too deep") from None
                continue
            # A number may go on after what is there: 1 is read of 1.5 that is cut before the 5.
            whole = _NUMBER.match(self._text, end)
            if (whole and whole.end() < len(self._text)) or not self._more():
                self._at = end
                return found

    def wrong(self, said: str) -> ValueError:
        """What is said of a text that is no JSON."""
        return ValueError(f"{said}, at character {self._before + self._at}")

    def _more(self) -> bool:
        """Read on, as much again as is waiting, so that a long element is not scanned too often."""
        if self._over:
            return False
        waiting = self._text[self._at :]
        chunk = self._stream.read(max(CHUNK, len(waiting)))
        self._over = not chunk
        self._before += self._at
        self._text, self._at = waiting + self._decode(chunk, self._over), 0
        return True
