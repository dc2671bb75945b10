"""An object's content: a file in memory, or on the disk above a size."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.memory import Content

STEPS = st.one_of(
    st.tuples(st.just("write"), st.binary(max_size=12)),
    st.tuples(st.just("seek"), st.integers(0, 9)),
    st.tuples(st.just("read"), st.integers(-1, 9)),
    st.tuples(st.just("truncate")),
)


@pytest.mark.parametrize("most", [0, 10, 1000])
@given(steps=st.lists(STEPS, max_size=12))
def test_it_is_a_file(most, steps):
    content, file = Content(most), io.BytesIO()
    for name, *given_ in steps:
        # Nobody goes beyond the end.
        arguments = [min(given_[0], len(file.getvalue()))] if name == "seek" else given_
        assert getattr(content, name)(*arguments) == getattr(file, name)(*arguments)
    content.seek(0)
    assert content.read() == file.getvalue()
    content.close()
