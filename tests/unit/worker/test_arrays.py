"""A file of input arrays is judged before anything of it is unpacked; what fits is fed as it is."""

import contextlib
import io
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from daemons.worker.bench import arrays as arrays_module
from daemons.worker.bench.arrays import read_arrays
from daemons.worker.bench.guesses import Spec
from daemons.worker.bench.inputs import fitting_inputs
from daemons.worker.engines.base import EngineError, Wish, Wishes


@pytest.fixture
def npz(tmp_path):
    def npz(**arrays):
        np.savez(tmp_path / "inputs.npz", **arrays)
        return str(tmp_path / "inputs.npz")

    return npz


def zipped(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return str(path)


def npy(array):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array))
    return file.getvalue()


def npy_saying(shape, dtype="<f4", content=b""):
    """An array whose header says whatever it likes."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue() + content


def read(path, **elements):
    return {name: given.array for name, given in read_arrays(path, elements).items()}


def accept(values):
    """A model that takes anything."""


def made(path, *specs, **wishes):
    specs = [Spec(name, f"tensor({element})", shape) for name, element, shape in specs]
    return fitting_inputs(specs, accept, 0, metadata={}, wishes=Wishes(arrays_path=path, **wishes))


@pytest.mark.parametrize(
    ("array", "element", "dtype"),
    [
        (np.arange(6, dtype=np.float32).reshape(2, 3), "float", np.float32),
        (np.arange(6, dtype=np.float16).reshape(2, 3), "double", np.float64),
        (np.arange(6, dtype=">i4").reshape(2, 3), "int64", np.int64),
        (np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)), "float", np.float32),
        (np.array(5, dtype=np.uint8), "int32", np.int32),
        (np.zeros((0, 4), dtype=np.int64), "int64", np.int64),
        (np.array([[True, False]]), "bool", np.bool_),
        (np.array(["grüße", "b"]), "string", np.object_),
        (np.array([b"abc"]), "string", np.object_),
    ],
)
def test_arrays_that_safely_become_the_models_type_are_taken(npz, array, element, dtype):
    found = read(npz(x=array), x=element)["x"]
    assert (found.shape, found.dtype) == (array.shape, np.dtype(dtype))
    assert found.flags.c_contiguous
    wanted = [text.decode() for text in array.tolist()] if array.dtype.kind == "S" else array.tolist()
    assert found.tolist() == wanted


@pytest.mark.parametrize(
    ("array", "element", "told"),
    [
        (np.zeros(2), "float", "x in the file of input arrays is float64, .* model's float; save it as float32"),
        (np.zeros(2, np.int64), "int32", "is int64, .* model's int32; save it as int32"),
        (np.zeros(2), "int64", "is float64, .* save it as int64"),
        (np.zeros(2), "string", "save it as text"),
        (np.array(["a"]), "float", "save it as float32"),
        (np.zeros(2, np.complex64), "bfloat16", "save it as float32"),
        (np.zeros(2), "int4", "save it as int8"),
        (np.array([9]), "int4", "numbers from 9 to 9, and the model's int4 holds -8 to 7"),
        (np.array([500.0]), "float8e4m3fn", "holds -448 to 448"),
    ],
)
def test_arrays_that_would_change_are_refused_with_both_types(npz, array, element, told):
    with pytest.raises(EngineError, match=told):
        read(npz(x=array), x=element)


def test_types_that_numpy_lacks_are_rounded_and_packed(npz):
    path = npz(b=np.array([[1.0, 1.00390625]], np.float32), i=np.array([[1, -1, 7]], np.int8))
    found = read_arrays(path, {"b": "bfloat16", "i": "int4"})
    assert found["b"].array.tolist() == [[0x3F80, 0x3F80]]
    assert (found["i"].array.tolist(), found["i"].shape) == ([0xF1, 0x07], (1, 3))


def test_a_pickle_is_not_read(npz):
    with pytest.raises(EngineError, match="x in the file of input arrays is a pickle of Python objects"):
        read(npz(x=np.array([{"a": 1}], dtype=object)), x="float")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    path = zipped(tmp_path / "a.npz", [("x.npy", npy(np.zeros(20_000_000, np.uint8)))], zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(zipfile.ZipFile, "open", None)
    with pytest.raises(EngineError, match=r"more than 1,000 times its size \(20,000,128 bytes from"):
        read(path, x="uint8")


def test_a_small_array_of_zeros_is_no_bomb(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(8_000_000, np.uint8))
    assert read(str(tmp_path / "a.npz"), x="uint8")["x"].shape == (8_000_000,)


def test_what_unpacks_to_too_much_is_refused(npz, monkeypatch):
    monkeypatch.setattr(arrays_module, "MAX_UNPACKED_BYTES", 975)
    path = npz(x=np.zeros(90, np.float32), y=np.zeros(90, np.float32))
    with pytest.raises(EngineError, match="unpacks to 976 bytes; at most 975 are taken"):
        read(path, x="float", y="float")


@pytest.mark.parametrize("shape", [(2**40,), (2,), (-1,), (2**62, 2**62)])
def test_a_header_that_lies_makes_a_sentence_and_takes_no_memory(tmp_path, shape):
    path = zipped(tmp_path / "a.npz", [("x.npy", npy_saying(shape, content=bytes(12)))])
    with pytest.raises(EngineError, match=r"not as much as it holds|can't be read"):
        read(path, x="float")


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ([("readme.txt", b"hello")], "something else: readme.txt"),
        ([("x.npy", b"hello")], "can't be read"),
        ([("x.npy", b"")], "can't be read"),
        ([("x.npy", npy(np.zeros(3, np.float32))[:-4])], "not as much as it holds"),
        ([("x.npy", b"\x93NUMPY\x09\x00")], "can't be read|unknown format"),
        ([("../x.npy", npy(np.zeros(3, np.float32)))], r"holds \.\./x, which the model doesn't take; its inputs are x"),
    ],
    ids=["no array", "text", "empty", "cut", "version", "path"],
)
def test_what_is_no_array_is_told(tmp_path, members, told):
    with pytest.raises(EngineError, match=told):
        read(zipped(tmp_path / "a.npz", members), x="float")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_arrays_of_one_name_are_told(tmp_path):
    path = zipped(tmp_path / "a.npz", [("x.npy", npy(1)), ("x.npy", npy(2))])
    with pytest.raises(EngineError, match="two arrays of one name"):
        read(path, x="int64")


def test_what_is_no_archive_is_told_without_where_it_lies(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(EngineError, match=r"no \.npz file; write it with numpy\.savez"):
        read(str(tmp_path / "a.npy"), x="float")
    with pytest.raises(EngineError, match="No such file") as refusal:
        read(str(tmp_path / "gone.npz"), x="float")
    assert str(tmp_path) not in str(refusal.value)


def test_a_broken_archive_never_raises_anything_but_a_sentence(npz, tmp_path):
    path = npz(x=np.arange(12, dtype=np.float32).reshape(3, 4))
    whole = (tmp_path / "inputs.npz").read_bytes()
    for place in range(0, len(whole), 3):
        (tmp_path / "inputs.npz").write_bytes(whole[:place] + bytes([whole[place] ^ 0x15]) + whole[place + 1 :])
        with contextlib.suppress(EngineError):
            assert read(path, x="float")["x"].shape == (3, 4), "or else it is refused; nothing else may come out"


def test_shapes_come_from_the_arrays_and_the_rest_is_made(npz):
    result = made(npz(ids=np.zeros((3, 7), np.int64)), ("ids", "int64", ("b", "seq")), ("mask", "int64", ("b", "seq")))
    assert result.values["mask"].array.tolist() == [[1] * 7] * 3
    assert result.shapes == "ids: 3x7 int64 from the file; mask: 3x7 int64"


def test_an_array_that_contradicts_the_model_is_refused(npz):
    with pytest.raises(
        EngineError, match=r"array x in the file has \[2, 4\], and the model's input is x: .*\[batch, 3\]"
    ):
        made(npz(x=np.zeros((2, 4), np.float32)), ("x", "float", ("batch", 3)))


def test_file_and_job_go_together_unless_both_name_an_input(npz):
    specs = ("x", "float", ("batch", 3)), ("n", "int64", ())
    path = npz(x=np.ones((2, 3), np.float32))
    assert made(path, *specs, given={"n": Wish(value=9)}).values["n"].array == 9
    with pytest.raises(EngineError, match="x is in the file of input arrays and in `inputs`"):
        made(path, *specs, given={"x": Wish(value=9)})


def test_a_batch_size_that_the_file_contradicts_is_refused(npz):
    with pytest.raises(EngineError, match=r"batch_size: is 4, but the shape given for x is \[2, 3\]"):
        made(npz(x=np.ones((2, 3), np.float32)), ("x", "float", ("batch", 3)), batch_size=4)


def test_the_archive_reader_is_loaded_by_those_alone_who_need_it():
    code = (
        "import sys, daemons.worker.bench.child, daemons.worker.engines.onnx;"
        "print(*{'zipfile', 'difflib', 'mmap', 'msgspec', 'numpy.random'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"
