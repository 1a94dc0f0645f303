"""``resound stream`` as people use it: between pipes, and between sound devices."""

import io
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
pytest.importorskip("onnxscript", reason="needs the extra: pip install '.[train]'")

from conftest import hiss, write_wav
from export.conftest import tiny_model, tiny_stream  # noqa: F401

PROGRAM = [sys.executable, "-c", "from resound.cli.main import main; main()", "stream"]


def stream(data, *words):
    return subprocess.run([*PROGRAM, *map(str, words)], input=data, capture_output=True, check=False)


def wav_of_silence():
    file = io.BytesIO()
    soundfile.write(file, np.zeros(800), 8000, format="WAV")
    return file.getvalue()


def test_a_pipe_gives_what_restore_gives(resound, tiny_stream, tmp_path):  # noqa: F811
    path = write_wav(tmp_path / "a.wav", hiss(9001, 2), subtype="PCM_24")
    ended = stream(path.read_bytes(), "--model", tiny_stream)
    assert (ended.returncode, ended.stderr.decode().strip()) == (
        0,
        "9001 samples, 8,000 Hz, 2 channels; the delay of 19.9 ms is taken out",
    )
    resound("restore", path, "--model", tiny_stream, "-o", tmp_path / "b.wav")
    expected, rate = soundfile.read(tmp_path / "b.wav")
    (tmp_path / "c.wav").write_bytes(ended.stdout)
    streamed, streamed_rate = soundfile.read(io.BytesIO(ended.stdout))
    assert (rate, streamed_rate, soundfile.info(tmp_path / "b.wav").subtype) == (8000, 8000, "PCM_24")
    np.testing.assert_allclose(streamed, expected, atol=2e-6)


def test_what_repairs_runs_behind_the_model(resound, tiny_stream, tmp_path):  # noqa: F811
    """As it does in recordings, but for the file that it is exported to."""
    import torch

    from resound.checkpoint import save_model
    from resound.export.export import export
    from resound.models import build

    torch.manual_seed(0)
    sizes = {"sample_rate": 8000, "widths": [8, 8, 8], "strides": [2, 4, 4], "kernel": 5, "gru_layers": 1}
    save_model(tmp_path / "timbre", build("timbre", **sizes))
    export(tmp_path / "timbre", tmp_path / "timbre.onnx", is_streaming=True)
    path = write_wav(tmp_path / "a.wav", hiss(9001, 2), subtype="FLOAT")
    for then, strength in (("timbre.onnx", 1.0), ("timbre", 0.4), ("timbre.onnx", 0.0)):
        options = ["--model", tiny_stream, "--strength", strength]
        told = resound(
            "restore", path, *options, "--then", tmp_path / "timbre", "-o", tmp_path / "b.wav", "--overwrite"
        )
        assert told.status == 0, told.stderr
        expected, _ = soundfile.read(tmp_path / "b.wav")
        ended = stream(path.read_bytes(), *options, "--then", tmp_path / then)
        assert ended.returncode == 0, ended.stderr
        streamed, _ = soundfile.read(io.BytesIO(ended.stdout))
        np.testing.assert_allclose(streamed, expected, atol=1e-5)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
def test_ffmpeg_before_and_behind(tiny_stream, tmp_path):  # noqa: F811
    path = write_wav(tmp_path / "a.wav", hiss(8000))
    ours = " ".join(f"'{word}'" for word in [*PROGRAM, "--model", str(tiny_stream)])
    line = f"ffmpeg -v error -i {path} -f wav - | {ours} | ffmpeg -v error -i - -c:a flac {tmp_path}/b.flac"
    subprocess.run(["bash", "-c", f"set -o pipefail; {line}"], check=True, capture_output=True)
    assert soundfile.info(tmp_path / "b.flac").frames == 8000


def test_bare_samples_keep_their_delay_where_asked(tiny_stream):  # noqa: F811
    data = hiss(4000)[0].astype("<f4").tobytes()
    ended = stream(data, "--model", tiny_stream, "--raw", "f32le", "--rate", 8000, "--keep-delay")
    out = np.frombuffer(ended.stdout, "<f4")
    assert (ended.returncode, len(out)) == (0, 4000)
    assert not out[:159].any() and out[159:].any()


@pytest.mark.parametrize(
    ("data", "words", "message"),
    [
        (b"", (), "stdin: is empty; send sound"),
        (b"OggS....................", (), "stdin: is no WAV"),
        (b"", ("--raw", "s16"), "raw is 's16' (did you mean 's16le'?)"),
        (b"", ("--raw", "s16le"), "bare samples do not say their rate"),
        (b"", ("--rate", 8000), "--rate and --channels are in a WAV's header"),
        (b"", ("--raw", "s16le", "--rate", 8000, "--channels", 0), "channels is 0"),
        (b"", ("--raw", "s16le", "--input", "x"), "--raw is for stdin"),
        (b"", ("--seconds", 3), "--seconds is for live sound"),
        (b"", ("--keep-delay", "--input", "x"), "--keep-delay is for a pipe"),
        (b"", ("--then", "gone.onnx"), "gone.onnx: no such model file"),
        (b"", ("--then", "separate"), "hears all of a recording and cannot stream"),
        (
            wav_of_silence(),
            ("--then", "film"),
            "film: repairs nothing; give timbre, or a network that takes a denoiser's output",
        ),
    ],
)
def test_wrong_input_is_one_line(tiny_stream, data, words, message):  # noqa: F811
    ended = stream(data, "--model", tiny_stream, *words)
    told = ended.stderr.decode()
    assert (ended.returncode, ended.stdout, len(told.splitlines())) == (1, b"", 1)
    assert message in told


def test_a_model_must_be_named_and_stream(resound):
    assert "--model is missing" in resound("stream").stderr
    assert "cannot stream" in resound("stream", "--model", "classic").stderr


def test_a_reader_that_goes_away_is_no_traceback(tiny_stream, tmp_path):  # noqa: F811
    path = write_wav(tmp_path / "a.wav", hiss(400000))
    ours = " ".join(f"'{word}'" for word in [*PROGRAM, "--model", str(tiny_stream)])
    ended = subprocess.run(["bash", "-c", f"{ours} < {path} | head -c 100"], capture_output=True, check=False)
    assert (len(ended.stdout), ended.stderr) == (100, b"")


@pytest.fixture
def null_sinks(tmp_path):
    """Two sinks of PulseAudio that play to nobody, and the environment in which PortAudio finds them."""
    pytest.importorskip("sounddevice", reason="needs the extra: pip install '.[live]'", exc_type=(ImportError, OSError))
    if not all(map(shutil.which, ("pulseaudio", "pactl", "paplay", "parec"))):
        pytest.skip("needs pulseaudio and its tools")
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}
    server = subprocess.Popen(
        ["pulseaudio", "-n", "--exit-idle-time=-1", "--daemonize=no", "-L", "module-native-protocol-unix",
         "-L", "module-null-sink sink_name=a rate=8000", "-L", "module-null-sink sink_name=b rate=8000"],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(50):
            if subprocess.run(["pactl", "info"], env=environment, capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.1)
        else:
            pytest.skip("PulseAudio does not start here")
        yield environment
    finally:
        server.terminate()
        server.wait()


@pytest.mark.slow
def test_live_from_a_device_to_a_device(null_sinks, tiny_stream, tmp_path):  # noqa: F811
    listed = subprocess.run([*PROGRAM, "--list-devices"], env=null_sinks, capture_output=True, check=False)
    if b"pulse" not in listed.stdout:
        pytest.skip("PortAudio has no way to PulseAudio here")
    path = write_wav(tmp_path / "a.wav", hiss(120 * 8000, rms=0.2))  # outlasts the slowest start
    words = ["--model", str(tiny_stream), "--input", "pulse", "--output", "pulse", "--rate", "8000", "--channels", "1"]
    between = {**null_sinks, "PULSE_SOURCE": "a.monitor", "PULSE_SINK": "b"}
    player = subprocess.Popen(["paplay", str(path)], env={**null_sinks, "PULSE_SINK": "a"})
    recorder = subprocess.Popen(  # its own choice of latency keeps the last seconds back
        ["parec", "-d", "b.monitor", "--latency-msec", "50", "--rate", "8000", "--channels", "1",
         "--format", "s16le", "--raw"],
        env=null_sinks, stdout=subprocess.PIPE,
    )  # fmt: skip
    live = subprocess.run(
        [*PROGRAM, *words, "--seconds", "5"], env=between, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    for process in (player, recorder):
        process.terminate()
    heard = np.frombuffer(recorder.communicate()[0], "<i2")
    assert live.returncode == 0
    assert "under-runs" in live.stderr and "ms from device to device" in live.stderr
    assert np.abs(heard).max() > 300  # it came through


@pytest.mark.slow
def test_a_device_that_is_not_there_is_one_line(null_sinks, tiny_stream):  # noqa: F811
    words = ["--model", str(tiny_stream), "--input", "nothing of the kind"]
    ended = subprocess.run([*PROGRAM, *words], env=null_sinks, capture_output=True, check=False, text=True)
    assert ended.returncode == 1
    assert "no such input device 'nothing of the kind'" in ended.stderr.splitlines()[-1]


@pytest.mark.slow
def test_a_device_that_disappears_is_one_line(null_sinks, tiny_stream):  # noqa: F811
    words = ["--model", str(tiny_stream), "--input", "pulse", "--output", "pulse", "--rate", "8000", "--channels", "1"]
    between = {**null_sinks, "PULSE_SOURCE": "a.monitor", "PULSE_SINK": "b"}
    live = subprocess.Popen([*PROGRAM, *words, "--seconds", "30"], env=between, stderr=subprocess.PIPE, text=True)
    assert live.stderr is not None
    told = live.stderr.readline()
    if "ms late" not in told:
        live.communicate()
        pytest.skip("PortAudio has no way to PulseAudio here")
    time.sleep(1.5)
    subprocess.run(["pactl", "exit"], env=null_sinks, check=True)
    told = live.communicate(timeout=20)[1]
    assert live.returncode == 1
    assert told.splitlines()[-1] == "resound: a sound device has gone, or stopped; connect it and begin again"


def test_a_stream_without_stdin_or_stdout_is_one_line(tiny_stream):  # noqa: F811
    ours = " ".join(f"'{word}'" for word in [*PROGRAM, "--model", str(tiny_stream)])
    for closed in ("<&-", "</dev/null >&-"):
        ended = subprocess.run(["bash", "-c", f"{ours} {closed}"], capture_output=True, check=False, text=True)
        assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)
        assert "is closed" in ended.stderr


def test_an_interrupted_pipe_tells_what_was_written(tiny_stream, tmp_path):  # noqa: F811
    with open(tmp_path / "b.wav", "wb") as out:
        running = subprocess.Popen(
            [*PROGRAM, "--model", str(tiny_stream)], stdin=subprocess.PIPE, stdout=out, stderr=subprocess.PIPE
        )
        running.stdin.write(write_wav(tmp_path / "a.wav", hiss(4000)).read_bytes()[:8000])
        running.stdin.flush()
        for _ in range(300):
            if (tmp_path / "b.wav").stat().st_size > 44:
                break
            time.sleep(0.1)
        running.send_signal(signal.SIGINT)
        told = running.stderr.read().decode()
        running.stdin.close()
    assert running.wait() == 130
    n_samples = soundfile.info(tmp_path / "b.wav").frames
    assert n_samples and told == f"resound: interrupted; the {n_samples} samples before it were written\n"


def test_input_that_is_cut_off_is_told(tiny_stream, tmp_path):  # noqa: F811
    data = write_wav(tmp_path / "a.wav", hiss(4000)).read_bytes()
    ended = stream(data[:-1000], "--model", tiny_stream)
    assert ended.returncode == 0
    assert ended.stderr.decode().strip().endswith("stdin ended before what its header says")
