"""``resound degrade``, as a user runs it."""

import hashlib
import json

import numpy as np
import pytest
import soundfile

from conftest import files_below, hiss, largest_file, read_sound, write_wav
from signals import speech_like

CHAIN = "about: a test\nsteps:\n  - gain: {gain_db: -6}\n  - hiss: {snr_db: [10, 30]}\n"


@pytest.fixture
def speech(here):
    return write_wav(here / "speech.wav", 0.5 * speech_like(2, 16000)[np.newaxis], rate=16000)


@pytest.fixture
def chain(here):
    (here / "own.yaml").write_text(CHAIN)
    return "own.yaml"


def samples_of(path):
    return hashlib.sha256(read_sound(path).tobytes()).hexdigest()


def test_the_result_lies_beside_the_recording_with_its_rate_channels_length_and_depth(resound, here):
    stereo = np.stack([0.3 * speech_like(1.5, 22050, seed) for seed in (1, 2)])
    write_wav(here / "in.flac", stereo, rate=22050, subtype="PCM_24")
    ended = resound("degrade", "in.flac")
    assert (ended.status, ended.stderr) == (0, "")
    form = soundfile.info(here / "in.film-1960s.flac")
    assert (form.samplerate, form.channels, form.frames, form.subtype) == (22050, 2, 33075, "PCM_24")
    assert "in.film-1960s.flac  0:01.5  film-1960s, seed 0" in ended.stdout


def test_the_recording_is_not_changed(resound, speech):
    before = speech.read_bytes()
    assert resound("degrade", "speech.wav").status == 0
    assert speech.read_bytes() == before


def test_a_seed_gives_the_same_samples_and_another_one_others(resound, here, speech, chain):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert resound("degrade", "speech.wav", "--chain", chain, "--seed", seed, "-o", f"{name}.wav").status == 0
    assert samples_of(here / "a.wav") == samples_of(here / "b.wav") != samples_of(here / "c.wav")


def test_the_parameters_replay_to_the_same_samples(resound, here, speech, chain):
    assert resound("degrade", "speech.wav", "--chain", chain, "--seed", 3, "--params", "p.json").status == 0
    content = json.loads((here / "p.json").read_text())
    assert (content["chain"], content["seed"], content["sample_rate"]) == ("own", 3, 16000)
    assert [sorted(step)[0] for step in content["steps"]] == ["gain", "hiss"]
    assert content["versions"]["numpy"] == np.__version__
    assert resound("degrade", "speech.wav", "--replay", "p.json", "-o", "again.wav").status == 0
    assert samples_of(here / "again.wav") == samples_of(here / "speech.own.wav")


def test_a_replay_never_writes_outside_of_its_folder(resound, here, speech):
    (here / "p.json").write_text(json.dumps({"chain": "../../a\0b", "steps": [{"gain": {"gain_db": -6}}]}))
    ended = resound("degrade", "speech.wav", "--replay", "p.json")
    assert (ended.status, ended.stderr) == (0, "")
    assert (here / "speech...-..-a-b.wav").exists()


def test_what_was_drawn_is_told_step_by_step(resound, speech, chain):
    lines = resound("degrade", "speech.wav", "--chain", chain, "--set", "hiss.snr_db=20").stdout.splitlines()
    assert lines[0] == "speech.own.wav  0:02.0  own, seed 0"
    assert lines[1] == "  gain  gain_db -6"
    assert lines[2].startswith("  hiss  snr_db 20")


def test_a_setting_is_measured_in_the_result(resound, here, speech, chain):
    result = resound("degrade", "speech.wav", "--chain", chain, "--set", "hiss.snr_db=15", "-o", "out.wav")
    assert result.status == 0
    clean = read_sound(speech) * 10 ** (-6 / 20)
    noise = read_sound(here / "out.wav") - clean
    assert 10 * np.log10(np.mean(clean**2) / np.mean(noise**2)) == pytest.approx(15, abs=0.02)


def test_a_peak_above_full_scale_is_not_clipped_but_written_as_float(resound, here, speech, chain):
    ended = resound("degrade", "speech.wav", "--chain", chain, "--set", "gain.gain_db=20")
    assert ended.status == 0
    assert "dBFS, so it is written as 32-bit float; nothing is clipped" in ended.stderr
    assert soundfile.info(here / "speech.own.wav").subtype == "FLOAT"
    assert np.abs(read_sound(here / "speech.own.wav")).max() > 1


def test_a_peak_that_a_flac_would_clip_is_refused(resound, here, speech, chain):
    ended = resound("degrade", "speech.wav", "--chain", chain, "--set", "gain.gain_db=20", "-o", "out.flac")
    assert ended.status == 1
    assert "which .flac would clip; write a .wav" in ended.stderr
    assert not (here / "out.flac").exists()


def test_what_is_lossy_becomes_a_wav(resound, here):
    soundfile.write(here / "in.mp3", speech_like(1, 32000), 32000)
    assert resound("degrade", "in.mp3").status == 0
    assert soundfile.info(here / "in.film-1960s.wav").subtype == "FLOAT"


def test_the_sound_of_a_video_becomes_a_wav(resound, here):
    av = pytest.importorskip("av")
    with av.open(here / "film.mkv", "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray((8000 * hiss(16000)).astype(np.int16), format="s16", layout="mono")
        frame.rate = 16000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    assert resound("degrade", "film.mkv").status == 0
    assert soundfile.info(here / "film.film-1960s.wav").frames == 16000


def test_a_change_of_speed_changes_the_length(resound, here, speech):
    (here / "fast.yaml").write_text("steps:\n  - speed: {percent: 4}\n")
    assert resound("degrade", "speech.wav", "--chain", "fast.yaml").status == 0
    assert soundfile.info(here / "speech.fast.wav").frames == pytest.approx(32000 / 1.04, abs=2)


def test_all_chains_and_degradations_are_listed(resound):
    from resound.degrade.chain import DEGRADATIONS, chain_names

    listed = resound("degrade", "--list").stdout
    names = {line.split()[0] for line in listed.splitlines() if line.startswith("  ")}
    assert names == {*DEGRADATIONS, *chain_names()}


def test_a_degradation_is_listed_with_its_settings(resound):
    lines = resound("degrade", "--list", "dull").stdout.splitlines()
    assert lines[0].startswith("dull: Over-suppressed treble")
    assert any(line.split()[:2] == ["ratio", "[1.2,"] and "1 to 5" in line for line in lines)


def test_a_chain_is_listed_as_it_is_written(resound):
    assert "steps:" in resound("degrade", "--list", "film-1960s").stdout


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["absent.wav"], "absent.wav: does not exist"),
        (["speech.wav", "--chain", "flim-1960s"], "flim-1960s: no such chain (did you mean 'film-1960s'?)"),
        (["speech.wav", "--chain", "no.yaml"], "no.yaml: no such file"),
        (["speech.wav", "--seed", "-1"], "seed: -1 is negative"),
        (["speech.wav", "--set", "hiss.snr=2", "--chain", "own.yaml"], "step 2 (hiss): snr: no such setting"),
        (["speech.wav", "-o", "speech.wav"], "speech.wav: is the input itself, which is never overwritten"),
        (["speech.wav", "-o", "out.xyz"], "out.xyz: cannot write .xyz files"),
        (["speech.wav", "--params", "speech.wav"], "speech.wav: is the recording or the result itself"),
        (["speech.wav", "--replay", "no.json"], "no.json: cannot be read"),
        (["speech.wav", "--replay", "own.yaml"], "own.yaml: is no JSON"),
        (
            ["speech.wav", "--replay", "bad.json"],
            "drawn step 1: hiss: snr_db: input should be a valid number",
        ),
        (["speech.wav", "--replay", "bad.json", "--seed", "1"], "--seed: means nothing with --replay"),
        (["silent.wav", "--chain", "own.yaml"], "silent.wav: the signal is silent"),
        (["."], ".: is a folder; give a recording"),
        ([""], ".: is a folder; give a recording"),
        (["speech.wav", "--chain", "../chains/lp"], "../chains/lp: no such chain"),
        (["speech.wav", "--chain", "own.yaml", "--set", "hiss.snr_db="], "hiss.snr_db: has no value"),
        (["speech.wav", "--params", "/proc/x.json"], "resound: /proc"),
        (["speech.wav", "--chain", "loud.yaml"], "the result passes what 32-bit float holds; lower the gains"),
        (["speech.wav", "--replay", "deep.json"], "deep.json: is nested too deep"),
        (["--list", "his"], "his: is neither a degradation nor a chain (did you mean"),
    ],
)
def test_what_goes_wrong_is_one_line(resound, here, speech, chain, arguments, fault):
    (here / "loud.yaml").write_text("steps:" + "\n  - gain: {gain_db: 120}" * 10)
    (here / "deep.json").write_text("[" * 100_000)
    (here / "bad.json").write_text(json.dumps({"steps": [{"hiss": {"snr_db": "x"}}]}))
    write_wav(here / "silent.wav", np.zeros((1, 4000)))
    before = {path.name for path in here.iterdir()}
    ended = resound("degrade", *arguments)
    assert ended.status == 1
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("resound: ")
    assert fault in ended.stderr
    assert {path.name for path in here.iterdir()} == before


def test_a_full_disk_names_the_file_and_leaves_neither_sound_nor_parameters(resound, here, speech):
    (here / "long.yaml").write_text("steps:" + "\n  - gain: {gain_db: 0}" * 2000)
    write_wav(here / "short.wav", 0.1 * hiss(800), rate=16000)
    before = files_below(here)
    with largest_file(20_000):
        ended = resound("degrade", "short.wav", "--chain", "long.yaml", "--params", "p.json")
    assert (ended.status, ended.stderr.count("\n")) == (1, 1)
    assert "p.json: disk full" in ended.stderr
    assert files_below(here) == before


def test_parameters_wait_for_a_sound_that_cannot_be_written(resound, here, speech, chain):
    before = files_below(here)
    with largest_file(20_000):
        ended = resound("degrade", "speech.wav", "--chain", chain, "--params", "p.json")
    assert ended.status == 1
    assert files_below(here) == before


def test_no_recording_is_wrong_usage(resound):
    assert resound("degrade").status == 2


def test_an_existing_result_is_kept(resound, here, speech, chain):
    assert resound("degrade", "speech.wav", "--chain", chain).status == 0
    kept = (here / "speech.own.wav").read_bytes()
    ended = resound("degrade", "speech.wav", "--chain", chain, "--seed", 9)
    assert ended.status == 1
    assert "exists already; use --overwrite" in ended.stderr
    assert (here / "speech.own.wav").read_bytes() == kept
    assert resound("degrade", "speech.wav", "--chain", chain, "--seed", 9, "--overwrite").status == 0
    assert (here / "speech.own.wav").read_bytes() != kept
