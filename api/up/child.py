"""Become a program that ends when its supervisor does, however that ended.

Run as ``python -I -S child.py SIGNAL PARENT PROGRAM ARGUMENT...``: asks the kernel for SIGNAL on the parent's death
(prctl(2), PR_SET_PDEATHSIG, which survives execve) and then becomes the program. It is a program rather than
a function between fork and exec, because Python code there can deadlock in a process that has threads.

Nothing but the standard library is imported, and little of that: every child pays for it.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    signal, parent, *program = sys.argv[1:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal), 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit("the supervisor ended before this process began")
    try:
        os.execv(program[0], program)  # noqa: S606 - a list of words from our own supervisor
    except OSError as error:
        sys.exit(f"cannot run {program[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
