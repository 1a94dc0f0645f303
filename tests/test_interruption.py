"""An interruption is raised where it is safe, and never lost."""

import subprocess
import sys
import threading

import pytest
import soundfile

from resound.audio import pcm
from resound.errors import Interrupted, OutputError
from resound.interruption import interrupt, uninterrupted
from signals import noise


def test_it_is_raised_at_once_where_nothing_holds_it_back():
    with pytest.raises(Interrupted, match="now"):
        interrupt(Interrupted("now"))


def test_it_is_raised_once_at_the_end_of_the_outermost_and_the_first_of_several():
    reached = []
    with pytest.raises(Interrupted, match="first"), uninterrupted():
        with uninterrupted():
            interrupt(Interrupted("first"))
            reached.append("after the signal")
        interrupt(KeyboardInterrupt())
        reached.append("after the inner one")
    assert reached == ["after the signal", "after the inner one"]
    with uninterrupted():
        pass


def test_it_takes_the_place_of_another_error():
    with pytest.raises(Interrupted), uninterrupted():
        interrupt(Interrupted())
        raise OutputError("disk full")


def test_another_thread_holds_nothing_back():
    inside, go_on = threading.Event(), threading.Event()

    def work():
        with uninterrupted():
            inside.set()
            go_on.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(10)
    with pytest.raises(Interrupted):
        interrupt(Interrupted())
    go_on.set()
    thread.join()


def test_a_signal_while_libsndfile_calls_us_ends_the_writing_and_leaves_nothing(tmp_path, monkeypatch, capfd):
    """Raised within the callback it would be printed with a traceback, and the writing would go on."""
    original = soundfile.SoundFile.write

    def write(self, data):
        interrupt(Interrupted())  # what a signal's handler does
        original(self, data)

    monkeypatch.setattr(soundfile.SoundFile, "write", write)
    source = pcm.Format("WAV", "PCM_16", 8000, 1, 8000, "int16", True)
    encoding, _ = pcm.encoding_like(tmp_path / "a.wav", source)
    wav = pcm.PcmWriter(tmp_path / "a.wav", encoding, sample_rate=8000, n_channels=1, overwrite=False)
    with pytest.raises(Interrupted), wav as writer:
        writer.write(noise(1.0, 8000)[None])
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr().err == ""


LOST = """
import os, signal, sys, threading, time
from resound.cli import main
from resound.training.stopping import stoppable

class Freed:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)

def app():
    freed = Freed()
    del freed
    print("went on", flush=True)
    if sys.argv[1] == "again":
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.3)
    with stoppable(print):
        print("trains", flush=True)

main._Interrupts.PATIENCE_SECONDS = 0.1
main.app = app
main.main()
"""


@pytest.mark.parametrize("how", ["once", "again"])
def test_a_wish_to_end_that_python_lost_is_followed_before_a_training_or_by_the_next_one(how):
    ran = subprocess.run([sys.executable, "-c", LOST, how], capture_output=True, text=True)
    assert ran.returncode == 130 and ran.stdout == "went on\n", (ran.stdout, ran.stderr)
    assert ran.stderr.splitlines()[-1].startswith("resound: interrupted")
