"""LIBSVM as it is found: each way to write it is right, or refused with line and word."""

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal

from ist_mpi.errors import InputError
from ist_mpi.problems.data.libsvm import read_libsvm
from ist_mpi.problems.ridge import RidgeSettings, RidgeSource, load

TEXT = "1 1:0.5 2:1\n-1 1:1 2:-1 3:2\n1 2:3\n-1 3:1.5\n"
X = np.array([[0.5, 1, 0], [1, -1, 2], [0, 3, 0], [0, 0, 1.5]])
Y = np.array([1.0, -1, 1, -1])


def opened(folder: Path, contents: bytes | str, name: str = "data", **problem: Any) -> RidgeSource:
    path = folder / name
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    return load(RidgeSettings(kind="ridge", n=2, path=str(path), **problem))


def zstd(contents: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(contents)
    return bytes(sink.getvalue().to_pybytes())


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
}
RIGHT: dict[str, str] = {
    "as it should be": TEXT,
    "no end": TEXT[:-1],
    "byte-order mark": "\ufeff" + TEXT,
    "a blank after the colon": TEXT.replace("3:2", "3: 2").replace("2:3", "2:\t3"),
    "CR": TEXT.replace("\n", "\r"),
    "CR LF": TEXT.replace("\n", "\r\n"),
    "CR LF, no end": TEXT.replace("\n", "\r\n")[:-1],
    "all line ends": TEXT.replace("\n", "\r", 1).replace("\n", "\r\n", 1),
    "comments, blank lines": "# made\n\n" + TEXT.replace("\n", " # so: 1_0\n\n"),
    "blanks": TEXT.replace(" ", " \t ").replace("\n", "  \n "),
    "other numbers": TEXT.replace("0.5", ".5e+0").replace("1 2:3", "+1. 2:03.0"),
    "zeros": TEXT.replace("\n1 2:3", "\n1 1:0 2:3 3:-0.0"),
    "leading zeros": TEXT.replace("1:0.5", f"{'0' * 25}1:0.5"),
    "from 0": TEXT.replace("1:", "0:").replace("2:", "1:").replace("3:", "2:"),
    "queries": TEXT.replace("1 1:0.5", "1 qid:7 1:0.5"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_ways_to_write_it(name: str, tmp_path: Path) -> None:
    source = opened(tmp_path, RIGHT[name])
    assert_array_equal(source.A.toarray(), X)
    assert_array_equal(source.y, Y)


@pytest.mark.parametrize("name", ["data", "data.GZ", "data.svm.Xz", "data.txt.zst"])
@pytest.mark.parametrize("pack", PACKED)
def test_packed_by_its_first_bytes_whatever_its_name(pack: str, name: str, tmp_path: Path) -> None:
    for text in (TEXT, TEXT[:-1]):
        source = opened(tmp_path, PACKED[pack](text.encode()), name)
        assert_array_equal(source.A.toarray(), X)


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def zipped(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, TEXT)
    return file.getvalue()


def array(values: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


WRONG: dict[str, tuple[str | bytes, list[str]]] = {
    "UTF-16": (TEXT.encode("utf-16"), ["text in UTF-16", "iconv"]),
    "UTF-16, no mark": (TEXT.encode("utf-16-le"), ["text in UTF-16"]),
    "UTF-16, big-endian": (TEXT.encode("utf-16-be"), ["text in UTF-16"]),
    "UTF-32": (TEXT.encode("utf-32"), ["text in UTF-32"]),
    "zip": (zipped("data.svm"), ["a zip archive of data.svm", "unpack it"]),
    "npz of other things": (npz(A=X), ["no X among A", "X (m, d) and y (m,)"]),
    "npy of no table": (array(Y), ["float64 of shape (4,)"]),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(99), ["an HDF5 file"]),
    "HDF5 after a block": (bytes(512) + b"\x89HDF\r\n\x1a\n" + bytes(99), ["an HDF5 file"]),
    "MATLAB": (b"MATLAB 5.0 MAT-file, Platform" + bytes(99), ["MATLAB", "-v7.3"]),
    "Parquet": (b"PAR1\x15\x04" + bytes(99), ["a Parquet file", "pandas.read_parquet"]),
    "PDF": (b"%PDF-1.7\n", ["a PDF"]),
    "packed twice": (gzip.compress(bz2.compress(TEXT.encode())), ["bzip2 inside", "gzip"]),
    "zip in gzip": (gzip.compress(zipped("a")), ["a zip archive inside", "gzip"]),
    "UTF-16 in xz": (lzma.compress(TEXT.encode("utf-16")), ["text in UTF-16 inside", "xz"]),
    "empty": (b"", ["an empty file"]),
    "empty, packed": (gzip.compress(b""), ["an empty file"]),
    "gzip, cut": (gzip.compress(TEXT.encode() * 50)[:-9], ["cannot be read", "ended before"]),
    "zstd, cut": (zstd(TEXT.encode() * 50)[:-5], ["cannot be read"]),
    "xz, cut": (lzma.compress(TEXT.encode() * 50)[:-20], ["cannot be read"]),
    "xz, damaged": (lzma.compress(TEXT.encode())[:-3] + b"abc", ["cannot be read"]),
    "1_0 as value": (TEXT.replace("0.5", "1_0"), ["line 1", '"1:1_0"']),
    "1_0 as index": (TEXT.replace("3:1.5", "1_0:1.5"), ["line 4", '"1_0:1.5"']),
    "1_0 as label": (TEXT.replace("1 2:3", "1_0 2:3"), ["line 3", 'label "1_0"']),
    "digits of others as index": (TEXT.replace("2:3", "٢:3"), ["line 3", '"٢:3"']),
    "digits of others as value": (TEXT.replace("2:3", "2:３"), ["line 3", '"2:３"']),
    "digits of others as label": ("١ 1:1\n", ["line 1", 'label "١"']),
    "no-break space": (TEXT.replace(" 2:3", "\u00a02:3"), ["line 3", "\\xa02:3"]),
    "no-break space in a word": (TEXT.replace(" 3:2", " \u00a03:2"), ["line 2", '"\\xa03:2"']),
    "a blank before the colon": (TEXT.replace("3:2", "3 :2"), ["line 2", '"3"']),
    "nothing after the colon": (TEXT.replace("3:2", "3: "), ["line 2", '"3:"']),
    "hexadecimal": (TEXT.replace("3:2", "3:0x2"), ["line 2", '"3:0x2"']),
    "true": (TEXT.replace("3:2", "3:true"), ["line 2", '"3:true"']),
    "a line of CR, of all": (TEXT.replace("\n", "\r").replace("3:2", "3:z"), ["line 2", '"3:z"']),
    "an index beyond all": ("1 99999999999:1\n", ["line 1", "index 99999999999", "too large"]),
    "1e200": (TEXT.replace("0.5", "1e200"), ["samples up to 1e+200", "1e+140"]),
    "1e-200": ("1 1:1e-200\n-1 1:2e-200\n", ["samples up to 2e-200"]),
    "1e200 as label": (TEXT.replace("1 2:3", "1e200 2:3"), ["labels up to 1e+200"]),
    "1e-200 as labels": ("1e-200 1:1\n0 1:2\n", ["labels up to 1e-200"]),
    "1e999": (TEXT.replace("0.5", "1e999"), ["line 1", '"1:1e999"']),
    "features that are 0": ("1 1:0\n-1 1:0\n", ["2 samples without any feature"]),
    "npy, header": (array(X).replace(b"(4, 3)", b"(4, 3-"), ["whose header cannot be read"]),
    "npy, cut": (array(X)[:-8], ["bytes of data where shape (4, 3) has 96"]),
    "npy of objects": (array(np.array([[1.0, {}]], object)), ["Python objects"]),
    "labels that are 0": ("0 1:1\n-0.0 1:2\n", ["labels that are all 0"]),
}


def test_zstd_is_read_from_the_start_as_often_as_it_takes(tmp_path: Path) -> None:
    """Pyarrow closes what it has read."""
    table = b"a,b,y\n1,2,3\n4,5,6\n"
    for name, target in (("data", "y"), ("data.csv.zst", 2)):
        assert_array_equal(opened(tmp_path, zstd(table), name, target=target).y, [3, 6])


@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused_in_plain_words(name: str, tmp_path: Path) -> None:
    contents, fragments = WRONG[name]
    with pytest.raises(InputError) as caught:
        opened(tmp_path, contents)
    assert str(tmp_path / "data") in str(caught.value)
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_features_beyond_d_are_named_from_0_and_from_1(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 2: feature 3, but problem\.d = 2"):
        opened(tmp_path, TEXT, d=2)
    with pytest.raises(InputError, match=r"feature 2, where the first is 0, but problem\.d = 2"):
        opened(tmp_path, RIGHT["from 0"], d=2)


def test_lines_are_whole_wherever_a_read_ends(tmp_path: Path) -> None:
    """In whatever pieces the text comes, line ends of two bytes are one."""

    class Pieces(io.BytesIO):
        step = 3

        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(self.step)

    for text in (RIGHT["CR LF"], RIGHT["CR LF, no end"], RIGHT["CR"], RIGHT["no end"]):
        for Pieces.step in range(1, 9):
            A, y, first = read_libsvm(Pieces(text.encode()), tmp_path)
            assert_array_equal(A.toarray(), X)
            assert_array_equal(y, Y)
            assert first == 1
    with pytest.raises(InputError, match='line 3: "2:z"'):
        read_libsvm(Pieces(RIGHT["CR LF"].replace("2:3", "2:z").encode()), tmp_path)


def test_a_table_in_place_of_it_is_told_how_to_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 1: label .*\.csv, or with problem.target"):
        opened(tmp_path, "1,0.5,2\n0,1.5,3\n")


@pytest.mark.parametrize("setting", [{"target": "y"}, {"worker": 1}, {"header": True}], ids=str)
def test_it_has_no_columns(setting: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="LIBSVM text"):
        opened(tmp_path, TEXT, "data.svm", **setting)
