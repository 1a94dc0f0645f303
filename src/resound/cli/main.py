"""``resound``: puts the commands together and turns errors into one line and an exit status.

Exit status: 0 success, 1 failure, 2 wrong usage of the command line, 130 interrupted; so ends a training, too, that
was stopped and has its checkpoint, as what should come after a finished one must not begin.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from typing import Annotated, Any, NoReturn

# One thread is as fast for what we do, and leaves the other cores to --jobs.  Set before numpy is imported.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import typer
from typer.core import TyperGroup

from resound.cli import (
    adapt,
    compare,
    corpus,
    degrade,
    demo,
    doctor,
    evaluate,
    export,
    harvest,
    import_,
    info,
    models,
    prepare,
    report,
    reproduce,
    restore,
    rooms,
    separate,
    stream,
    train,
    tune,
)
from resound.errors import Interrupted, ResoundError, one_line
from resound.interruption import begin_program, interrupt

ORDER = (
    "restore",
    "separate",
    "info",
    "demo",
    "degrade",
    "corpus",
    "prepare",
    "harvest",
    "rooms",
    "models",
    "import",
    "doctor",
    "train",
    "tune",
    "adapt",
    "reproduce",
    "evaluate",
    "compare",
    "report",
    "export",
    "stream",
)


class InOrder(TyperGroup):
    """Lists the commands as people meet them; typer would list those with commands of their own last."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands."""
        return sorted(self.commands, key=ORDER.index)


app = typer.Typer(
    name="resound",
    cls=InOrder,
    help="Restore sound: old films and records, noisy speech. One command, nothing lost.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("restore")(restore.command)
app.command("separate")(separate.command)
app.command("info")(info.command)
app.command("demo")(demo.command)
app.command("degrade")(degrade.command)
app.add_typer(corpus.app, name="corpus")
app.command("prepare")(prepare.command)
app.command("harvest")(harvest.command)
app.command("rooms")(rooms.command)
app.add_typer(models.app, name="models")
app.command("import")(import_.command)
app.add_typer(doctor.app, name="doctor")
app.command("train")(train.command)
app.command("tune")(tune.command)
app.command("adapt")(adapt.command)
app.command("reproduce")(reproduce.command)
app.command("evaluate")(evaluate.command)
app.command("compare")(compare.command)
app.command("report")(report.command)
app.command("export")(export.command)
app.command("stream")(stream.command)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"resound {version('resound')}")
        raise typer.Exit


@app.callback()
def _root(
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; whatever the user can cause ends in one line on stderr."""
    begin_program()
    _Interrupts.last = float("-inf")
    for number in _ends():
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _interrupt)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may hold bytes that are no text
    try:
        try:
            app()
        finally:
            if sys.stdout is not None:  # None where it was closed
                sys.stdout.flush()
    except ResoundError as error:
        _fail(str(error), 1)
    except (Interrupted, KeyboardInterrupt) as interruption:
        _fail(f"interrupted; {str(interruption) or 'nothing half-written was left'}", 130)
    except BrokenPipeError:
        _silence_stdout()  # whoever read our output has gone
        raise SystemExit(1) from None
    except OSError as error:
        if error.filename is not None:  # no failure to write: that never names a file
            raise
        _silence_stdout()
        reason = error.strerror or str(error)
        _fail(f"stdout: cannot be written ({reason}); free some space, or send the output elsewhere", 1)
    except MemoryError:
        _fail("out of memory; restore fewer files at a time (--jobs 1) or an excerpt (--start, --duration)", 1)


def _ends() -> tuple[int, ...]:
    """Return the signals by which a user or a system ends a program; Windows has no SIGHUP."""
    return tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class _Interrupts:
    """When the last signal was followed."""

    PATIENCE_SECONDS = 5.0
    last: float


def _interrupt(*_: Any) -> None:
    """Raise, but not at once again: a second Ctrl-C must not interrupt the tidying up after the first.

    Later it may: what is raised while an object is being freed, for one, is lost without a trace.
    """
    now = time.monotonic()
    if now - _Interrupts.last >= _Interrupts.PATIENCE_SECONDS:
        _Interrupts.last = now
        interrupt(Interrupted(), ends_program=True)


def _silence_stdout() -> None:
    """Keep the interpreter from complaining when it flushes at its end what could not be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, status: int) -> NoReturn:
    print(f"resound: {one_line(message)}", file=sys.stderr)
    raise SystemExit(status)


if __name__ == "__main__":  # as torchrun starts it
    main()
