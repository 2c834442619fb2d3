"""Large JSON files, read element by element."""

import io
import json
from typing import Any

import pytest

from harness_datasets import json_stream
from harness_datasets.json_stream import elements

CONTENT: dict[str, Any] = {
    "info": {"year": 2017, "ü": "ö\n]}"},
    "images": [{"id": 1, "name": 'a "quoted" [name], }'}, 12345, -1.5e3, "text", [1, [2]], None],
    "none": [],
    "number": 1234567,
    "annotations": [{"id": k, "segmentation": [[k / 4] * 30]} for k in range(40)],
}


def read(text: bytes) -> list[tuple[str, Any]]:
    return list(elements(io.BytesIO(text)))


def expected(content: dict[str, Any]) -> list[tuple[str, Any]]:
    return [
        (key, element)
        for key, value in content.items()
        for element in (value if isinstance(value, list) else [value])
    ]


@pytest.mark.parametrize("chunk", [1, 2, 7, 64, 1 << 20])
@pytest.mark.parametrize("indent", [None, 2])
def test_elements_are_those_of_the_whole(
    chunk: int, indent: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_stream, "CHUNK", chunk)
    for content in (CONTENT, {}, {"last": 12}):
        text = json.dumps(content, indent=indent, ensure_ascii=False)
        assert read(text.encode()) == expected(content)
        assert read(f"\ufeff \n{text}\n ".encode()) == expected(content)


@pytest.mark.parametrize("chunk", [3, 1 << 20])
def test_what_is_cut_off_is_refused(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "CHUNK", chunk)
    text = json.dumps(CONTENT, ensure_ascii=False).encode()
    for end in (*range(60), *range(60, len(text), 11)):
        with pytest.raises(ValueError, match=r"character|decode"):
            read(text[:end])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"[1]", "'\\[' instead of '{', at character 0"),
        (b'{"a": [1 2]}', "'2' instead of ',', at character 9"),
        (b'{"a": [1, ]}', "']' after a comma, at character 10"),
        (b'{"a": 1, }', "'}' after a comma"),
        (b"{1: [2]}", "no name of a value"),
        (b'{"a" 1}', "'1' instead of ':'"),
        (b'{"a": [x]}', "Expecting value, at character 7"),
        (b'{"a": 1} 2', "more text after the end, at character 9"),
        (b'{"a": [[[', "no|Expecting"),
        (b'{"a": ' + b"[" * 200_000, "too deep"),
        (b'{"a": "\xff"}', "decode"),
    ],
)
def test_what_is_no_json_is_refused(text: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read(text)


def test_no_more_than_the_longest_element_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "MOST", 1000)
    monkeypatch.setattr(json_stream, "CHUNK", 100)
    stream = io.BytesIO(b'{"a": [' + b"[" * 10 + b"1," * 100_000)
    with pytest.raises(ValueError, match="Expecting value"):
        list(elements(stream))
    assert stream.tell() < 5000
