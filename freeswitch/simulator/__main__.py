"""``python -m freeswitch.simulator``: a simulated switch in a process of its own, for tests and benches.

Prints one line of JSON (host, port, core_uuid, and sip_port when asked for) when it is ready.
"""

import argparse
import os

from freeswitch.simulator.living import LIVING
from freeswitch.simulator.scripts import Person, Span, Traffic, Visit
from freeswitch.simulator.server import run
from freeswitch.simulator.settings import FaultSettings, SimulatorSettings


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="freeswitch.simulator", description=__doc__)
    known = SimulatorSettings()
    parser.add_argument("--host", default=known.host)
    parser.add_argument("--port", type=int, default=0, help="0 picks a free port (the default)")
    parser.add_argument("--password", default=os.environ.get("SIMULATOR_PASSWORD", known.password))
    parser.add_argument(
        "--sip-port", type=int, default=None, help="take agents' legs over SIP; 0 picks a free port"
    )
    parser.add_argument(
        "--silent", action="store_true", help="no sound on agents' legs: they cost nothing then"
    )
    parser.add_argument("--inside-user", default=known.inside_user, help="who sends agents' legs")
    parser.add_argument("--inside-password", default=os.environ.get("SIMULATOR_INSIDE_PASSWORD", ""))
    parser.add_argument("--sounds-dir", default="", help="where sound files of relative names are")
    parser.add_argument("--switchname", default=known.switchname)
    parser.add_argument("--hostname", default=known.hostname)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--sps", type=int, default=known.sps)
    parser.add_argument("--max-sessions", type=int, default=known.max_sessions)
    parser.add_argument("--heartbeat", type=float, default=known.heartbeat_s, help="seconds")
    parser.add_argument("--recordings-dir", default="")
    parser.add_argument("--rate", type=float, default=0.0, help="inbound calls a second")
    parser.add_argument("--fixed", action="store_true", help="equal distances instead of random ones")
    parser.add_argument("--total", type=int, default=0, help="stop after so many inbound calls")
    parser.add_argument("--limit", type=int, default=1_000_000, help="inbound calls at the same time")
    parser.add_argument("--to", default="+4930550100", help="what the callers dial")
    parser.add_argument("--context", default="", help="dialplan context of inbound calls")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds until callers give up")
    parser.add_argument("--talk", type=float, default=0.0, help="seconds of talk, 0 for ever")
    parser.add_argument("--living", action="store_true", help="the scenario of `irisx up`")
    parser.add_argument("--segment", action="store_true", help="cut what is sent at random places")
    parser.add_argument("--no-sql", action="store_true")
    return parser


def main() -> None:
    """Read the arguments and run until interrupted or shut down."""
    given = _arguments().parse_args()
    forever = float("inf")
    talk = given.talk or forever
    stream = Traffic(
        per_second=given.rate,
        poisson=not given.fixed,
        total=given.total,
        limit=given.limit,
        visits=(
            Visit(
                destinations=(given.to,),
                person=Person(patience=Span(given.patience, given.patience), talk=Span(talk, talk)),
                context=given.context,
            ),
        ),
    )
    run(
        SimulatorSettings(
            host=given.host,
            port=given.port,
            password=given.password,
            sip_port=given.sip_port,
            sound=not given.silent,
            inside_user=given.inside_user,
            inside_password=given.inside_password,
            sounds_dir=given.sounds_dir,
            switchname=given.switchname,
            hostname=given.hostname,
            seed=given.seed,
            sps=given.sps,
            max_sessions=given.max_sessions,
            heartbeat_s=given.heartbeat,
            recordings_dir=given.recordings_dir,
            sql=not given.no_sql,
            traffic=LIVING if given.living else stream,
            faults=FaultSettings(segment=given.segment),
        )
    )


if __name__ == "__main__":
    main()
