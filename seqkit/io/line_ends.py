"""What is said of line ends that no reader takes. This file does not know formats."""

from seqkit import errors

__all__ = ["bare_returns"]


def bare_returns(file: str) -> errors.DataError:
    """The error of a file whose lines end in carriage returns alone: it would be one long line.

    Examples
    --------
    >>> bare_returns("a.fa").message
    'line ends are bare carriage returns'
    """
    return errors.DataError("line ends are bare carriage returns", file=file, hint="convert it with mac2unix")
