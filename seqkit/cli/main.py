"""The program `seqkit`: finds commands by name, and turns every failure into one line and an exit code.

It knows the names of the commands and where each lives; it does not know what
they do, and imports a command's file only when that command (or the list of
all) is asked for. Nothing here may import torch or numpy: `seqkit --help`
answers at once.

Adding a command: write `seqkit/cli/NAME.py` and a line in `COMMANDS`. The file
exports either

* `command`: a function with Typer annotations, for a single command
  (`seqkit NAME`); its docstring is the help text; or
* `app`: a `typer.Typer(no_args_is_help=True)`, for a group (`seqkit NAME SUBCOMMAND`),
  made with `help="..."`.

It imports only light modules at the top (typer, `seqkit.errors`,
`seqkit.config`, `seqkit.cli.*`); whatever does the work is imported inside the
function. It raises `seqkit.errors` and never calls `sys.exit`; results go to
stdout, everything else to stderr.

Exit codes: 0 done; 1 bad data, failed I/O or a bug; 2 wrong usage; 130
interrupted; 141 the reader of stdout went away; 143 terminated.
"""

import importlib
import importlib.util
import os
import signal
import sys
from types import FrameType
from typing import Annotated, Any

import typer
import typer.core
import typer.main

import seqkit
from seqkit import errors

__all__ = ["COMMANDS", "app", "main"]

COMMANDS = (
    "align",
    "index",
    "encoder",
    "tokenize",
    "pretrain",
    "finetune",
    "predict",
    "embed",
    "score",
    "generate",
    "convert",
    "caption",
    "transcribe",
    "decoders",
    "bench",
    "doctor",
    "config",
)
"""Command names in the order of the help page; each is the module `seqkit.cli.NAME`."""

EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
EXIT_TERMINATED = 143


def _load_command(name: str) -> typer.core.TyperCommand | typer.core.TyperGroup:
    module = importlib.import_module(f"seqkit.cli.{name}")
    if hasattr(module, "app"):
        group = typer.main.get_group(module.app)
        group.name = name
        return group
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    single.command(name)(module.command)
    return typer.main.get_command(single)  # type: ignore[return-value]


class LazyGroup(typer.core.TyperGroup):
    """The root group: loads a command on demand and reports how it failed."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands that exist, in the order of the help page."""
        return [name for name in COMMANDS if importlib.util.find_spec(f"seqkit.cli.{name}")]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import and return the command of this name, or None when there is none."""
        return _load_command(cmd_name) if cmd_name in self.list_commands(ctx) else None

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command; on failure print one line and raise `typer.Exit` with its code."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except errors.SeqkitError as error:
            _report(f"error: {error}", debug=ctx.params["debug"])
            _give_up_on_stdout()
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            _report("interrupted", debug=ctx.params["debug"])
            raise typer.Exit(EXIT_INTERRUPTED) from error
        except BrokenPipeError as error:
            _silence_stdout()
            raise typer.Exit(EXIT_BROKEN_PIPE) from error
        except MemoryError as error:
            _report("error: out of memory", debug=ctx.params["debug"])
            raise typer.Exit(1) from error
        except OSError as error:
            _report(f"error: {_describe_os_error(error)}", debug=ctx.params["debug"])
            _give_up_on_stdout()
            raise typer.Exit(1) from error


def _report(line: str, *, debug: bool) -> None:
    if debug:
        import traceback

        traceback.print_exc()
    print(f"seqkit: {line}", file=sys.stderr)


def _describe_os_error(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else reason


def _give_up_on_stdout() -> None:
    """What a full disk did not take is tried again at the interpreter's end, which changes the exit code."""
    try:
        sys.stdout.flush()
    except OSError:
        _silence_stdout()


def _silence_stdout() -> None:
    """Point stdout at the null device, so that the interpreter's last flush has nothing to complain about."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


app = typer.Typer(
    cls=LazyGroup,
    name="seqkit",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"seqkit {seqkit.__version__}")
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Sequence models on the command line: align reads, model DNA, caption sounds, transcribe speech."""


def _terminate(number: int, frame: FrameType | None) -> None:
    # As an exception, so that context managers remove half-written outputs on the way out.
    raise SystemExit(EXIT_TERMINATED)


def _interrupted(error: BaseException | None) -> bool:
    """Whether an interrupt is behind an error: compiled libraries turn one into errors of their own."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def main() -> None:
    """Run the program with the arguments of the process.

    An exception that is none of `seqkit.errors` is a bug; it too is one line, unless `--debug` asks for more.
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app()
    except KeyboardInterrupt as error:
        raise SystemExit(EXIT_INTERRUPTED) from error
    except Exception as error:
        if _interrupted(error):
            raise SystemExit(EXIT_INTERRUPTED) from error
        debug = "--debug" in sys.argv
        hint = "" if debug else " (a bug in seqkit; `seqkit --debug ...` shows where)"
        _report(f"internal error: {type(error).__name__}: {error}{hint}", debug=debug)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
