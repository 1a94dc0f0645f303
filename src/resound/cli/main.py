"""``resound``: puts the commands together and turns errors into one line and an exit status.

Exit status: 0 success, 1 failure, 2 wrong usage of the command line, 130 interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated, Any

# One thread is as fast for what we do, and leaves the other cores to --jobs.  Set before numpy is imported.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import typer

from resound.cli import demo, info, restore
from resound.errors import ResoundError

app = typer.Typer(
    name="resound",
    help="Restore sound: old films and records, noisy speech. One command, nothing lost.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("restore")(restore.command)
app.command("info")(info.command)
app.command("demo")(demo.command)


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
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app()
    except ResoundError as error:
        _fail(str(error), 1)
    except KeyboardInterrupt:
        _fail("interrupted; nothing half-written was left", 130)
    except BrokenPipeError:
        # whoever read our output has gone; keep the interpreter from complaining when it flushes
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except MemoryError:
        _fail(
            "out of memory; restore fewer files at a time (--jobs 1) or an excerpt (--start, --duration)", 1
        )


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _fail(message: str, status: int) -> None:
    print(f"resound: {message}", file=sys.stderr)
    raise SystemExit(status)
