"""Lines of a CSV file as they come off the disk, whatever they hold."""

import csv
import gzip
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.data.imports.lines import LINE_LIMIT, Bad, FileDamaged, LineFile, Record, records_read
from apps.foundation.core.errors import Invalid


def cut(data: bytes, size: int = 7) -> Iterator[bytes]:
    """Blocks as a disk might give them."""
    return (data[at : at + size] for at in range(0, len(data), size))


def fields(data: bytes, width: int | None = None) -> list[list[str] | str]:
    """What is read: fields, or the reason against them."""
    return [f.reason if isinstance(f, Bad) else f for _, _, _, f in records_read(cut(data), width=width)]


@given(
    rows=st.lists(
        st.lists(
            st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\r")), min_size=2, max_size=4
        ),
        max_size=8,
    ),
    end=st.sampled_from(["\n", "\r\n"]),
    size=st.integers(1, 40),
)
def test_what_csv_writes_is_read_as_csv_reads_it(rows: list[list[str]], end: str, size: int) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator=end).writerows(rows)
    wanted = [row for row in rows if any(field.strip() for field in row) or len(row) > 1]

    got = [f for _, _, _, f in records_read(cut(buffer.getvalue().encode(), size))]

    assert got == wanted


@given(data=st.binary(max_size=300), size=st.integers(1, 50))
def test_any_bytes_are_read_to_the_end_and_can_be_resumed_at_each_record(data: bytes, size: int) -> None:
    whole: list[Record] = list(records_read(cut(data, size)))

    offsets = [end for _, end, _, _ in whole]
    assert offsets == sorted(offsets)
    assert not offsets or offsets[-1] <= len(data)
    for number, (line, end, raw, _) in enumerate(whole):
        rest = list(records_read(cut(data[end:], size), offset=end, line=line + raw.count(b"\n")))
        assert [(e, f) for _, e, _, f in rest] == [(e, f) for _, e, _, f in whole[number + 1 :]]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_all_line_ends(end: str) -> None:
    assert fields(f"a,b{end}1,2{end}{end}3,4".encode()) == [["a", "b"], ["1", "2"], ["3", "4"]]


def test_an_unclosed_quotation_mark_costs_its_own_line_only() -> None:
    data = b'1,"open\n2,fine\n3,"also, fine"\n' + b"4,x\n" * 500

    got = fields(data, width=2)

    assert got[0] == "its quotation marks are wrong: ',' expected after '\"'"
    assert got[1:3] == [["2", "fine"], ["3", "also, fine"]]
    assert got[3:] == [["4", "x"]] * 500


def test_a_quotation_mark_open_to_the_end_of_the_file() -> None:
    assert fields(b'1,"open\n2,fine\n3,fine\n') == [
        "a quotation mark is opened and never closed",
        ["2", "fine"],
        ["3", "fine"],
    ]


def test_reading_again_after_unclosed_marks_takes_no_quadratic_time() -> None:
    count = 10_000
    data = b'a"b,"c\n' * count  # each line opens a field, and leaves open what another opened
    assert len(list(records_read(iter([data])))) == count


def test_a_field_over_several_lines_is_one_record() -> None:
    records = list(records_read(cut(b'1,"a\r\nb"\n2,c\n')))
    assert [(line, f) for line, _, _, f in records] == [(1, ["1", "a\nb"]), (3, ["2", "c"])]


def test_what_is_wrong_with_a_line_is_said() -> None:
    data = b"1,2\n1,2,3\n1\n\xff\xfe,2\n1,\0\n3,4\n"
    assert fields(data, width=2) == [
        ["1", "2"],
        "it has 3 columns, the header has 2",
        "it has 1 columns, the header has 2",
        "it is not UTF-8: byte 0xff at position 1",
        "it holds a NUL byte",
        ["3", "4"],
    ]


def test_a_line_too_long_is_skipped_without_being_held() -> None:
    blocks = iter([b"1,2\n3,"] + [b"x" * LINE_LIMIT] * 20 + [b"\n5,6\n"])

    records = list(records_read(blocks, width=2))

    assert [f if isinstance(f, list) else f.reason for _, _, _, f in records] == [
        ["1", "2"],
        f"it is longer than {LINE_LIMIT} bytes",
        ["5", "6"],
    ]
    assert len(records[1][2]) < 1000
    assert records[2][1] == 4 + 2 + 20 * LINE_LIMIT + 1 + 4


def test_compressed_files_are_told_by_their_bytes(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbfa,b\n1,2\n", mtime=0) + gzip.compress(b"3,4\n") + b"\0" * 100)

    file = LineFile(path)
    got = [f for _, _, _, f in records_read(file.blocks(file.start), offset=file.start)]

    assert got == [["a", "b"], ["1", "2"], ["3", "4"]]
    assert b"".join(file.blocks(7)) == b"1,2\n3,4\n"


def test_a_compressed_file_cut_off_gives_what_is_there_and_then_says_so(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv.gz"
    whole = gzip.compress(b"".join(b"%d,%d\n" % (n, n * n % 9973) for n in range(50_000)))
    path.write_bytes(whole[: len(whole) // 2])
    got: list[list[str] | Bad] = []

    with pytest.raises(FileDamaged, match="too early"):
        got.extend(f for _, _, _, f in records_read(LineFile(path).blocks(), width=2))

    assert len(got) > 20_000
    assert all(isinstance(f, list) for f in got[:-1])


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"), (b"PK\x03\x04rest", "workbook"), (b"\xff\xfea\0", "UTF-16"),
        (gzip.compress(b"", mtime=0), "empty"), (b"%PDF-1.7", "PDF"),
    ],
)  # fmt: skip
def test_what_is_no_csv_is_refused(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(content)
    with pytest.raises(Invalid, match=word):
        LineFile(path)
    with pytest.raises(Invalid, match="no file"):
        LineFile(tmp_path / "none.csv")
