"""The command as users have it: what it says, and that no way to end it costs anything but the time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from conftest import files_below

RUN = [sys.executable, "-c", "from resound.cli.main import main; main()"]


@pytest.fixture
def config(speech_corpus, tmp_path) -> Path:
    path = tmp_path / "mix.yaml"
    path.write_text(
        "sample_rate: 8000\nsegment_seconds: 2.5\nn_examples: 400\n"
        f"clean: {{corpus: {speech_corpus}}}\nchain:\n  - hiss: {{snr_db: [0, 30]}}\n"
    )
    return path


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*RUN, "prepare", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for_files(folder: Path, n_files: int, running: subprocess.Popen[str]) -> None:
    """Wait until a run that is under way has written some more."""
    while running.poll() is None and len(list(folder.glob("degraded/*.flac"))) < n_files:
        time.sleep(0.005)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_it_says_what_will_be_written_and_what_was(resound, config, tmp_path):
    ended = resound("prepare", config, "n_examples=12", "-o", tmp_path / "set", "--jobs", 1)
    assert ended.status == 0
    assert ended.stderr == ""
    first, *rest = ended.stdout.splitlines()
    assert first.startswith(f"{tmp_path / 'set'}: 12 examples (0.01 h); clean + degraded as 24-bit FLAC, about 0.00 GB")
    assert rest[0].startswith("12 examples, 0.01 h, 0.00 GB: speech 12")
    assert rest[1] == "degraded against clean, reverberation and all else counted as noise:"
    assert any(" dB " in line and line.endswith("#") for line in rest)
    assert any("asked-for and measured SNR differ by at most 0.00" in line for line in rest)


def test_a_second_run_finds_all_whole_and_changes_nothing(resound, config, tmp_path):
    arguments = ("prepare", config, "n_examples=5", "-o", tmp_path / "set", "--jobs", 1)
    resound(*arguments)
    before = contents(tmp_path / "set")
    ended = resound(*arguments)
    assert ended.status == 0
    assert "; 5 are there already; " in ended.stdout
    assert contents(tmp_path / "set") == before


def test_a_shard_says_that_others_are_missing(resound, config, tmp_path):
    for number, missing in ((2, True), (1, False)):
        ended = resound("prepare", config, "--count", 4, "-o", tmp_path / "set", "--shard", f"{number}/2", "-j", 1)
        assert ended.status == 0
        said = "2 of 4 examples are there; make the other shards, or run without --shard to complete the set"
        assert (said in ended.stdout) == missing
    assert len(list((tmp_path / "set" / "clean").iterdir())) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "set", "--format", "mp3"], "--format is 'mp3', --bits 24; give flac with 16 or 24, or wav"),
        (["-o", "set", "--bits", "20"], "--bits 20"),
        (["-o", "set", "--shard", "3/2"], "--shard is '3/2'; write i/n"),
        (["-o", "set", "--count", "-2"], "--count is -2"),
        (["-o", "set", "--jobs", "-1"], "jobs is -1; give 1 or more"),
        (["-o", "set", "n_exampels=3"], "n_exampels: no such setting (did you mean 'n_examples'?)"),
        (["-o", "set", "denoiser.with=deep-filter"], "'deep-filter' is no program on PATH; install it from"),
        (["-o", "set", "clean={corpus: absent.jsonl}"], "mix.yaml: corpus: absent.jsonl is not there (looked in "),
        (["-o", "set", "denoiser.with=clasic"], "'clasic' does not say where its files go (did you mean 'classic'?)"),
        (["-o", "set", "segment_seconds=.nan"], "mix.yaml: segment_seconds: "),
        (["-o", "set", "task=pairs"], "mix.yaml: chain: belongs to task: enhance, this one is pairs; change the task"),
        (["-o", "set", "chain=[{noise: {bank: mix.yaml, snr: 3}}]"], "mix.yaml: chain: step 1 (noise): "),
        (["-o", "mix.yaml"], "mix.yaml: is a file; give a folder with -o"),
        (["-o", "mix.yaml/set"], "mix.yaml: is a file; give a folder with -o"),
        ([], "prepare needs a folder to write to; give -o DIR"),
    ],
)
def test_what_cannot_work_is_one_line(resound, config, here, monkeypatch, arguments, message):
    monkeypatch.setenv("PATH", "/nowhere")
    ended = resound("prepare", config, *arguments)
    assert ended.status == 1
    assert message in ended.stderr.splitlines()[-1]
    assert ended.stderr.splitlines()[-1].startswith("resound: ")
    assert not ended.stdout
    assert len(ended.stderr.splitlines()) == 1
    assert not list(here.glob("set/*/*"))


def test_a_denoiser_that_fails_once_fails_that_example_alone_and_the_next_run_mends_it(
    resound, config, tmp_path, monkeypatch
):
    program = tmp_path / "bin" / "flaky"
    program.parent.mkdir()
    once = tmp_path / "once"
    program.write_text(f'#!/bin/sh\nif [ ! -e "{once}" ]; then touch "{once}"; exit 3; fi\ncp "$1" "$2"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    arguments = ("prepare", config, "n_examples=3", "denoiser={with: 'flaky {in} {out}'}", "-o", tmp_path / "set")
    ended = resound(*arguments, "-j", 1)
    assert ended.status == 1
    assert ended.stderr.startswith("resound: example 0: flaky: failed with status 3 (it said nothing)")
    assert "2 of 3 examples are there; run the same command again" in ended.stdout
    assert not (tmp_path / "set" / "manifest.jsonl").exists()
    ended = resound(*arguments, "-j", 1)
    assert ended.status == 0
    assert "the denoiser's delay, removed: 0 samples 3 times" in ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_kill_9_at_any_moment_and_going_on_gives_the_same_bytes(config, tmp_path, n_jobs):
    whole = start(config, "-o", tmp_path / "whole", "-j", n_jobs)
    assert whole.wait() == 0
    folder = tmp_path / "killed"
    for n_files in (1, 40, 150, 290):
        running = start(config, "-o", folder, "-j", n_jobs)
        wait_for_files(folder, n_files, running)
        running.kill()
        running.communicate()  # its workers hold the pipes: they end, too
        assert not (folder / "manifest.jsonl").exists()
    last = start(config, "-o", folder, "-j", n_jobs)
    out, _ = last.communicate()
    assert last.returncode == 0
    n_before = int(out.split(" are there already")[0].split()[-1])
    assert 270 <= n_before < 400
    assert contents(folder) == contents(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c_ends_it_cleanly_and_says_how_to_go_on(config, tmp_path, n_jobs):
    running = start(config, "-o", tmp_path / "set", "-j", n_jobs)
    wait_for_files(tmp_path / "set", 30, running)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=20)
    assert running.returncode == 130
    lines = err.splitlines()
    assert lines[0].endswith("of 400 examples are whole; the same command goes on from there")
    assert lines[1] == "resound: interrupted; nothing half-written was left"
    assert len(lines) == 2
    assert not any("partial" in name for name in files_below(tmp_path / "set"))
    assert start(config, "-o", tmp_path / "set", "-j", n_jobs).wait() == 0


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the worker in /proc")
def test_a_killed_worker_is_one_line_and_the_next_run_goes_on(config, tmp_path):
    running = start(config, "-o", tmp_path / "set", "-j", 2)
    wait_for_files(tmp_path / "set", 20, running)
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    workers = [pid for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
    os.kill(int(workers[0]), signal.SIGKILL)
    _, err = running.communicate(timeout=20)
    assert running.returncode == 1
    assert err.splitlines()[-1].startswith(
        "resound: a worker process was killed, perhaps for lack of memory; use fewer"
    )
    assert "Traceback" not in err
    assert start(config, "-o", tmp_path / "set", "-j", 2).wait() == 0


@pytest.mark.slow
def test_one_and_two_processes_write_the_same_bytes(config, tmp_path):
    for n_jobs in (1, 2):
        assert start(config, "n_examples=30", "-o", tmp_path / f"set{n_jobs}", "-j", n_jobs).wait() == 0
    assert contents(tmp_path / "set1") == contents(tmp_path / "set2")
    assert len(contents(tmp_path / "set1")) == 63


def test_samples_do_not_depend_on_what_came_before_in_the_process(resound, config, tmp_path):
    for count, folder in ((1, "one"), (8, "eight")):
        resound("prepare", config, "n_examples=8", "--count", count, "-o", tmp_path / folder, "-j", 1)
    resound("prepare", config, "n_examples=8", "-o", tmp_path / "part", "--shard", "8/8", "-j", 1)
    name = "degraded/000007.flac"
    assert (tmp_path / "part" / name).read_bytes() == (tmp_path / "eight" / name).read_bytes()
    first = [
        np.frombuffer((tmp_path / part / "degraded/000000.flac").read_bytes()[:1000], "u1") for part in ("one", "eight")
    ]
    np.testing.assert_array_equal(*first)
