import re

from hypothesis import assume, example, given
from hypothesis import strategies as st

from winbatch import keys

RUN_IDS = st.text(min_size=1, max_size=250) | st.from_regex(r"[A-Za-z0-9_.~:+-]{1,250}", fullmatch=True)


@given(RUN_IDS)
@example("manual__2026-11-22T19:00:00.123456+00:00")
@example("...")
@example("\ud800")
def test_a_job_id_is_one_safe_part_of_a_key(run_id):
    assert re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?", keys.job_id(run_id))


@given(st.sets(RUN_IDS, min_size=2, max_size=8))
@example({"offset+1", "offset-1", "offset~1", "offset:1", "offset 1"})
@example({"a" * 250, "a" * 249, "a" * 100})
@example({"a:b", keys.job_id("a:b")})
@example({"x.", "x"})
def test_two_runs_never_share_a_key(run_ids):
    assert len({keys.job_id(run_id) for run_id in run_ids}) == len(run_ids)


@given(RUN_IDS, st.integers(0, 3))
def test_nor_does_one_that_is_called_as_the_other_one_s_job(run_id, times):
    other = run_id
    for _ in range(times):
        other = keys.job_id(other)
    assume(other != run_id)
    assert keys.job_id(other) != keys.job_id(run_id)


def test_ids_that_are_safe_stay_as_they_are():
    for run_id in ("ber-20261122-190000", "weekly", "nightly-2026-11-29", "a", "scheduled__2026-11-22T00.00"):
        assert keys.job_id(run_id) == run_id
