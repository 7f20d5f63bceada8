"""The command line. Each command parses its options, calls `experiments` and prints; heavy imports come last."""

import io
import sys
from collections.abc import Callable

from pixelbayes.cli.audit import audit
from pixelbayes.cli.course import course
from pixelbayes.cli.evaluate import calibrate, evaluate, explain, report
from pixelbayes.cli.sample_classify import average, classify, import_network, sample
from pixelbayes.cli.sweep import sweep
from pixelbayes.cli.train import baseline, compare, demo, train
from pixelbayes.utils.errors import NO_SPACE, DivergedError, InputError, InterruptedRunError
from pixelbayes.version import __version__

COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "train": train,
    "compare": compare,
    "sweep": sweep,
    "baseline": baseline,
    "audit": audit,
    "evaluate": evaluate,
    "calibrate": calibrate,
    "average": average,
    "report": report,
    "sample": sample,
    "classify": classify,
    "explain": explain,
    "course": course,
    "import": import_network,
    "demo": demo,
}

FREE_SPACE = "free space, then repeat the command, with --resume if it was training"


def main(arguments: list[str] | None = None) -> int:
    """Runs one command.

    Returns:
        The exit status: 0; 1 if training diverged; 2 for invalid input; 128 + signal after a signal, 130 for Ctrl-C.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what its encoding lacks, as in a pipe on Windows, is escaped
            stream.reconfigure(errors="backslashreplace")
    try:
        _dispatch(arguments)
    except InputError as error:
        return _print_error(error, 2)
    except InterruptedRunError as error:
        return _print_error(error, 128 + error.signal)
    except DivergedError as error:
        return _print_error(error, 1)
    except OSError as error:  # such as a full disk or a missing permission
        file = error.filename2 or error.filename
        message = f"{file}: {error.strerror}" if file else str(error)
        return _print_error(f"{message}; {FREE_SPACE}" if error.errno in NO_SPACE else message, 2)
    except KeyboardInterrupt:
        return _print_error("stopped", 130)
    return 0


def _dispatch(arguments: list[str]) -> None:
    name, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if name in ("-h", "--help"):
        print(_overview())
    elif name == "--version":
        print(f"pixelbayes {__version__}")
    elif name in COMMANDS:
        COMMANDS[name](rest)
    else:
        import difflib

        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"expected one of: {', '.join(COMMANDS)}"
        raise InputError(f"unknown command {name!r}; {hint}")


def _overview() -> str:
    lines = [f"  {name:<10} {(command.__doc__ or '').splitlines()[0]}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: pixelbayes COMMAND [...]",
            "",
            "Class-conditional PixelCNN++: generates and classifies images, and measures its confidence.",
            "",
            "commands:",
            *lines,
            "",
            "`pixelbayes COMMAND --help` explains a command, `pixelbayes --version` prints the version.",
            "",
            "examples:",
            "  pixelbayes demo",
            "  pixelbayes sample food-and-fur --label koala --num-samples 16 --out koalas",
        ]
    )


def _print_error(error: object, status: int) -> int:
    for line in str(error).splitlines():
        print(f"pixelbayes: {line}", file=sys.stderr)
    return status
