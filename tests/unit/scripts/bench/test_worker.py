import os
import signal
import subprocess
import sys

import psutil

from scripts.bench import worker


def test_a_workers_memory_does_not_grow_with_a_long_shard():
    figures, _ = worker.measure(1, lambda _: None)
    found = {figure.name: figure for figure in figures}
    growth = found["worker.growth_mb_10k_items"]
    assert growth.holds, growth.as_json()
    assert found["worker.peak_mb_10k_items"].median > growth.median > 0
    # How long it is depends on who else is at work here; make bench judges it.
    assert found["worker.start_seconds"].median > 0
    assert found["worker.client_seconds"].median > 0


def test_the_processes_of_a_process_are_found():
    inner = "import time; print('on', flush=True); time.sleep(60)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    with subprocess.Popen([sys.executable, "-c", outer], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"on\n"
        found = worker.family(process.pid)
        assert found[0] == process.pid
        assert found[1:] == [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
        assert len(found) == 2
        for number in reversed(found):
            os.kill(number, signal.SIGKILL)
    assert worker.family(2**22 + 1) == [2**22 + 1]


def test_the_most_memory_of_a_process_is_what_linux_says():
    assert 5 < worker.peak_mb(os.getpid()) < 10_000
    assert worker.peak_mb(2**22 + 1) == 0
