"""Trouble on the way: cuts, throttles, wrong credentials, webhooks out of order; what the channel says, and what is true."""

import socket
import time
from typing import Any

import msgspec

from irisx_sdk.channel import Account, Tools
from irisx_sdk.conformance.scene import MARK, Broken, Outcome, Scene, Skipped, secrets_of, with_wrong
from irisx_sdk.errors import ChannelError, Misconfigured, NotSent, OutcomeUnknown, Refused, Throttled
from irisx_sdk.fake import Faults
from irisx_sdk.messages import RANKS, Inbound, Text

CERTAIN = (Refused, Misconfigured, Throttled, NotSent)
"""What is raised only for a message that the provider does not have."""

_TRIES = 4
_MESSAGES = 8
_QUIET_S = 0.6
_MOST_WAIT_S = 20.0


def traffic(scene: Scene) -> str:
    """Messages both ways over real HTTP, with everything that goes wrong with webhooks."""
    if not scene.channel.capabilities.webhook:
        raise Skipped("the channel takes no webhooks")
    fake, inbox = scene.fake, scene.inbox
    _wait_until_quiet(scene)
    inbox.got.clear()
    fake.faults = Faults(duplicate=0.5, reorder=0.4, delay_s=0.05, lie=0.5, early=0.3)
    texts = [f"Number {number} {MARK}" for number in range(_MESSAGES)]
    sent = []
    for text in texts:
        fake.do(lambda text=text: fake.spawn(fake.write(fake.someone(), text)))
        message = scene.message(text)
        outcome = scene.send(message)
        if outcome.sent is None:
            raise Broken(f"{outcome.said}: {outcome.error}") from outcome.error
        sent.append((message.id, outcome.sent.ids))
    _wait_until_quiet(scene)
    parsed = [scene.parse(request) for request in inbox.got]
    if not parsed:
        raise Skipped("messages come over a connection, not by webhook")
    _every_text_once([message for one in parsed for message in one.messages], texts)
    statuses = [status for one in parsed for status in one.statuses]
    final = fake.life[-1]
    for reference, ids in sent if statuses and final in RANKS else []:
        about = [status for status in statuses if status.id in ids or status.reference == reference]
        best = max((RANKS[status.state] for status in about), default=-1)
        if best < RANKS[final]:  # type: ignore[index]
            raise Broken(
                f"the provider said {final}, its receipts were read as {[one.state for one in about]}"
            )
    return f"{len(inbox.got)} webhooks"


def _every_text_once(messages: list[Inbound], texts: list[str]) -> None:
    if not messages:
        return
    by_id = {message.id: message.content for message in messages}
    came = sorted(content.text.strip() for content in by_id.values() if isinstance(content, Text))
    if came != texts:
        lost, more = sorted(set(texts) - set(came)), len(came) - len(set(came))
        raise Broken(f"of {len(texts)} messages {len(lost)} are lost and {more} doubled, going by their ids")


def _wait_until_quiet(scene: Scene) -> None:
    until, seen, since = time.monotonic() + _MOST_WAIT_S, -1, time.monotonic()
    while time.monotonic() < until:
        if len(scene.inbox.got) != seen:
            seen, since = len(scene.inbox.got), time.monotonic()
        if time.monotonic() - since > _QUIET_S:
            return
        time.sleep(0.02)


def _honest(outcome: Outcome, where: str) -> None:
    if isinstance(outcome.error, CERTAIN) and outcome.taken:
        raise Broken(f"{where}: says {outcome.said} (certainly not sent), and the fake has it")
    if outcome.error is None and not outcome.taken:
        raise Broken(f"{where}: says Sent, and the fake does not have it")
    if outcome.taken > 1 and not outcome.sent:
        raise Broken(f"{where}: the fake has it {outcome.taken} times")


def cut(scene: Scene) -> str:
    said = []
    for backend in ("asyncio", "trio"):
        for faults, where in ((Faults(drop_before=1), "cut before"), (Faults(drop_after=1), "cut after")):
            scene.fake.faults = faults
            outcome = scene.send(scene.message(f"{where} {MARK}"), backend=backend)
            _honest(outcome, where)
            if outcome.taken and not isinstance(outcome.error, OutcomeUnknown) and outcome.error is not None:
                raise Broken(f"{where}: says {outcome.said}, only OutcomeUnknown is true")
            said.append(f"{where}: {outcome.said}")
    # A sending of several requests (a token, a file, the message) can be cut at each of them.
    for number in range(2 * _TRIES):
        scene.fake.faults = Faults(drop_after=0.5) if number % 2 else Faults(drop_before=0.5)
        outcome = scene.send(scene.message(f"cut somewhere {number} {MARK}"))
        _honest(outcome, "cut somewhere")
    return ", ".join(dict.fromkeys(said))


def refused(scene: Scene) -> str:
    said = []
    for faults, where in ((Faults(throttle_every=1), "throttled"), (Faults(error_every=1), "an error")):
        scene.fake.faults = faults
        outcome = scene.send(scene.message(f"{where} {MARK}"))
        _honest(outcome, where)
        if where == "throttled" and outcome.error is not None and not isinstance(outcome.error, Throttled):
            raise Broken(f"too fast, and it says {outcome.said}: {outcome.error}")
        if where == "an error" and isinstance(outcome.error, Refused | Misconfigured):
            raise Broken(f"the provider is ill, and it says {outcome.said}: nobody would try again")
        wish = getattr(outcome.error, "retry_after_s", None)
        said.append(f"{where}: {outcome.said}" + (f" ({wish:g} s)" if wish is not None else ""))
    # Every second request, many times: what began is finished or said, whatever the order of a channel's requests.
    for number in range(2 * _TRIES):
        scene.fake.faults = Faults(error_every=2) if number % 2 else Faults(throttle_every=3)
        _honest(scene.send(scene.message(f"Now and then {number} {MARK}")), "faults now and then")
    return ", ".join(said)


def unreachable(scene: Scene) -> str | None:
    settings = scene.account.settings
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: a connection is refused
        port = nobody.getsockname()[1]
        if hasattr(settings, "base_url"):
            elsewhere = msgspec.structs.replace(settings, base_url=f"http://127.0.0.1:{port}")
        elif hasattr(settings, "port"):
            elsewhere = msgspec.structs.replace(settings, port=port)
        else:
            raise Skipped("its settings have no base_url or port to change")
        outcome = scene.send(scene.message(f"Nobody {MARK}"), account=Account("acc_kit2", elsewhere))
    _honest(outcome, "no connection")
    if not isinstance(outcome.error, NotSent):
        raise Broken(f"says {outcome.said}: {outcome.error}")
    return None


def credentials(scene: Scene) -> str:
    names = secrets_of(scene.account.settings)
    if not names:
        raise Skipped("its settings have no secrets")
    wrong = Account("acc_kit3", with_wrong(scene.account.settings, *names))
    outcome = scene.send(scene.message(f"Stranger {MARK}"), account=wrong)
    _honest(outcome, "wrong credentials")
    if not isinstance(outcome.error, Misconfigured):
        raise Broken(f"says {outcome.said}" + (f": {outcome.error}" if outcome.error else ""))
    return ", ".join(names)


def checking(scene: Scene) -> str:
    async def asking(account: Account, lent: Tools) -> str:
        return await scene.channel.check(account, lent)

    line = scene.run(asking, scene.account)
    if not line or not isinstance(line, str):
        raise Broken("says nothing")
    names = secrets_of(scene.account.settings)
    if names and line != "nothing to ask":
        wrong = Account("acc_kit4", with_wrong(scene.account.settings, *names))
        try:
            said: Any = scene.run(asking, wrong)
        except ChannelError as error:
            scene.errors.append(error)
            if not isinstance(error, Misconfigured):
                raise Broken(f"wrong credentials, and it says {type(error).__name__}: {error}") from error
        else:
            raise Broken(f"wrong credentials, and it says {said!r}")
    return line
