"""A worker in a Windows container that is told to stop, whichever of its processes hears of it first; under Wine."""

import time

import pytest

from emulator.ecs.windows.container import ORDERS
from tests.unit.worker.conftest import CREDENTIALS, new_job, s3_client
from tests.waiting import wait_for
from tests.windows import images
from winbatch.stage import ClaimMark

pytestmark = pytest.mark.slow

SLOTS = 2
# What ended within a second before a stop does not count on Windows (winbatch.working.settling).
CODE = b"""
import time
def run(params, context):
    if params["stays"]:
        time.sleep(1.5)
        print("at work")
        time.sleep(3600)
    return {"item": context.item}
"""


@pytest.mark.parametrize("order", ORDERS)
def test_it_leaves_what_is_finished_and_gives_back_what_it_holds(windows, s3_url, tmp_path, order):
    image = windows.on(images.of(windows, "tools"), {"app/stays.py": CODE})
    job = new_job(s3_client(s3_url), s3_url, tmp_path)
    job.plan([{"stays": stays} for _ in range(SLOTS) for stays in (False, True)], run="stays:run", shard_items=2)
    variables = CREDENTIALS | {
        "AWS_ENDPOINT_URL": s3_url,
        "WINBATCH_STAGE": f"s3://{job.bucket}/{job.stage_key}",
        "WINBATCH_SLOTS": str(SLOTS),
    }
    with windows.running(image, "-m", "winbatch.worker", environment=variables, order=order) as started:
        wait_for(lambda: started.output.count("at work") == SLOTS or started.container.poll() is not None)
        began = time.monotonic()
        assert started.stopped() == 143, started.output
        assert time.monotonic() - began < 5
    left = {ClaimMark(shard, 0, kind) for shard in range(SLOTS) for kind in ("claim", "released")}
    assert job.marks() == left, started.output
    assert len(job.all_keys(job.stage.partials)) == SLOTS
