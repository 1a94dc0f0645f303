"""One process at a time works on a folder, and whoever it leaves behind does not count."""

import os
import signal
import subprocess
import sys
import time

import pytest

from resound.audio.alone import alone
from resound.errors import OutputError

pytest.importorskip("fcntl", reason="there are no such locks on Windows")
HOLDS = """
import os, sys, time
from pathlib import Path
from resound.audio.alone import alone
with alone(Path(sys.argv[1])):
    if not os.fork():
        print(os.getpid(), flush=True)  # as soon as it runs, with nothing of its parent's in hand
    time.sleep(60)
"""
COUNTS = """
import sys
from pathlib import Path
from resound.audio.alone import alone
for _ in range(50):
    with alone(Path(sys.argv[1] + ".lock")):
        text = Path(sys.argv[1]).read_text()
        Path(sys.argv[1]).write_text(str(int(text) + 1))
"""


def test_another_process_is_refused_or_waits_until_this_one_ends_however(tmp_path):
    lock = tmp_path / "x.lock"
    with subprocess.Popen([sys.executable, "-c", HOLDS, lock], stdout=subprocess.PIPE) as holder:
        child = int(holder.stdout.readline())  # a process that lives on
        with pytest.raises(OutputError, match="busy"), alone(lock, refusal="busy"):
            pass
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        began = time.monotonic()
        with alone(lock, refusal="busy"), pytest.raises(OutputError), alone(lock, refusal="busy"):
            pass
        assert time.monotonic() - began < 30
        os.kill(child, signal.SIGKILL)
    assert not lock.exists()


def test_those_who_wait_come_one_after_the_other(tmp_path):
    path = tmp_path / "n"
    path.write_text("0")
    counters = [subprocess.Popen([sys.executable, "-c", COUNTS, path]) for _ in range(3)]
    assert [counter.wait() for counter in counters] == [0, 0, 0]
    assert path.read_text() == "150" and not (tmp_path / "n.lock").exists()
