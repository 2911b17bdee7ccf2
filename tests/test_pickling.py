import collections
import enum
import functools
import pickle
import sys
import threading
import typing
from types import ModuleType

import pytest
from flyte_nb import pickling
from hypothesis import given
from hypothesis import strategies as st

SOURCE = """
import functools, typing
class Point:
    def __init__(self, x): self.x = x
    def __eq__(self, other): return type(other) is type(self) and other.x == self.x
    class Inner: pass
def double(x): return x * 2
def other(x): return x
@functools.lru_cache
def cached(x): return x * 3
T = typing.TypeVar("T")
Id = typing.NewType("Id", int)
def make():
    class Local: pass
    return Local
"""


def main_with(source):
    module = ModuleType("__main__")
    exec(source, vars(module))
    return module


@pytest.fixture
def main(monkeypatch):
    module = main_with(SOURCE)
    monkeypatch.setitem(sys.modules, "__main__", module)
    return module


def elsewhere(data, monkeypatch, source=SOURCE):
    """Read a pickle where another ``__main__`` has the definitions."""
    module = main_with(source)
    monkeypatch.setitem(sys.modules, "__main__", module)
    return pickling.loads(data), module


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


@given(plain)
def test_plain_data_comes_back(value):
    data, used = pickling.dumps(value)
    assert pickling.loads(data) == value
    assert used == set()


def test_instances_go_by_reference_to_their_class(main, monkeypatch):
    data, used = pickling.dumps([main.Point(1), main.Point(2)], ["Point"])
    assert used == {"Point"}
    value, there = elsewhere(data, monkeypatch)
    assert value == [there.Point(1), there.Point(2)]


def test_nested_classes_count_as_their_outermost(main):
    assert pickling.dumps(main.Point.Inner, ["Point"])[1] == {"Point"}


def test_functions_go_by_reference(main, monkeypatch):
    data, used = pickling.dumps((main.double, main.other), {"double": 1, "other": 2})
    value, there = elsewhere(data, monkeypatch)
    assert used == {"double", "other"}
    assert value == (there.double, there.other)


def test_what_is_not_defined_there_goes_by_value(main, monkeypatch):
    data, used = pickling.dumps((main.double, main.Point(3)), ["Point"])
    assert used == {"Point"}
    (function, point), there = elsewhere(data, monkeypatch, SOURCE.replace("def double", "def renamed"))
    assert function(2) == 4
    assert point == there.Point(3)


def test_a_former_definition_goes_by_value(main, monkeypatch):
    old = main.double
    exec("def double(x): return x * 100", vars(main))
    data, used = pickling.dumps(old, ["double"])
    assert used == set()
    assert elsewhere(data, monkeypatch)[0](2) == 4


def test_lambdas_and_local_classes_go_by_value(main, monkeypatch):
    made = eval("(lambda x: double(x) + 1, make()())", vars(main))
    data, used = pickling.dumps(made, ["double"])
    assert used == {"double"}
    (function, instance), _ = elsewhere(data, monkeypatch, SOURCE.replace("x * 2", "x * 10"))
    assert function(1) == 11
    assert type(instance).__name__ == "Local"


def test_what_pickle_writes_as_a_name_is_recorded(main, monkeypatch):
    data, used = pickling.dumps([main.cached, main.T, main.Id], ["cached", "T", "Id"])
    assert used == {"cached", "T", "Id"}
    value, there = elsewhere(data, monkeypatch)
    assert value == [there.cached, there.T, there.Id]


def test_what_pickle_writes_as_a_name_goes_by_value_where_it_is_not_defined(main, monkeypatch):
    data, used = pickling.dumps([main.cached, main.T, main.Id])
    assert used == set()
    (cached, variable, kind), _ = elsewhere(data, monkeypatch, "")
    assert cached(2) == 6
    assert cached.cache_info().hits == 0
    assert variable.__name__ == "T"
    assert kind(3) == 3
    assert kind.__supertype__ is int


def test_a_cache_around_another_function(main, monkeypatch):
    wrapped = functools.lru_cache(maxsize=2, typed=True)(main.double)
    data, used = pickling.dumps(wrapped, ["double"])
    assert used == {"double"}
    value, there = elsewhere(data, monkeypatch)
    assert value.__wrapped__ is there.double
    assert value.cache_parameters() == {"maxsize": 2, "typed": True}


def test_the_library_goes_as_usual(main):
    data, used = pickling.dumps([collections.OrderedDict, enum.Enum, typing.Any, len], ["OrderedDict"])
    assert used == set()
    assert pickle.loads(data)[0] is collections.OrderedDict


def test_buffers_go_out_of_band(main):
    value = pickle.PickleBuffer(bytearray(b"x" * 100_000))
    buffers = []
    data, _ = pickling.dumps({"a": value}, buffers=buffers)
    assert len(data) < 1_000
    assert [len(buffer) for buffer in buffers] == [100_000]
    assert bytes(pickling.loads(data, buffers)["a"]) == b"x" * 100_000
    data, _ = pickling.dumps(bytearray(b"y" * 10))
    assert pickling.loads(data, []) == b"y" * 10


def test_buffers_are_not_given_twice_when_pickle_refuses(main):
    buffers = []
    data, _ = pickling.dumps([pickle.PickleBuffer(bytearray(10)), lambda: 1], buffers=buffers)
    assert len(buffers) == 1
    assert bytes(pickling.loads(data, buffers)[0]) == bytes(10)


@pytest.mark.parametrize("value", [threading.Lock(), (i for i in range(3))])
def test_what_cannot_travel_says_so(value):
    with pytest.raises(TypeError, match="pickle"):
        pickling.dumps(value)


def test_a_strangers_reduce_may_raise_anything():
    class Bad:
        def __reduce__(self):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        pickling.dumps(Bad())


STEADY = """
import hashlib, sys
from dataclasses import dataclass
from flyte_nb.pickling import loads, steady_dumps

@dataclass(frozen=True)
class Point:
    x: str

words = [f"w{i}" for i in range(30)]
value = {"set": set(words), "frozen": frozenset(words), "both": {frozenset(words[:9]), frozenset(words[5:])},
         "points": {Point(word) for word in words}, "mixed": {1, "a", 2.5, None, (1, "b")}, "list": words}
data, used = steady_dumps(value, {"Point"})
assert loads(data) == value
assert used == {"Point"}
print(hashlib.sha256(data).hexdigest())
"""


def test_sets_have_the_same_bytes_in_every_process(tmp_path):
    from scripts import ran

    told = {ran(["-c", STEADY], tmp_path, PYTHONHASHSEED=str(seed)).stdout for seed in range(4)}
    assert len(told) == 1
    assert len(told.pop()) == 65


def test_what_holds_no_set_is_written_as_ever():
    from flyte_nb.pickling import dumps, loads, steady_dumps

    for value in ([b"\x8f", 0x8F91, "\u0091"], lambda: 1, {"a": [1.5]}, {1, 2}):
        assert loads(steady_dumps(value)[0]) is not None
    assert steady_dumps([b"\x8f\x91"]) == dumps([b"\x8f\x91"])
