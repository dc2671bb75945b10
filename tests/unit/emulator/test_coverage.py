"""What the emulator says that it answers is what it has code for."""

import importlib

from emulator import coverage
from emulator.runtime import SERVICES


def test_what_is_answered_and_what_not():
    for name in SERVICES:
        importlib.import_module(name)
    ecs, mwaa, s3 = (coverage.of_service(name) for name in ("ecs", "mwaa", "s3"))
    assert ecs["answered"] > 40
    assert "CreateDaemon" not in ecs["missing"], "nothing is answered of daemons"
    assert ecs["others"] > 0
    assert mwaa == {"answered": 12, "missing": [], "others": 0}
    assert "RenameObject" in s3["missing"]
    assert "CompleteMultipartUpload" not in s3["missing"]
    # moto has a method for it that says that it is not written.
    assert "BundleInstance" in coverage.of_service("ec2")["missing"]
    assert coverage.of_service("imagebuilder")["answered"] == 0
