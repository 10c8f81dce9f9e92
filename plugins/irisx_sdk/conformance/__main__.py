"""``python -m irisx_sdk.conformance NAME [SEED]``: check one installed channel and print its `Report` as JSON.

For programs: it starts servers and runs a channel on a bad day, so it belongs into a process of its own.
"""

import sys

import msgspec

from irisx_sdk.conformance import check
from irisx_sdk.loading import fake_of, installed


def main() -> None:
    """Run it; exits with a line of text when there is no such channel, or no fake provider for it."""
    name, seed = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0
    channel = installed().channels.get(name)
    if channel is None:
        raise SystemExit(f"there is no channel {name}")
    try:
        fake = fake_of(channel)
    except LookupError as error:
        raise SystemExit(str(error)) from error
    sys.stdout.write(msgspec.json.encode(check(fake, seed=seed)).decode() + "\n")


if __name__ == "__main__":
    main()
