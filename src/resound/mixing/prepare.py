"""Writes a mixed set to disk: one folder for each side of the examples, a manifest, and all that was drawn.

::

    DIR/prepare.json        what the set is made from; a run with anything else is refused
    DIR/clean/000123.flac   one file for each example, by number (to separate: mix/, s1/, s2/)
    DIR/degraded/000123.flac
    DIR/examples.jsonl      one line for each example: parameters, ratios, sizes and checksums
    DIR/manifest.jsonl      one line for each file, as `resound.corpora.manifest` has it
    DIR/.journal/           while it is being made: which examples are whole

The two lists appear when all examples are there, whichever shards and runs made them, and are the same then.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from resound.audio.atomic import write_failure
from resound.errors import ConfigError, InputError, OutputError
from resound.inference.workers import count_of_jobs, map_in_order
from resound.mixing.denoisers import open_denoiser
from resound.mixing.items import BITS, ItemMaker, Job, Outcome
from resound.mixing.journal import Journal, Records, journals_in
from resound.mixing.plan import Plan
from resound.mixing.set_folder import (
    EXAMPLES,
    begin,
    check_folder,
    free_bytes,
    is_there,
    remove_partial,
    write_lists,
)
from resound.mixing.stream import open_epoch
from resound.mixing.summary import Summary

FLAC_SHARE = 0.8  # of the size of the samples, measured on speech in noise at 24 bits; clean sides take less
FAILURES_IN_A_ROW = 20  # after which the rest is not tried


class Preparation:
    """A set on its way to disk: check, announce, run, finish."""

    def __init__(self, plan: Plan, *, overwrite: bool = False) -> None:
        """Check all that can be known before.  Raises `ConfigError`, `InputError`, `OutputError`."""
        if plan.n_examples < 0 or plan.epoch < 0:
            raise ConfigError(f"--count is {plan.n_examples}, --epoch {plan.epoch}; give at least 1 and 0")
        examples = open_epoch(plan.mixing, plan.epoch, plan.n_examples)
        self.plan = plan = replace(plan, n_examples=plan.n_examples or examples.n_examples)
        self.skipped_before = examples.skipped  # by the material as a whole, as pairs with one side
        for denoiser in plan.denoisers:
            open_denoiser(denoiser)
        self._facts = plan.facts()
        self._overwrite = overwrite
        check_folder(plan.folder, self._facts, overwrite=overwrite)
        self._records = Records([] if overwrite else [plan.folder / EXAMPLES, *journals_in(plan.folder)])
        n_there = self._records.last + 1
        if n_there > plan.n_examples:
            raise OutputError(
                f"{plan.folder}: holds {n_there} examples already, more than the {plan.n_examples} asked for; "
                f"give --count {n_there} or more, or choose another folder with -o"
            )
        self.n_recorded = sum(index in self._records for index in plan.indices)
        if not overwrite:  # what will be removed first makes room
            self._check_space()

    @property
    def bytes_needed(self) -> int:
        """Roughly what the examples of this shard that are still to be made take on disk."""
        n_missing = len(self.plan.indices) - self.n_recorded
        n_samples = self.plan.mixing.segment_samples * len(self.plan.items.sides) * self.plan.mixing.n_channels
        share = 1 if self.plan.kind == "wav" else FLAC_SHARE
        return round(n_missing * n_samples * BITS[self.plan.kind] / 8 * share)

    def announce(self) -> str:
        """Return one line about what will be written."""
        plan = self.plan
        of_them = f", of which {len(plan.indices)} in shard {plan.shard.number}/{plan.shard.of}" * (plan.shard.of > 1)
        there = f"; {self.n_recorded} are there already" if self.n_recorded else ""
        form = "32-bit float WAV" if plan.kind == "wav" else f"{BITS[plan.kind]}-bit FLAC"
        return (
            f"{plan.folder}: {plan.n_examples} examples ({plan.hours:.2f} h){of_them}{there}; "
            f"{' + '.join(plan.items.sides)} as {form}, about {self.bytes_needed / 1e9:.2f} GB to write, "
            f"{free_bytes(plan.folder) / 1e9:.1f} GB free"
        )

    @contextmanager
    def begun(self, n_jobs: int = 1) -> Iterator[Generator[Outcome]]:
        """Begin the folder, keep others out of the shard, and give what becomes of each of its examples, in order.

        May be interrupted at any time: what was yielded is kept.  Raises `ConfigError`, `OutputError` where the folder
        cannot be written or the shard is taken; on the way `OutputError` where the disk is full or a worker was killed,
        `InputError` where one example after the other fails.
        """
        plan = self.plan
        n_jobs = count_of_jobs(n_jobs)
        try:
            begin(plan, self._facts, overwrite=self._overwrite)
        except OSError as error:
            raise write_failure(plan.folder, error) from None
        with Journal(plan.folder, *plan.shard) as journal:
            remove_partial(plan)
            with closing(self._outcomes(journal, n_jobs)) as outcomes:
                yield outcomes

    def run(self, n_jobs: int = 1) -> Generator[Outcome]:
        """Yield what becomes of each example; see `begun`."""
        with self.begun(n_jobs) as outcomes:
            yield from outcomes

    def _outcomes(self, journal: Journal, n_jobs: int) -> Generator[Outcome]:
        failures = 0
        jobs = (Job(index, self._recorded_files(index)) for index in self.plan.indices)
        for outcome in map_in_order(partial(ItemMaker, self.plan.items), jobs, n_jobs):
            if outcome.record is not None:
                journal.append(outcome.record)
            failures = failures + 1 if outcome.error else 0
            yield outcome
            if failures == FAILURES_IN_A_ROW:
                raise InputError(f"{failures} examples in a row failed, the last because: {outcome.error}")

    def finish(self) -> Summary:
        """Return what there is now; once all examples of all shards are there, write the two lists."""
        try:
            return self._finish()
        except FileNotFoundError:  # another shard has just finished all and removed the journals
            return self._finish()
        except OSError as error:
            raise write_failure(self.plan.folder, error) from None

    def _recorded_files(self, index: int) -> dict[str, Any] | None:
        """Return what an earlier run recorded about the files of an example."""
        with suppress(FileNotFoundError):  # as above: then it is looked at as if it were new
            return (self._records.get(index) or {}).get("files")
        return None

    def _finish(self) -> Summary:
        plan = self.plan
        records = Records([plan.folder / EXAMPLES, *journals_in(plan.folder)])
        missing = sum(not is_there(plan.folder, records.get(index)) for index in range(plan.n_examples))
        summary = Summary(plan.n_examples, missing)
        for index in plan.indices if missing else range(plan.n_examples):
            record = records.get(index)
            if record is not None:
                summary.add(record)
        summary.skipped.update(self.skipped_before)
        if not missing:
            write_lists(plan, records)
        return summary

    def _check_space(self) -> None:
        free = free_bytes(self.plan.folder)
        if self.bytes_needed > free:
            raise OutputError(
                f"{self.plan.folder}: about {self.bytes_needed / 1e9:.2f} GB are needed, {free / 1e9:.2f} GB are "
                "free; free some space, choose another folder with -o, or lower --count"
            )
