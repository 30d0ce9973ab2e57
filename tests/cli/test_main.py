"""The program's frame: a quick start, exit codes, one line per failure."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from seqkit import errors
from seqkit.cli import main

HEAVY = ("torch", "numpy", "numba", "faiss", "transformers", "tokenizers", "pysam", "Bio")


def start(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "seqkit.cli.main", *arguments], capture_output=True, text=True, **options
    )


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nsys.argv = ['seqkit', '--help']\nfrom seqkit.cli import main\n"
        "try:\n    main.main()\nexcept SystemExit as end:\n    assert end.code == 0\n"
        f"print(sorted(set({HEAVY}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_help_is_quick():
    def cpu_seconds():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert start("--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    # Processor time, and the best of some: what others do on the machine does not count.
    assert min(cpu_seconds() for _ in range(5)) < 0.3


def test_every_command_has_help(run):
    for name in main.COMMANDS:
        assert run(name, "--help").exit_code == 0


def test_version(run):
    assert run("--version").stdout == "seqkit 0.1.0\n"


@pytest.mark.parametrize("arguments", [["nonsense"], ["--nonsense"], ["config", "get"]])
def test_wrong_usage_exits_2(run, arguments):
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize(
    ("shell", "variables"),
    [
        ("bash", {"COMP_WORDS": "seqkit doc", "COMP_CWORD": "1"}),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "seqkit doc"}),
        ("fish", {"_TYPER_COMPLETE_ARGS": "seqkit doc", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}),
    ],
)
def test_shell_completion(shell, variables):
    program = Path(sys.executable).with_name("seqkit")
    done = subprocess.run(
        [program],
        env={**os.environ, "_SEQKIT_COMPLETE": f"complete_{shell}", **variables},
        capture_output=True,
        text=True,
    )
    assert "doctor" in done.stdout
    assert "align" not in done.stdout
    assert done.stderr == ""


@pytest.fixture
def failing(monkeypatch, run):
    """Run a command that raises the exception given."""

    def run_failing(error, *flags):
        def command() -> None:
            """Fail."""
            raise error

        app = typer.Typer(add_completion=False)
        app.command("fail")(command)
        monkeypatch.setattr(
            main.LazyGroup, "get_command", lambda self, ctx, name: typer.main.get_command(app)
        )
        return run(*flags, "fail")

    return run_failing


@pytest.mark.parametrize(
    ("error", "exit_code", "line"),
    [
        (errors.DataError("cut short", file="a.fq", record="r1"), 1, "seqkit: error: a.fq: r1: cut short\n"),
        (
            errors.UsageError("no such thing", hint="try --that"),
            2,
            "seqkit: error: no such thing (try --that)\n",
        ),
        (KeyboardInterrupt(), 130, "seqkit: interrupted\n"),
        (BrokenPipeError(), 141, ""),
        (MemoryError(), 1, "seqkit: error: out of memory\n"),
        (
            OSError(28, "No space left on device", "out.sam"),
            1,
            "seqkit: error: out.sam: No space left on device\n",
        ),
    ],
)
def test_failure_is_one_line_and_an_exit_code(failing, monkeypatch, error, exit_code, line):
    monkeypatch.setattr(main, "_silence_stdout", lambda: None)
    result = failing(error)
    assert (result.exit_code, result.stderr) == (exit_code, line)


def test_debug_shows_a_traceback(failing):
    result = failing(errors.DataError("bad"), "--debug")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("seqkit: error: bad\n")


def test_a_bug_is_one_line_too(monkeypatch, capsys):
    def broken():
        raise RuntimeError("oops")

    monkeypatch.setattr(main, "app", broken)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as end:
        main.main()
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith("seqkit: internal error: RuntimeError: oops (a bug in seqkit;")


@pytest.mark.parametrize("wrapped", [False, True])
def test_an_interrupt_while_starting_is_no_bug(monkeypatch, capsys, wrapped):
    def broken():
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as interrupt:
            if wrapped:  # as compiled libraries do that are being imported
                raise ImportError("initialization failed") from interrupt
            raise

    monkeypatch.setattr(main, "app", broken)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as end:
        main.main()
    assert end.value.code == 130
    assert capsys.readouterr().err == ""


def test_closed_pipe_ends_quietly():
    code = (
        "import sys, time\nfrom seqkit.cli import main, doctor\n"
        "def command() -> None:\n    '''Print.'''\n    print('x' * 1_000_000)\n"
        "doctor.command = command\nsys.argv = ['seqkit', 'doctor']\nmain.main()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    with process.stderr as stderr:
        assert stderr.read() == b""
    assert process.wait() == 141


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_clean_up(tmp_path, number, exit_code):
    code = (
        "import sys, time\nfrom seqkit.cli import main, doctor\nfrom seqkit.io import atomic\n"
        "def command() -> None:\n    '''Wait.'''\n"
        f"    with atomic.atomic_file({str(tmp_path / 'out')!r}):\n"
        "        print('ready', flush=True)\n        time.sleep(60)\n"
        "doctor.command = command\nsys.argv = ['seqkit', 'doctor']\nmain.main()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process.stdout as stdout, process.stderr as stderr:
        assert stdout.readline() == b"ready\n"
        time.sleep(0.05)
        process.send_signal(number)
        assert process.wait() == exit_code
        assert b"Traceback" not in stderr.read()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ignored", [False, True])
def test_ctrl_c_while_the_program_is_loaded_leaves_no_traceback(tmp_path, ignored):
    # What is loaded first takes its time.
    (tmp_path / "typer.py").write_text(
        "import time\nprint('loading', flush=True)\ntime.sleep(1)\nraise SystemExit(7)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", "from seqkit.cli import start; start.main()"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=(lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) if ignored else None,
    ) as process:
        assert process.stdout.readline() == b"loading\n"
        process.send_signal(signal.SIGINT)
        _, told = process.communicate()
    assert told == b""
    assert process.returncode == (7 if ignored else -signal.SIGINT)
