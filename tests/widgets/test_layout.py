import itertools

from flyte_nb.widgets.layout import HEIGHT, WIDTH, laid_out
from hypothesis import given
from hypothesis import strategies as st


def boxes_of(drawn):
    return [(x, y, x + WIDTH, y + HEIGHT) for x, y in drawn.places.values()]


def apart(one, other):
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


@given(st.lists(st.integers(1, 16), min_size=1, max_size=5), st.data())
def test_no_two_boxes_overlap_and_all_is_inside(sizes, data):
    waves = [[f"n{level}-{row}" for row in range(size)] for level, size in enumerate(sizes)]
    needs = {}
    for level, wave in enumerate(waves[1:], start=1):
        earlier = [name for before in waves[:level] for name in before]
        needs |= {name: data.draw(st.lists(st.sampled_from(earlier), max_size=3, unique=True)) for name in wave}
    drawn = laid_out(waves, needs)
    assert drawn.places.keys() == {name for wave in waves for name in wave}
    found = boxes_of(drawn)
    assert all(apart(one, other) for one, other in itertools.combinations(found, 2))
    assert all(x >= 0 and y >= 0 and right <= drawn.width and bottom <= drawn.height for x, y, right, bottom in found)
    assert len(drawn.lines) == sum(map(len, needs.values()))
    assert all(len(line) % 2 == 0 for line in drawn.lines)


def test_what_is_needed_stands_on_the_left():
    drawn = laid_out([["a"], ["b", "c"]], {"b": ["a"], "c": ["a"]})
    assert drawn.places["a"][0] < drawn.places["b"][0] == drawn.places["c"][0]
    (x1, _), (x2, _) = drawn.lines[0]
    assert (x1, x2) == (drawn.places["a"][0] + WIDTH, drawn.places["b"][0] - 1)


def test_a_line_runs_past_the_boxes_between_its_ends():
    drawn = laid_out([["a"], ["b"], ["c"]], {"b": ["a"], "c": ["b", "a"]})
    long = next(line for line in drawn.lines if len(line) == 4)
    (x1, y1), (x2, y2) = long[1:3]
    x, y = drawn.places["b"]
    assert (x1, x2, y1) == (x, x + WIDTH, y2)
    assert not y <= y1 <= y + HEIGHT


def test_neighbours_stand_beside_each_other():
    drawn = laid_out([["a", "b"], ["c", "d"]], {"c": ["b"], "d": ["a"]})
    assert (drawn.places["a"][1] < drawn.places["b"][1]) == (drawn.places["d"][1] < drawn.places["c"][1])


def test_nothing_to_draw():
    assert laid_out([], {}).places == {}
