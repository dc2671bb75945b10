import pytest

from scripts.chaos import environment
from scripts.core.console import Steps
from scripts.core.locking import Busy, only_one
from scripts.core.settings import Settings


def test_two_calls_are_not_at_work_at_once_nor_does_the_second_touch_what_the_first_has(tmp_path):
    environ = {"WINBATCH_STATE": str(tmp_path / "state"), "WINBATCH_CACHE": str(tmp_path / "cache")}
    settings, logs = Settings.load("local", environ=environ), tmp_path / "logs"
    (tmp_path / "state" / "chaos").mkdir(parents=True)
    logs.mkdir()
    # The local environment's own commands have another lock.
    own = Settings.load("local", environ=environ | {"WINBATCH_STATE": str(tmp_path / "state" / "chaos")})
    with (
        only_one(settings, "up"),
        only_one(own, "chaos"),
        pytest.raises(Busy, match=r"^invoke chaos \(process \d+\) is at work"),
        environment.own(settings, logs, Steps()),
    ):
        pass
    assert logs.is_dir()
    assert (tmp_path / "state" / "chaos").is_dir()
