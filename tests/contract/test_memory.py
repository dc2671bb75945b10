"""What is overwritten or over is forgotten, so that an emulator may live for days."""

from __future__ import annotations

import json
from urllib.request import urlopen

import psutil
import pytest

from .world import REGION, client

OBJECT = 80_000
TIMES = 100


@pytest.fixture
def alone(own_emulator):
    return own_emulator()


def resident(emulator):
    with urlopen(f"{emulator.endpoint}/_emulator/health") as answer:
        return psutil.Process(json.load(answer)["pid"]).memory_info().rss


def test_what_is_overwritten_or_deleted_takes_no_memory(alone):
    s3 = client(alone.endpoint, "s3")
    s3.create_bucket(Bucket="overwritten", CreateBucketConfiguration={"LocationConstraint": REGION})

    def write(times):
        for number in range(times):
            s3.put_object(Bucket="overwritten", Key="same", Body=bytes(OBJECT))
            s3.put_object(Bucket="overwritten", Key=f"{number}", Body=bytes(OBJECT))
            s3.delete_object(Bucket="overwritten", Key=f"{number}")

    write(20)
    before = resident(alone)
    write(TIMES)
    # All that was written is 16 MB.
    assert resident(alone) - before < 2 * TIMES * OBJECT / 4
