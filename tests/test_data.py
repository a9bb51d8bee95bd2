"""Data: loaders, their refusals, the stratified split, the embedded digits."""

from __future__ import annotations

import gzip
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lilliput.data import (
    load_csv,
    load_digits,
    load_folder,
    load_idx,
    load_npz,
    make_dataset,
    read_idx,
    read_image,
    stratified_split,
)
from lilliput.data.dataset import refuse_empty_class
from lilliput.errors import UserError
from shared import shared


def idx_bytes(array: np.ndarray, code: int = 8) -> bytes:
    header = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


# --- the embedded digits ---


def test_digits_are_balanced_and_small() -> None:
    train, test = load_digits()
    assert train.x.shape == (10_000, 28, 28, 1)
    assert test.x.shape == (2_000, 28, 28, 1)
    assert train.x.dtype == np.uint8
    assert train.labels == tuple("0123456789")
    assert train.counts().tolist() == [1000] * 10
    assert test.counts().tolist() == [200] * 10
    file = Path(__file__).parents[1] / "src/lilliput/data/digits.npz"
    assert file.stat().st_size <= 3_000_000


def test_digits_are_real_ones_of_mnist() -> None:
    for ours, theirs in zip(load_digits(), load_idx(shared("data", "mnist")), strict=True):
        known = {(x.tobytes(), int(y)) for x, y in zip(theirs.x, theirs.y, strict=True)}
        drawn = {(x.tobytes(), int(y)) for x, y in zip(ours.x, ours.y, strict=True)}
        assert drawn <= known
        assert len(drawn) == len(ours)


# --- IDX ---


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("dtype", "code"), [("u1", 8), ("i1", 9), ("i2", 11), ("i4", 12), ("f4", 13), ("f8", 14)]
)
def test_idx_round_trip(tmp_path: Path, packed: bool, dtype: str, code: int) -> None:
    array = np.arange(2 * 3 * 4).reshape(2, 3, 4).astype(dtype)
    path = tmp_path / ("a.gz" if packed else "a")
    path.write_bytes(gzip.compress(idx_bytes(array, code)) if packed else idx_bytes(array, code))
    assert np.array_equal(read_idx(path), array)
    assert read_idx(path).dtype == np.dtype(dtype)


GOOD = idx_bytes(np.zeros((2, 3), np.uint8))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with nothing"),
        (b"\x01" + GOOD[1:], "IDX header"),
        (b"\0\0\x07\x02" + GOOD[4:], "IDX header"),
        (b"\0\0\x08\xff" + GOOD[4:], "IDX header"),
        (GOOD[:9], "ends inside its header"),
        (GOOD[:-1], "the file has 5"),
        (GOOD + b"x", "the file has more"),
        (b"\0\0\x08\x03" + struct.pack(">3I", *[2**32 - 1] * 3), "expected at most"),
        (b"\0\0\x08\x01" + struct.pack(">I", 2**31) + b"few", "the file has 3"),
    ],
)
def test_hostile_idx(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_broken_gzip_and_missing_idx(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(GOOD)[:-6])
    with pytest.raises(UserError, match="cannot be read"):
        read_idx(tmp_path / "a.gz")
    with pytest.raises(UserError, match="no such file"):
        read_idx(tmp_path / "none")
    with pytest.raises(UserError, match="no file train-images"):
        load_idx(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        load_idx(tmp_path / "none")


def test_idx_folder(tmp_path: Path) -> None:
    for prefix, count in (("train", 6), ("t10k", 3)):
        images = np.full((count, 4, 5), 7, np.uint8)
        (tmp_path / f"{prefix}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        labels = np.arange(count).astype(np.uint8) % 3
        (tmp_path / f"{prefix}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    train, test = load_idx(tmp_path)
    assert train.input_shape == (4, 5, 1)
    assert (len(train), len(test), train.labels) == (6, 3, ("0", "1", "2"))


# --- image folders ---


def paint(path: Path, mode: str = "L", size: tuple[int, int] = (8, 6), value: object = 200) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)


def pictures(root: Path) -> Path:
    for part in ("train", "test"):
        for index, label in enumerate(("cat", "dog")):
            for number in range(3):
                paint(root / part / label / f"{number}.png", value=100 * index + number)
    return root


def test_folder(tmp_path: Path) -> None:
    train, test = load_folder(pictures(tmp_path), (6, 8), 1)
    assert test is not None
    assert train.labels == test.labels == ("cat", "dog")
    assert train.x.shape == (6, 6, 8, 1)
    assert train.x[:, 0, 0, 0].tolist() == [0, 1, 2, 100, 101, 102]
    assert train.y.tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("mode", "value", "gray", "rgb"),
    [
        ("L", 200, 200, [200, 200, 200]),
        ("RGB", (255, 0, 0), 76, [255, 0, 0]),
        ("RGBA", (255, 255, 255, 0), 0, [0, 0, 0]),
        ("I;16", 200 * 256 + 13, 200, [200, 200, 200]),
        ("1", 1, 255, [255, 255, 255]),
    ],
)
def test_picture_modes(tmp_path: Path, mode: str, value: object, gray: int, rgb: list[int]) -> None:
    paint(tmp_path / "a.png", mode, (5, 4), value)
    assert read_image(tmp_path / "a.png", (4, 5), 1)[2, 3].tolist() == [gray]
    resized = read_image(tmp_path / "a.png", (7, 9), 3)
    assert resized.shape == (7, 9, 3)
    assert resized[3, 3].tolist() == rgb


def test_corrupt_picture_is_named_or_skipped(tmp_path: Path) -> None:
    pictures(tmp_path)
    bad = tmp_path / "train/dog/1.png"
    bad.write_bytes(bad.read_bytes()[:40])
    with pytest.raises(UserError, match="--skip-bad") as caught:
        load_folder(tmp_path, (6, 8), 1)
    assert str(bad) in str(caught.value)
    notes: list[str] = []
    train, _ = load_folder(tmp_path, (6, 8), 1, skip_bad=True, report=notes.append)
    assert len(train) == 5
    assert len(notes) == 1
    assert str(bad) in notes[0]


def test_picture_that_would_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paint(tmp_path / "a.png")
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 10)
    with pytest.raises(UserError, match="DecompressionBomb"):
        read_image(tmp_path / "a.png", (6, 8), 1)


def test_folder_without_usable_class(tmp_path: Path) -> None:
    pictures(tmp_path)
    for file in (tmp_path / "train/dog").iterdir():
        file.write_text("no picture")
    with pytest.raises(UserError, match="class 'dog' has no usable image"):
        load_folder(tmp_path, (6, 8), 1, skip_bad=True)


def test_folder_of_other_form(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        load_folder(tmp_path, (6, 8), 1)
    pictures(tmp_path)
    (tmp_path / "test/cow").mkdir()
    with pytest.raises(UserError, match="cow"):
        load_folder(tmp_path, (6, 8), 1)
    with pytest.raises(UserError, match="expected 1 \\(gray\\) or 3"):
        load_folder(tmp_path, (6, 8), 2)


# --- npz ---


def test_npz_with_and_without_test_part(tmp_path: Path) -> None:
    x, y = np.zeros((6, 4, 5), np.uint8), np.array([0, 1, 2] * 2)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x[:3], y_test=y[:3])
    train, _, test = load_npz(tmp_path / "a.npz")
    assert test is not None
    assert train.x.shape == (6, 4, 5, 1)
    assert test.labels == ("0", "1", "2")
    np.savez(tmp_path / "b.npz", x=np.zeros((6, 7)), y=y, labels=np.array(["a", "b", "c"]))
    train, _, test = load_npz(tmp_path / "b.npz")
    assert test is None
    assert train.x.shape == (6, 1, 1, 7)
    assert train.x.dtype == np.float32
    assert train.labels == ("a", "b", "c")


def test_npz_for_regression(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 2)), y=np.array([0.5, 1.0, 2.0]))
    data, _, _ = load_npz(tmp_path / "a.npz")
    assert data.labels == ()
    assert data.y.shape == (3, 1)
    assert data.outputs == 1


def test_npz_with_a_validation_part(tmp_path: Path) -> None:
    """A split by subject; and targets that are windows themselves."""
    x, y = np.zeros((6, 4, 5)), np.zeros((6, 4, 5), np.float32)
    parts = {"train": x, "validation": x[:2], "test": x[:3]}
    arrays = {f"x_{part}": v for part, v in parts.items()} | {
        f"y_{part}": v * 0.5 for part, v in parts.items()
    }
    np.savez(tmp_path / "a.npz", **arrays)
    train, validation, test = load_npz(tmp_path / "a.npz")
    assert validation is not None
    assert test is not None
    assert (len(train), len(validation), len(test)) == (6, 2, 3)
    assert validation.y.shape == (2, 20)
    np.savez(tmp_path / "b.npz", x=x, y=y, x_validation=x[:1])
    with pytest.raises(UserError, match="no array y_validation"):
        load_npz(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", **arrays | {"x_validation": x[:2, :3]})
    with pytest.raises(UserError, match="but validation samples"):
        load_npz(tmp_path / "c.npz")


def test_bad_npz(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with pytest.raises(UserError, match="no such file"):
        load_npz(path)
    path.write_text("not a zip")
    with pytest.raises(UserError, match="not a readable"):
        load_npz(path)
    np.savez(path, x=np.zeros((2, 2)), y=np.array([{}, {}], object))
    with pytest.raises(UserError, match="without objects"):
        load_npz(path)
    np.savez(path, x_train=np.zeros((2, 2)), y_train=np.zeros(2, int))
    with pytest.raises(UserError, match="no array x_test, y_test"):
        load_npz(path)
    np.savez(path, x=np.array([[1.0, 2.0], [np.nan, 0.0]]), y=np.array([0, 1]))
    with pytest.raises(UserError, match=r"the value at \(1, 0\) is nan"):
        load_npz(path)


def test_npz_bomb_and_duplicates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.zeros((1000, 1000), np.uint8), y=np.zeros(1000, int))
    monkeypatch.setattr("lilliput.data.arrays.LARGEST", 100_000)
    with pytest.raises(UserError, match="when unpacked"):
        load_npz(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("x.npy", b"")
    with pytest.raises(UserError, match="same name"):
        load_npz(path)


# --- csv ---


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,kind,b\n1,10,2\n3,9,4\n\n5,10,6.5\n")
    data = load_csv(path, "kind")
    assert data.labels == ("9", "10")
    assert data.y.tolist() == [1, 0, 1]
    assert data.x.reshape(3, 2).tolist() == [[1, 2], [3, 4], [5, 6.5]]
    assert load_csv(path, "b", regression=True).y.ravel().tolist() == [2, 4, 6.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "header"),
        ("a,a\n1,2\n", "all different"),
        ("a,y\n", "no rows"),
        ("a,y\n1,x\n1\n", "line 3: 1 cells"),
        ("a,y\n1,x\nfive,x\n", "line 3: .*'five'"),
        ("a,y\ninf,x\n", "line 2: .*finite"),
        ("a,b\n1,2\n", "no column 'y'"),
    ],
)
def test_bad_csv(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        load_csv(path, "y")


def test_csv_that_is_missing_or_not_numbers(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        load_csv(tmp_path / "none.csv", "y")
    (tmp_path / "a.csv").write_text("a,y\n1,high\n")
    with pytest.raises(UserError, match="expected numbers"):
        load_csv(tmp_path / "a.csv", "y", regression=True)


# --- data sets and splits ---


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((2, 3)), np.zeros(3, int), "2 samples but 3 targets"),
        (np.zeros((0, 3)), np.zeros(0, int), "no samples"),
        (np.zeros((2, 0)), np.zeros(2, int), "none of them 0"),
        (np.zeros(2), np.zeros(2, int), "expected \\(N, features\\)"),
        (np.zeros((2, 3)), np.array([0, -1]), "class -1 is negative"),
        (np.zeros((2, 3)), np.array([0, 9]), "class 9 among 2 samples"),
        (np.zeros((2, 3)), np.array([0.0, np.inf]), "is inf"),
        (np.array([["a"], ["b"]]), np.zeros(2, int), "expected numbers"),
    ],
)
def test_refused_arrays(x: np.ndarray, y: np.ndarray, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_dataset(x, y, None, "here")


def test_empty_class() -> None:
    data = make_dataset(np.zeros((3, 2)), np.array([0, 2, 2]), ("a", "b", "c"), "here")
    with pytest.raises(UserError, match="class 'b' has no samples"):
        refuse_empty_class(data, "here")
    with pytest.raises(UserError, match="class 2 but only 2 labels"):
        make_dataset(np.zeros((3, 2)), np.array([0, 2, 2]), ("a", "b"), "here")


def test_stratified_split() -> None:
    y = np.repeat([0, 1, 2], [100, 50, 3])
    data = make_dataset(np.arange(153)[:, None], y, None, "here")
    rest, held = stratified_split(data, 0.1, seed=1)
    assert held.counts().tolist() == [10, 5, 1]
    assert rest.counts().tolist() == [90, 45, 2]
    assert sorted([*rest.x.ravel(), *held.x.ravel()]) == list(range(153))
    again, other = stratified_split(data, 0.1, seed=1)[1], stratified_split(data, 0.1, seed=2)[1]
    assert np.array_equal(held.x, again.x)
    assert not np.array_equal(held.x, other.x)


def test_split_refusals() -> None:
    data = make_dataset(np.zeros((3, 2)), np.array([0, 0, 1]), None, "here")
    with pytest.raises(UserError, match="class '1' has 1 samples"):
        stratified_split(data, 0.5, seed=0)
    with pytest.raises(UserError, match="between 0 and 1"):
        stratified_split(data, 1.0, seed=0)
