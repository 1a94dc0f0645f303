"""``resound restore``: what goes wrong ends in one line and status 1, and leaves nothing behind."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import stat
import struct
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from conftest import Ended, files_below, hiss, largest_file, read_sound, write_wav


def command(*arguments: object) -> list[str]:
    """Return the command line of a process of its own."""
    return [sys.executable, "-c", "from resound.cli.main import main; main()", *map(str, arguments)]


def assert_refused(ended: Ended, *words: str) -> None:
    """One line that names the culprit and what to do, status 1, nothing on stdout."""
    assert ended.status == 1, ended
    lines = ended.stderr.splitlines()
    assert len(lines) == 1, ended.stderr
    assert lines[0].startswith("resound: ")
    for word in words:
        assert word in lines[0]


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def write_video(path: Path, *, with_sound: bool = True, rate: int = 16000, seconds: float = 1.0) -> Path:
    """Write a small film: grey noise, and hiss as FLAC or AAC."""
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=25)
        pictures.width = pictures.height = 32
        pictures.pix_fmt = "yuv420p"
        sound = container.add_stream("flac" if path.suffix == ".mkv" else "aac", rate=rate, layout="mono")
        rng = np.random.default_rng(0)
        for _ in range(round(25 * seconds)):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8), format="rgb24")
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        if with_sound:
            samples = (hiss(round(rate * seconds)) * 32767).astype("int16")
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate = rate
            resampler = av.AudioResampler(sound.format, sound.layout, rate, sound.frame_size or None)
            for part in [*resampler.resample(frame), *resampler.resample(None)]:
                container.mux(sound.encode(part))
            container.mux([packet for packet in sound.encode(None) if packet.size])
    return path


def write_silent_film(path: Path) -> Path:
    """Write a film without a sound track."""
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=25)
        pictures.width = pictures.height = 32
        pictures.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), dtype=np.uint8), format="rgb24")
        container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
    return path


def write_dsf(path: Path, seconds: float = 0.1) -> Path:
    """Write one-bit sound (DSD64, mono) by a first-order sigma-delta modulator, in Sony's container."""
    rate, block = 2822400, 4096
    n_bytes = -(-round(rate * seconds) // 8 // block) * block
    wanted = 0.3 * np.sin(2 * np.pi * 1000 * np.arange(8 * n_bytes) / rate)
    bits, error = np.zeros(8 * n_bytes, dtype=np.uint8), 0.0
    for index, value in enumerate(wanted):
        error += value
        bits[index] = error > 0
        error -= 1.0 if error > 0 else -1.0
    data = np.packbits(bits, bitorder="little").tobytes()
    form = struct.pack("<4sQIIIIIIQII", b"fmt ", 52, 1, 0, 1, 1, rate, 1, 8 * n_bytes, block, 0)
    sound = struct.pack("<4sQ", b"data", 12 + n_bytes) + data
    head = struct.pack("<4sQQQ", b"DSD ", 28, 28 + 52 + len(sound), 0)
    path.write_bytes(head + form + sound)
    return path


# What is no recording


def empty(path: Path) -> None:
    path.touch()


def text(path: Path) -> None:
    path.write_text("Dear diary, this is no sound at all.\n" * 20)


def without_samples(path: Path) -> None:
    write_wav(path, np.zeros((1, 0)))


def header_only(path: Path) -> None:
    write_wav(path)
    path.write_bytes(path.read_bytes()[:30])


def cut_before_the_sound(path: Path) -> None:
    write_wav(path)
    path.write_bytes(path.read_bytes()[:44])


def random_bytes(path: Path) -> None:
    path.write_bytes(bytes(range(128, 256)) * 100)


def too_slow(path: Path) -> None:
    write_wav(path, rate=100)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (empty, "is empty (0 bytes); copy or record it again"),
        (text, "is text, not sound (begins with 'Dear diary, this is no s'); give WAV"),
        (without_samples, "holds no samples; record or copy it again"),
        (header_only, "; convert it to WAV or get another copy"),
        (cut_before_the_sound, "is cut off before its first sample; get a complete copy"),
        (random_bytes, "is not a sound file of a known kind; convert it to WAV or get another copy"),
        (too_slow, "has 100 samples a second, restored are 1000 to 3000000; resample it"),
    ],
)
def test_what_is_no_recording_is_refused_in_one_line_and_leaves_nothing(here, resound, make, words):
    make(here / "a.wav")
    before = files_below(here)
    for extra in ((), ("-o", "out/b.flac", "--removed", "noise.wav", "--picture", "p.png")):
        assert_refused(resound("restore", "a.wav", *extra), "a.wav: ", words)
        assert files_below(here) == before


def test_a_missing_file_is_refused_with_the_nearest_name(here, resound):
    write_wav(here / "interview.wav")
    assert_refused(resound("restore", "intervew.wav"), "intervew.wav: does not exist (did you mean 'interview.wav'?)")
    assert files_below(here) == {"interview.wav"}


def test_a_file_in_a_missing_folder_is_refused(here, resound):
    assert_refused(resound("restore", "no/a.wav"), "no/a.wav: does not exist (nor does the folder no); check the path")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_video_without_sound_is_refused(here, resound, name):
    write_silent_film(here / name)
    assert_refused(resound("restore", name), f"{name}: has no audio track (video only); give a file with sound")
    assert files_below(here) == {name}


def test_sound_in_an_unknown_codec_is_refused(here, resound):
    write_video(here / "a.mkv")
    content = (here / "a.mkv").read_bytes()
    assert content.count(b"A_FLAC") == 1
    (here / "a.mkv").write_bytes(content.replace(b"A_FLAC", b"A_WHAT"))
    assert_refused(resound("restore", "a.mkv"), ["a.mkv: audio track 1 is in a codec that cannot be decoded ", "; "][0])
    assert files_below(here) == {"a.mkv"}


def test_an_unreadable_file_is_refused(here, resound):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    write_wav(here / "a.wav").chmod(0)
    assert_refused(resound("restore", "a.wav"), "a.wav: cannot be opened (no permission to read it)")


def test_a_pipe_is_refused_and_not_waited_for(here, resound):
    os.mkfifo(here / "a.wav")
    assert_refused(resound("restore", "a.wav"), "a.wav: is not a regular file; save the recording to a file first")


# What is damaged and yet a recording


def test_a_truncated_recording_is_restored_as_far_as_it_goes_with_a_warning(here, resound):
    write_wav(here / "a.wav", n_samples=8000)
    content = (here / "a.wav").read_bytes()
    (here / "a.wav").write_bytes(content[: 44 + 2 * 3000])
    ended = resound("restore", "a.wav")
    assert ended.status == 0
    assert ended.stderr == "resound: warning: a.wav: cut off; 0.62 s that its header promises are missing\n"
    assert read_sound(here / "a_restored.wav").shape == (1, 3000)


def test_a_single_sample_is_restored(here, resound):
    write_wav(here / "a.wav", np.array([[0.5]]))
    assert resound("restore", "a.wav", "--removed", "r.wav", "--picture", "p.png").status == 0
    assert read_sound(here / "a_restored.wav").shape == (1, 1)
    assert read_sound(here / "a_restored.wav") + read_sound(here / "r.wav") == 0.5


def test_nan_and_infinite_samples_are_counted_and_count_as_silence(here, resound):
    samples = hiss(4000)
    samples[0, [5, 100]] = np.nan
    samples[0, 2000] = -np.inf
    write_wav(here / "a.wav", samples, subtype="FLOAT")
    ended = resound("restore", "a.wav", "--removed", "r.wav")
    assert ended.status == 0
    assert ended.stderr == "resound: warning: a.wav: 3 samples are not finite (first at 0.00 s); read as 0\n"
    samples[~np.isfinite(samples)] = 0
    total = read_sound(here / "a_restored.wav") + read_sound(here / "r.wav")
    np.testing.assert_allclose(total, samples.astype(np.float32), atol=1e-8)


# All kinds of samples


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "IMA_ADPCM"])
def test_every_depth_from_4_to_64_bit_is_kept(here, resound, subtype):
    write_wav(here / "a.wav", subtype=subtype)
    assert resound("restore", "a.wav").status == 0
    depths = {"ULAW": "PCM_16", "IMA_ADPCM": "PCM_16"}  # lossy: not encoded a second time
    assert soundfile.info(here / "a_restored.wav").subtype == depths.get(subtype, subtype)


def test_one_bit_sound_becomes_a_wav(here, resound):
    write_dsf(here / "a.dsf")
    ended = resound("restore", "a.dsf")
    assert ended.status == 0, ended
    told = soundfile.info(here / "a_restored.wav")
    assert (told.samplerate, told.channels) == (352800, 1)
    with av.open(str(here / "a.dsf")) as container:
        n_samples = sum(frame.samples for frame in container.decode(audio=0))
    assert told.frames == n_samples


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 96000, 192000, 384000])
def test_every_rate_from_8_to_384_khz_is_kept(here, resound, rate):
    write_wav(here / "a.wav", rate=rate, n_samples=rate // 5)
    assert resound("restore", "a.wav").status == 0
    told = soundfile.info(here / "a_restored.wav")
    assert (told.samplerate, told.frames) == (rate, rate // 5)


@pytest.mark.parametrize("n_channels", range(1, 9))
def test_every_number_of_channels_from_1_to_8_is_kept(here, resound, n_channels):
    write_wav(here / "a.wav", hiss(3000, n_channels))
    assert resound("restore", "a.wav").status == 0
    assert read_sound(here / "a_restored.wav").shape == (n_channels, 3000)


# The input is never overwritten


@pytest.mark.parametrize("option", ["-o", "--removed", "--picture"])
@pytest.mark.parametrize("kind", ["same", "dotted", "symlink", "hard link"])
def test_the_input_is_never_replaced_under_any_name(here, resound, option, kind):
    write_wav(here / "a.wav")
    os.mkdir("sub")
    name = {"same": "a.wav", "dotted": "sub/../a.wav"}.get(kind, "link.wav")
    if kind == "symlink":
        os.symlink("a.wav", "link.wav")
    if kind == "hard link":
        os.link("a.wav", "link.wav")
    before, content = files_below(here), md5(here / "a.wav")
    assert_refused(resound("restore", "a.wav", "--overwrite", option, name), "is the input itself")
    assert files_below(here) == before
    assert md5(here / "a.wav") == content
    if kind == "hard link":
        assert os.path.samefile("a.wav", "link.wav")


def test_an_input_that_is_a_link_does_not_lose_its_target(here, resound):
    write_wav(here / "a.wav")
    os.symlink("a.wav", "link.wav")
    content = md5(here / "a.wav")
    assert_refused(resound("restore", "link.wav", "-o", "a.wav", "--overwrite"), "a.wav: is the input itself")
    assert md5(here / "a.wav") == content


def test_a_result_never_replaces_another_input_of_the_batch(here, resound):
    write_wav(here / "d" / "a.wav")
    write_wav(here / "d" / "a_restored.wav", hiss(4000, seed=1))
    content = md5(here / "d" / "a_restored.wav")
    assert_refused(resound("restore", "d", "--overwrite"), "d/a_restored.wav: is an input too")
    assert md5(here / "d" / "a_restored.wav") == content
    assert files_below(here) == {"d", "d/a.wav", "d/a_restored.wav"}


def test_outputs_that_would_be_one_file_are_refused(here, resound):
    write_wav(here / "a.wav")
    for words in (
        ("-o", "b.wav", "--removed", "b.wav"),
        ("-o", "b.wav", "--picture", "b.wav.json"),
        ("--removed", "x.png", "--picture", "./x.png"),
    ):
        assert_refused(resound("restore", "a.wav", *words), "is named twice among the outputs")
    assert files_below(here) == {"a.wav"}


# Existing results


@pytest.mark.parametrize("existing", ["a_restored.wav", "r.wav", "p.png", "a_restored.wav.json"])
def test_an_existing_file_is_refused_before_any_work_and_kept(here, resound, existing):
    write_wav(here / "a.wav")
    (here / existing).write_text("old")
    ended = resound("restore", "a.wav", "--removed", "r.wav", "--picture", "p.png")
    assert_refused(ended, f"{existing}: exists already; use --overwrite to replace it, or -o for another name")
    assert files_below(here) == {"a.wav", existing}
    assert (here / existing).read_text() == "old"


def test_overwrite_replaces_all_results(here, resound):
    write_wav(here / "a.wav")
    for name in ("a_restored.wav", "r.wav", "p.png", "a_restored.wav.json"):
        (here / name).write_text("old")
    ended = resound("restore", "a.wav", "--removed", "r.wav", "--picture", "p.png", "--overwrite")
    assert ended.status == 0
    assert json.loads((here / "a_restored.wav.json").read_text())["n_samples"] == 4000
    assert (here / "p.png").read_bytes()[:4] == b"\x89PNG"
    assert read_sound(here / "a_restored.wav").shape == read_sound(here / "r.wav").shape == (1, 4000)


def test_a_log_of_ours_whose_recording_is_gone_is_replaced(here, resound):
    write_wav(here / "a.wav")
    assert resound("restore", "a.wav").status == 0
    (here / "a_restored.wav").unlink()
    assert resound("restore", "a.wav", "--set", "dehiss.max_reduction_db=3").status == 0
    told = json.loads((here / "a_restored.wav.json").read_text())
    assert told["parameters"]["settings"]["dehiss"]["max_reduction_db"] == 3


def test_skip_existing_leaves_results_alone_and_makes_the_others(here, resound):
    write_wav(here / "a.wav")
    write_wav(here / "b.wav")
    (here / "a_restored.wav").write_text("old")
    ended = resound("restore", "a.wav", "b.wav", "--skip-existing")
    assert ended.status == 0
    assert ended.stdout.splitlines()[0] == "a_restored.wav  exists, skipped"
    assert ended.stdout.splitlines()[-1] == "1 restored, 1 skipped"
    assert (here / "a_restored.wav").read_text() == "old"
    assert read_sound(here / "b_restored.wav").shape == (1, 4000)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mkv"])
def test_a_failed_run_with_overwrite_keeps_every_old_result(here, resound, suffix):
    source = f"a{suffix}"
    write_video(here / source) if suffix == ".mkv" else write_wav(here / source, n_samples=40000)
    command_line = ("restore", source, "--removed", "r.wav", "--picture", "p.png", "--overwrite")
    assert resound(*command_line).status == 0
    before = {name: md5(here / name) for name in files_below(here)}
    with largest_file(min((here / name).stat().st_size for name in (f"a_restored{suffix}", "r.wav", "p.png")) - 1):
        assert_refused(resound(*command_line, "--strength", "0.5", "-o", f"a_restored{suffix}"), "disk full")
    assert {name: md5(here / name) for name in files_below(here)} == before


# Disks and folders that refuse


def test_a_file_where_a_folder_should_be_is_refused(here, resound):
    write_wav(here / "a.wav")
    (here / "notes").write_text("kept")
    for words in (("-o", "notes/b.wav"), ("--removed", "notes/b.wav"), ("--picture", "notes/b.png"), ("-o", "notes")):
        assert_refused(resound("restore", "a.wav", *words), "notes: cannot make this folder")
        assert files_below(here) == {"a.wav", "notes"}


def test_a_folder_that_is_not_writable_is_refused(here, resound):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    write_wav(here / "a.wav")
    (here / "locked").mkdir()
    (here / "locked").chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert_refused(resound("restore", "a.wav", "-o", "locked/b.wav"), "locked: folder is not writable; choose another")
    assert files_below(here) == {"a.wav", "locked"}


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".aiff", ".m4a", ".mp4", ".mkv"])
def test_a_full_disk_is_one_line_and_leaves_nothing_wherever_it_strikes(here, resound, suffix):
    if suffix in (".mp4", ".mkv"):
        source = write_video(here / f"a{suffix}").name
    else:
        source = write_wav(here / "a.wav", n_samples=16000, rate=16000).name
    assert resound("restore", source, "-o", f"whole{suffix}").status == 0
    size = (here / f"whole{suffix}").stat().st_size
    before = files_below(here)
    for limit in (1, size // 2, size - 1):
        with largest_file(limit):
            ended = resound("restore", source, "-o", f"b{suffix}")
        assert_refused(ended, f"b{suffix}: disk full (File too large); free some space or choose another folder")
        assert files_below(here) == before


@pytest.mark.parametrize("culprit", ["r.wav", "p.png", "a_restored.wav.json"])
def test_when_a_companion_does_not_fit_nothing_is_written(here, resound, culprit):
    n_samples = {"r.wav": 4000, "p.png": 100, "a_restored.wav.json": 1}[culprit]
    limit = {"r.wav": 10000, "p.png": 3000, "a_restored.wav.json": 300}[culprit]
    write_wav(here / "a.wav", n_samples=n_samples)
    companions = {"r.wav": ("--removed", "r.wav"), "p.png": ("--picture", "p.png")}.get(culprit, ())
    with largest_file(limit):
        assert_refused(resound("restore", "a.wav", *companions), f"{culprit}: disk full")
    assert files_below(here) == {"a.wav"}


def test_a_full_tmpfs_is_one_line_and_leaves_nothing(here):
    folder = here / "tiny"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no permission to mount a tmpfs ({mounted.stderr.decode().strip()})")
    try:
        write_wav(here / "a.wav", n_samples=60000)
        ended = subprocess.run(command("restore", "a.wav", "-o", "tiny"), capture_output=True, text=True)
        assert ended.returncode == 1
        assert ended.stderr.splitlines() == [
            "resound: tiny/a_restored.wav: disk full (No space left on device); "
            "free some space or choose another folder with -o"
        ]
        assert files_below(folder) == set()
    finally:
        subprocess.run(["umount", folder], check=True)


def test_the_folder_of_the_output_is_made(here, resound):
    write_wav(here / "a.wav")
    assert resound("restore", "a.wav", "-o", "new/deep/b.flac", "--removed", "n/r.wav").status == 0
    assert files_below(here / "new") == {"deep", "deep/b.flac", "deep/b.flac.json"}
    assert files_below(here / "n") == {"r.wav"}


# Wrong wishes


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--model", "clasic"), "model 'clasic' is not known (did you mean 'classic'?)"),
        (("--model", "no.onnx"), "no.onnx: no such model file; give the path of an .onnx file"),
        (("--strength", "1.5"), "strength is 1.5; give 0 (leave as it is) to 1 (restore in full)"),
        (("--strength", "-0.1"), "strength is -0.1; give 0"),
        (("--strength", "nan"), "strength is nan; give 0"),
        (("--only", "declik"), "stage 'declik' is not known (did you mean 'declick'?)"),
        (("--skip", "hum"), "stage 'hum' is not known (did you mean 'dehum'?)"),
        (("--only", "dehum", "--skip", "dehum"), "no stage is left to run; give --only or --skip fewer names"),
        (("--set", "dehiss"), "'dehiss' is not a setting; write key=value"),
        (("--set", "dehis.max_reduction_db=3"), "dehis: no such setting (did you mean 'dehiss'?)"),
        (("--set", "dehiss.max_reduction_db=99"), "dehiss.max_reduction_db: input should be less than or equal to 60"),
        (("--set", "dehiss.max_reduction_db=2001-99-99"), "'2001-99-99' cannot be read as a value; put it in quotes"),
        (("--max-reduction", "61"), "max reduction is 61 dB; give 0 to 60"),
        (("--max-reduction", "nan"), "max reduction is nan dB; give 0 to 60"),
        (("--start", "3"), "a.wav: is 0.500 s long, cannot be read from 3 s; start earlier"),
        (("--start", "-1"), "start is -1 s; give 0 or more"),
        (("--start", "1e308"), "start is 1e+308 s; give 0 or more"),
        (("--duration", "0"), "duration is 0 s; give more than 0"),
        (("--duration", "inf"), "duration is inf s; give more than 0, or leave it out"),
        (("--jobs", "-1"), "jobs is -1; give 1 or more, or 0 for one per core"),
        (("--audio-track", "2"), "a.wav: has 1 audio track, not track 2; use --audio-track 1"),
        (("--audio-codec", "aac"), ".wav has its own codec, 'aac' cannot be had; leave it out"),
        (("-o", "b.xyz"), "b.xyz: cannot write .xyz files; use .wav"),
        (("--removed", "b.mkv"), "b.mkv: sound alone is not written to .mkv; use .wav or .flac"),
        (("--picture", "b.jpg"), "b.jpg: pictures are PNG files; give a name ending in .png"),
        (("--config", "no.yaml"), "no.yaml: no such file; give the path of a YAML file with settings"),
    ],
)
def test_a_wrong_wish_is_refused_in_one_line_and_leaves_nothing(here, resound, words, message):
    write_wav(here / "a.wav")
    assert_refused(resound("restore", "a.wav", *words), message)
    assert files_below(here) == {"a.wav"}


def test_a_start_beyond_the_end_of_a_video_is_refused(here, resound):
    write_video(here / "a.mkv")
    assert_refused(resound("restore", "a.mkv", "--start", "5"), "a.mkv: ", "start earlier")
    assert files_below(here) == {"a.mkv"}


def test_wrong_usage_has_status_2(here, resound):
    for words in ((), ("restore",), ("restore", "a.wav", "--nope"), ("restore", "a.wav", "--strength", "much")):
        assert resound(*words).status == 2


# Names


@pytest.mark.parametrize(
    "name",
    [
        "with space.wav",
        "音楽 é ✓.wav",
        "a.tar.wav",
        "costs $5 and $x_{.wav",
        "x;y&z'\".wav",
        "take[1].wav",
        ".hidden.wav",
    ],
)
def test_any_name_works(here, resound, name):
    write_wav(here / name)
    ended = resound("restore", name, "--picture", "p.png", "--removed", f"r {name}")
    assert (ended.status, ended.stderr) == (0, "")
    result = f"{name.removesuffix('.wav')}_restored.wav"
    assert files_below(here) == {name, result, f"{result}.json", "p.png", f"r {name}"}
    assert json.loads((here / f"{result}.json").read_text(encoding="utf-8"))["input"] == name


def test_a_name_with_a_leading_dash_works_behind_two_dashes(here, resound):
    write_wav(here / "-o.wav")
    assert resound("restore", "--", "-o.wav").status == 0
    assert files_below(here) == {"-o.wav", "-o_restored.wav", "-o_restored.wav.json"}


def test_a_name_that_is_no_text_works(here):
    name = b"caf\xe9.wav"
    write_wav(here / "a.wav").rename(os.fsdecode(name))
    ended = subprocess.run([*command("restore"), name, b"--picture", b"\xe9.png"], capture_output=True)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert set(os.listdir(b".")) == {name, b"caf\xe9_restored.wav", b"caf\xe9_restored.wav.json", b"\xe9.png"}
    told = json.loads(Path(os.fsdecode(b"caf\xe9_restored.wav.json")).read_text(encoding="utf-8"))
    assert os.fsencode(told["input"]) == name


def test_a_name_with_a_line_end_stays_one_line_in_messages(here, resound):
    assert_refused(resound("restore", "a\nb.wav"), "a\\nb.wav: does not exist")


def test_a_name_of_any_length_ends_in_a_file_or_one_line(here, resound):
    write_wav(here / ("l" * 251 + ".wav"))
    before = files_below(here)
    assert_refused(resound("restore", "l" * 251 + ".wav"), "File name too long", "; give a shorter one with -o")
    assert_refused(resound("restore", "l" * 300 + ".wav"), "File name too long")
    for words in (("-o", "x" * 251 + ".wav"), ("--removed", "x" * 300 + ".wav"), ("--picture", "x" * 300 + ".png")):
        assert_refused(resound("restore", "l" * 251 + ".wav", "-o", "b.wav", *words), "; give a shorter one with -o")
    assert files_below(here) == before
    for longest in ("x" * 246 + ".wav", "音" * 82 + ".wav"):  # 250 bytes, and 5 of the log
        assert resound("restore", "l" * 251 + ".wav", "-o", longest).status == 0
        assert (here / longest).is_file()


def test_a_name_without_suffix_needs_one_for_the_result(here, resound):
    write_wav(here / "a.wav").rename("take")
    assert_refused(resound("restore", "take"), "take_restored: has no suffix to say what to write; add one")
    assert resound("restore", "take", "-o", "b.flac").status == 0
    assert read_sound(here / "b.flac").shape == (1, 4000)


# Batches


def test_a_bad_file_in_a_batch_is_reported_and_the_rest_goes_on(here, resound):
    for name in ("a.wav", "c.wav"):
        write_wav(here / "in" / name)
    (here / "in" / "b.wav").write_text("no sound")
    for n_jobs in (1, 2):
        ended = resound("restore", "in", "-o", f"out{n_jobs}", "--jobs", n_jobs)
        assert_refused(ended, "in/b.wav: is text, not sound")
        assert ended.stdout.splitlines()[-1] == "2 restored, 1 failed"
        names = {"a_restored.wav", "a_restored.wav.json", "c_restored.wav", "c_restored.wav.json"}
        assert files_below(here / f"out{n_jobs}") == names


def test_a_batch_over_processes_gives_the_same_files(here, resound):
    for index in range(3):
        write_wav(here / "in" / f"{index}.wav", hiss(4000, seed=index))
    assert resound("restore", "in", "-o", "one").status == 0
    assert resound("restore", "in", "-o", "two", "--jobs", "2").status == 0
    for name in ("0", "1", "2"):
        assert md5(here / "one" / f"{name}_restored.wav") == md5(here / "two" / f"{name}_restored.wav")


def test_a_folder_keeps_its_structure_for_results_and_companions(here, resound):
    write_wav(here / "in" / "a.wav")
    write_wav(here / "in" / "deep" / "a.wav")
    assert resound("restore", "in", "-o", "out", "--removed", "noise", "--picture", "look").status == 0
    assert files_below(here / "out") == {
        "a_restored.wav", "a_restored.wav.json", "deep", "deep/a_restored.wav", "deep/a_restored.wav.json"
    }  # fmt: skip
    assert files_below(here / "noise") == {"a_restored_removed.wav", "deep", "deep/a_restored_removed.wav"}
    assert files_below(here / "look") == {"a_restored.png", "deep", "deep/a_restored.png"}


@pytest.mark.parametrize("word", ["folder", "*.png"])
def test_no_recordings_at_all_are_refused(here, resound, word):
    (here / "folder").mkdir()
    (here / "folder" / "notes.txt").write_text("no sound")
    assert_refused(resound("restore", word), f"{word}: ", "; ")
    assert files_below(here) == {"folder", "folder/notes.txt"}


def test_inputs_whose_results_would_share_a_name_are_refused(here, resound):
    write_wav(here / "x" / "a.wav")
    write_wav(here / "y" / "a.wav")
    before = files_below(here)
    assert_refused(
        resound("restore", "x/a.wav", "y/a.wav", "-o", "out"), "out/a_restored.wav: both x/a.wav and y/a.wav"
    )
    assert files_below(here) == before


def test_one_file_for_several_recordings_is_refused(here, resound):
    write_wav(here / "a.wav")
    write_wav(here / "b.wav")
    for words in (("-o", "c.wav"), ("--removed", "c.wav"), ("--picture", "c.png")):
        assert_refused(resound("restore", "a.wav", "b.wav", *words), "is one file's name", "folder")
    assert files_below(here) == {"a.wav", "b.wav"}


def test_a_file_named_twice_is_restored_once(here, resound):
    write_wav(here / "a.wav")
    ended = resound("restore", "a.wav", "./a.wav", str(here / "a.wav"))
    assert (ended.status, len(ended.stdout.splitlines())) == (0, 1)


def test_json_tells_every_outcome(here, resound):
    write_wav(here / "a.wav")
    (here / "b.wav").touch()
    ended = resound("restore", "a.wav", "b.wav", "--json")
    assert_refused(ended, "b.wav: is empty")
    told = json.loads(ended.stdout)
    assert [one["status"] for one in told] == ["restored", "failed"]
    assert told[0]["report"]["n_samples"] == 4000
    assert told[1]["error"].startswith("b.wav: is empty") and told[1]["report"] is None


# Ending early

# So long that no worker is done before all have begun, on a busy machine too.
LONG_SAMPLES = 48000 * 60 * 4


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_no_half_file(here, jobs, number):
    for index in range(jobs):
        write_wav(here / f"{index}.wav", rate=48000, n_samples=LONG_SAMPLES)
    before = files_below(here)
    running = subprocess.Popen(
        command("restore", *sorted(before), "--jobs", jobs, "--removed", "noise"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    wait_for(lambda: len(list(here.glob(".*.partial.wav"))) >= jobs, running)
    os.killpg(running.pid, number)
    _, told = running.communicate(timeout=60)
    assert (running.returncode, told) == (130, "resound: interrupted; nothing half-written was left\n")
    assert files_below(here) - {"noise"} == before


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_an_interrupt_while_workers_start_is_one_line_too(here):
    names = [write_wav(here / f"{index}.wav").name for index in range(2)]
    running = subprocess.Popen(
        command("restore", *names, "--jobs", 2), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
    wait_for(lambda: len(children.read_text().split()) >= 3, running)  # two workers and Python's resource tracker
    os.killpg(running.pid, signal.SIGINT)
    _, told = running.communicate(timeout=60)
    assert (running.returncode, told) == (130, "resound: interrupted; nothing half-written was left\n")
    assert not list(here.glob(".*.partial*"))


def test_a_killed_worker_is_told_for_each_recording_it_took_along(here):
    for index in range(2):
        write_wav(here / f"{index}.wav", rate=48000, n_samples=LONG_SAMPLES)
    running = subprocess.Popen(
        command("restore", "0.wav", "1.wav", "--jobs", 2), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    wait_for(lambda: len(list(here.glob(".*.partial.wav"))) >= 2, running)
    children = subprocess.run(
        ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(running.pid)], capture_output=True, text=True
    )
    workers = [line.split()[0] for line in children.stdout.splitlines() if "spawn_main" in line]
    os.kill(int(workers[0]), signal.SIGKILL)
    _, told = running.communicate(timeout=60)
    assert running.returncode == 1
    assert sorted(told.splitlines()) == [
        f"resound: {index}.wav: a worker process was killed, perhaps for lack of memory; use fewer --jobs and "
        "--skip-existing to go on"
        for index in range(2)
    ]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_workers_whose_parent_is_killed_tidy_up_and_end(here):
    for index in range(2):
        write_wav(here / f"{index}.wav", rate=48000, n_samples=LONG_SAMPLES)
    running = subprocess.Popen(command("restore", "0.wav", "1.wav", "--jobs", 2))
    wait_for(lambda: len(list(here.glob(".*.partial.wav"))) >= 2, running)
    workers = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    running.kill()
    running.wait()
    deadline = time.monotonic() + 30
    while any(alive(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert files_below(here) == {"0.wav", "1.wav"}


def alive(process: str) -> bool:
    """Tell whether a process runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(happened, running: subprocess.Popen) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert running.poll() is None, running.stderr.read() if running.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_reader_of_our_output_that_goes_away_gets_no_traceback(here):
    for index in range(3):
        write_wav(here / f"{index}.wav")
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(command("restore", "0.wav", "1.wav", "2.wav"), stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, b"")
    assert not list(here.glob(".*.partial*"))


# The command itself


def imported_by(code: str) -> set[str]:
    """Return the modules that a fresh interpreter holds after some code."""
    ended = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print('\\n'.join(sys.modules), file=sys.stderr)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(ended.stderr.split())


HEAVY = {"torch", "scipy.signal", "av", "onnxruntime", "matplotlib", "soundfile", "soxr"}


def test_help_imports_nothing_heavy():
    code = "import sys; sys.argv = ['resound', '--help']\nfrom resound.cli.main import main\n"
    code += "try: main()\nexcept SystemExit: pass"
    assert imported_by(code) & HEAVY == set()


def test_importing_the_package_imports_nothing_heavy():
    assert imported_by("import resound") & (HEAVY | {"numpy"}) == set()


def test_the_installed_command_tells_its_version():
    found = shutil.which("resound", path=str(Path(sys.executable).parent))
    assert found, "install the package first"
    ended = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
    assert ended.stdout.split()[0] == "resound"
    assert ended.stdout.split()[1][0].isdigit()


def test_an_empty_name_is_no_folder(here, resound):
    write_wav(here / "a.wav")
    ended = resound("restore", "")
    assert ended.status == 1
    assert ended.stderr.startswith("resound: '' is no name; give a recording")
    assert files_below(here) == {"a.wav"}


def test_companions_of_recordings_that_differ_only_in_suffix_stay_apart(here, resound):
    for suffix in ("wav", "flac"):
        write_wav(here / "in" / f"x.{suffix}")
    ended = resound("restore", "in", "-o", "out", "--removed", "taken", "--picture", "seen")
    assert ended.status == 0, ended.stderr
    assert {path.name for path in (here / "taken").glob("*.wav")} == {
        "x_restored.wav_removed.wav",
        "x_restored.flac_removed.wav",
    }
    assert {path.name for path in (here / "seen").iterdir()} == {"x_restored.wav.png", "x_restored.flac.png"}


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no terminal hangs up here")
def test_a_closing_terminal_leaves_one_line_and_nothing_half_written(here):
    for index in range(2):
        write_wav(here / f"{index}.wav", rate=48000, n_samples=LONG_SAMPLES)
    running = subprocess.Popen(
        command("restore", "0.wav", "1.wav", "--jobs", 2),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # these tests may run under nohup
    )
    wait_for(lambda: len(list(here.glob(".*.partial.wav"))) >= 2, running)
    os.killpg(running.pid, signal.SIGHUP)
    _, told = running.communicate(timeout=60)
    assert told.splitlines() == ["resound: interrupted; nothing half-written was left"]
    assert running.returncode == 130
    assert files_below(here) == {"0.wav", "1.wav"}
