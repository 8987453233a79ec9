from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.problems.tests import dumps_tests, loads_tests

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


@given(st.lists(st.fixed_dictionaries({"args": st.lists(values, max_size=3), "expected": values}), max_size=4))
def test_round_trip(tests: list[dict[str, object]]) -> None:
    text = dumps_tests(tests)
    assert loads_tests(text) == tests
    assert dumps_tests(loads_tests(text)) == text


def test_key_order_does_not_matter() -> None:
    assert dumps_tests([{"expected": 1, "args": [2]}]) == dumps_tests([{"args": [2], "expected": 1}])


@pytest.mark.parametrize("text", ['{"args": []}', '[{"args": [1]}]', '[{"args": 1, "expected": 1}]', "[3]"])
def test_other_shapes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        loads_tests(text)
