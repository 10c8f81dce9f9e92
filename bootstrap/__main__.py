"""``python3 -m bootstrap up|test|lock|check``: what the Makefile calls."""

import argparse
import subprocess
import sys

from bootstrap import browsers, check, lock, pages, python
from bootstrap.steps import BootstrapError, Steps


def main() -> int:
    parser = argparse.ArgumentParser(prog="bootstrap", description=__doc__)
    what = parser.add_subparsers(dest="what", required=True)
    what.add_parser("up", help="have what running needs")
    what.add_parser("test", help="have what testing needs, then check the code")
    what.add_parser("check", help="the same without browsers")
    locking = what.add_parser("lock", help="write requirements.lock anew")
    locking.add_argument("--upgrade", action="store_true")
    chosen = parser.parse_args()
    try:
        python.check_version()
        if chosen.what == "up":
            steps = Steps(3)
            pages.prepare(steps, python.fill(steps, ("run",)), tools=False)
            steps.finish("everything is in place")
        elif chosen.what in ("test", "check"):
            tested = chosen.what == "test"
            steps = Steps(4 if tested else 3)
            pages.prepare(steps, python.fill(steps, ("run", "test")), tools=True)
            if tested:
                browsers.prepare(steps)
            steps.finish("everything is in place")
            return check.run_all()
        else:
            lock.write(Steps(1), upgrade=chosen.upgrade)
    except BootstrapError as error:
        print(f"\nstopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped by you; the next run goes on from here", file=sys.stderr)
        return 130
    except subprocess.SubprocessError as error:
        print(f"\nstopped: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
