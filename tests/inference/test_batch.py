"""Batches: every recording has its outcome, and a bad one takes nobody along."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conftest import files_below, hiss, read_sound, write_wav
from resound.errors import ConfigError
from resound.inference import batch as batches
from resound.inference.batch import Batch, Outcome, run_batch
from resound.inference.naming import Task, plan_tasks
from resound.inference.pipeline import Options


def batch_of(*inputs: str, output: str | None = None, **settings) -> Batch:
    tasks = plan_tasks(inputs, Path(output) if output else None)
    return Batch(tasks, settings.pop("options", Options()), **settings)


def statuses(outcomes: list[Outcome]) -> dict[str, str]:
    return {outcome.task.source.name: outcome.status for outcome in outcomes}


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_every_recording_has_its_outcome(here, n_jobs):
    for name in ("a.wav", "b.wav"):
        write_wav(here / name)
    (here / "bad.wav").write_text("no sound")
    (here / "b_restored.wav").write_text("done")
    outcomes = list(run_batch(batch_of("a.wav", "bad.wav", "b.wav", skip_existing=True, n_jobs=n_jobs)))
    assert statuses(outcomes) == {"a.wav": "restored", "bad.wav": "failed", "b.wav": "skipped"}
    (failed,) = (outcome for outcome in outcomes if outcome.error)
    assert failed.error and failed.error.startswith("bad.wav: is text, not sound")


def test_one_job_goes_in_order_and_each_ends_before_the_next_begins(here):
    for name in ("a.wav", "b.wav"):
        write_wav(here / name)
    running = run_batch(batch_of("a.wav", "b.wav"))
    assert next(running).task.source.name == "a.wav"
    assert not (here / "b_restored.wav").exists()
    assert next(running).task.source.name == "b.wav"


def test_progress_comes_from_other_processes_too(here):
    for name in ("a.wav", "b.wav"):
        write_wav(here / name, n_samples=16000)
    told: list[tuple[str, float, float | None]] = []
    batch = batch_of("a.wav", "b.wav", n_jobs=2)
    list(run_batch(batch, lambda task, done, in_all: told.append((task.source.name, done, in_all))))
    for name in ("a.wav", "b.wav"):
        assert (name, 2.0, 2.0) in told


def test_0_jobs_are_one_per_core_and_never_more_than_recordings(here, monkeypatch):
    asked: list[int] = []
    monkeypatch.setattr(batches, "run_parallel", lambda batch, n_jobs, progress: iter(asked.append(n_jobs) or ()))
    monkeypatch.setattr(batches, "n_cores", lambda: 3)
    tasks = [Task(Path(f"{n}.wav"), Path(f"{n}_out.wav")) for n in range(5)]
    list(run_batch(Batch(tasks, Options(), n_jobs=0)))
    list(run_batch(Batch(tasks[:2], Options(), n_jobs=8)))
    assert asked == [3, 2]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(5, "Input/output error"), "a.wav: could not be read to its end (Input/output error); check its disk"),
        (MemoryError(), "a.wav: takes more memory than there is; use --jobs 1, or --duration"),
    ],
)
def test_a_failing_disk_or_memory_is_that_recordings_failure_alone(here, monkeypatch, error, message):
    for name in ("a.wav", "b.wav"):
        write_wav(here / name)
    whole = batches.restore_file

    def restore(source: Path, *arguments, **settings):
        if source.name == "a.wav":
            raise error
        return whole(source, *arguments, **settings)

    monkeypatch.setattr(batches, "restore_file", restore)
    outcomes = list(run_batch(batch_of("a.wav", "b.wav")))
    assert [outcome.error for outcome in outcomes] == [message, None]


def test_our_own_bugs_are_not_taken_for_bad_recordings(here, monkeypatch):
    write_wav(here / "a.wav")

    def broken(*_arguments, **_settings):
        raise ZeroDivisionError

    monkeypatch.setattr(batches, "restore_file", broken)
    with pytest.raises(ZeroDivisionError):
        list(run_batch(batch_of("a.wav")))


def test_companions_of_one_recording_are_files_and_of_several_lie_in_folders(here):
    for name in ("d/a.wav", "d/x/b.wav"):
        write_wav(here / name)
    one = batch_of("d/a.wav", removed=Path("n.wav"), picture=Path("p.png"))
    assert one.targets(one.tasks[0]) == [Path("d/a_restored.wav"), Path("n.wav"), Path("p.png")]
    several = batch_of("d", removed=Path("n"), picture=Path("p"))
    assert several.targets(several.tasks[1]) == [
        Path("d/x/b_restored.wav"), Path("n/x/b_restored_removed.wav"), Path("p/x/b_restored.png")
    ]  # fmt: skip


def test_companions_of_recordings_that_differ_only_in_suffix_have_whole_names(here):
    batch = batch_of("a.wav", "a.flac", "b.wav", removed=Path("n"))
    names = [batch.companion(task, batch.removed, ".wav").name for task in batch.tasks]
    assert names == ["a_restored.wav_removed.wav", "a_restored.flac_removed.wav", "b_restored_removed.wav"]


def test_removed_parts_that_would_replace_an_input_are_refused(here):
    write_wav(here / "a.wav")
    write_wav(here / "b.wav")
    write_wav(here / "a_restored_removed.wav")
    with pytest.raises(ConfigError, match=r"a_restored_removed.wav: is an input too"):
        batch_of("a.wav", "a_restored_removed.wav", removed=Path("."), options=Options(overwrite=True))


def test_a_negative_number_of_jobs_is_refused():
    with pytest.raises(ConfigError, match="jobs is -1; give 1 or more, or 0 for one per core"):
        Batch([], Options(), n_jobs=-1)


def test_ending_a_parallel_batch_early_stops_it_and_leaves_nothing_half_done(here):
    for index in range(6):
        write_wav(here / f"{index}.wav", hiss(8000 * 20, seed=index))
    running = run_batch(batch_of(*(f"{index}.wav" for index in range(6)), n_jobs=2))
    first = next(running)
    running.close()
    assert first.status == "restored"
    results = {name for name in files_below(here) if "restored" in name or "partial" in name}
    assert not any("partial" in name for name in results)
    assert len([name for name in results if name.endswith(".wav")]) < 6
    for name in results:
        if name.endswith(".wav"):
            assert read_sound(here / name).shape == (1, 160000)
            assert f"{name}.json" in results
    assert np.isfinite(read_sound(Path(first.task.output))).all()
