"""What the scripts `seqkit` and `seqkit-ai` call: the program, with Ctrl-C quiet while it is being loaded.

Knows nothing of commands. Until the program is there nothing could be tidied up, so an interrupt ends the
process at once, as it does one that has no handler, without a traceback of imports.
"""

import signal

__all__ = ["main"]


def main() -> None:
    """Load the program, and run it."""
    # An interrupt that a parent has switched off, as `nohup` and scripts do, stays off.
    is_heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_heeded:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from seqkit.cli import main as program

    if is_heeded:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    program.main()
