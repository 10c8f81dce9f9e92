"""Sending: what the fake has, and what the channel says that it has."""

import socket
import time
from collections.abc import Callable
from typing import Any, get_args

import msgspec

from irisx_sdk.channel import Account, ContentKind, Tools
from irisx_sdk.conformance.scene import (
    LARGE,
    MARK,
    Broken,
    Outcome,
    Scene,
    Skipped,
    secrets_of,
    with_wrong,
)
from irisx_sdk.errors import ChannelError, Misconfigured, NotSent, OutcomeUnknown, Refused, Throttled
from irisx_sdk.fake import Faults
from irisx_sdk.messages import (
    RANKS,
    Content,
    Deletion,
    Edit,
    File,
    Inbound,
    Interactive,
    Location,
    Media,
    Option,
    Reaction,
    State,
    Status,
    Template,
    Text,
    Typing,
)  # fmt: skip

_CERTAIN = (Refused, Misconfigured, Throttled, NotSent)
_TRIES = 4
_MESSAGES = 8
_QUIET_S = 0.6
_MOST_WAIT_S = 20.0


def run(scene: Scene) -> None:
    """All of them; none applies to a channel that sends nothing."""
    if "text" not in scene.channel.capabilities.sends:
        with scene.check("a text is sent"):
            raise Skipped("the channel sends no texts")
        return
    checks: list[tuple[str, Callable[[Scene], str | None]]] = [
        ("a text is sent as written, on asyncio and on trio", as_written),
        ("a text of the greatest length arrives whole, a longer one is not cut", lengths),
        ("every kind that it claims is sent, what it does not claim ends in an error of the SDK", kinds),
        ("files arrive", files),
        ("the states of a message are ours and never doubtful", states),
        (
            "nothing is lost or doubled when webhooks come twice, late, in another order and with lies",
            traffic,
        ),
        ("a connection that is cut before or after never makes it say something false", cut),
        ("an error or a throttle of the provider is told as what it is", refused),
        ("without a connection it says that nothing was sent", unreachable),
        ("wrong credentials are called that", credentials),
        ("the account can be checked", checking),
    ]
    for name, check in checks:
        with scene.check(name) as remarks:
            try:
                remark = check(scene)
            finally:
                scene.fake.faults = Faults()
            if remark:
                remarks.append(remark)


def as_written(scene: Scene) -> None:
    for backend in ("asyncio", "trio"):
        text = f"Good morning on {backend}, ÄÖÜ € {MARK}"
        outcome = scene.send(scene.message(text), backend=backend)
        if outcome.error is not None:
            raise Broken(f"on {backend}: {outcome.said}: {outcome.error}") from outcome.error
        if outcome.taken == 0:
            raise Broken(f"on {backend}: says Sent, and the fake has nothing")
        if text not in outcome.text:
            raise Broken(f"on {backend}: the fake got {outcome.text[:80]!r}")
        if outcome.sent is None or not outcome.sent.ids or not all(outcome.sent.ids):
            raise Broken("says Sent without an id")


def lengths(scene: Scene) -> str | None:
    most = scene.channel.capabilities.max_text
    body = "The quick brown fox jumps over the lazy dog. "
    text = (
        (f"{MARK} " + body * ((most or 20_000) // len(body) + 1))[: most or 20_000].rstrip().ljust(most, ".")
    )
    whole = scene.send(scene.message(text))
    if whole.error is not None:
        raise Broken(f"{len(text)} characters: {whole.said}: {whole.error}") from whole.error
    if _squeezed(text) not in _squeezed(whole.text):
        raise Broken(f"of {len(text)} characters {len(whole.text)} arrived")
    if not most:
        return f"{len(text)} characters"
    longer = scene.send(scene.message(text + " and more"))
    if longer.error is None and _squeezed(text + " and more") not in _squeezed(longer.text):
        raise Broken(f"{len(text) + 9} characters were cut to {len(longer.text)}")
    return f"{most} characters, {len(text) + 9}: {longer.said}"


def kinds(scene: Scene) -> str:
    first = scene.send(scene.message(f"To be changed {MARK}")).sent
    target = first.ids[0] if first else "1"
    met = scene.met.id if scene.met else target
    claimed = scene.channel.capabilities.sends
    for kind in get_args(ContentKind):
        content = _content(kind, target, met, scene.file("fil_kit"))
        outcome = scene.send(scene.message(content))
        if kind in claimed and outcome.error is not None:
            raise Broken(f"claims {kind}, and says {outcome.said}: {outcome.error}") from outcome.error
        if isinstance(outcome.error, _CERTAIN) and outcome.taken:
            raise Broken(f"{kind}: says {outcome.said}, and the fake has it")
    return ", ".join(sorted(claimed))


def _content(kind: str, target: str, met: str, picture: File) -> Content:
    known: dict[str, Content] = {
        "text": Text(f"Words {MARK}"),
        "media": Media(picture, kind="image", caption=f"A picture {MARK}"),
        "template": Template("hello_world", values=()),
        "interactive": Interactive(f"Which one? {MARK}", (Option("a", "First"), Option("b", "Second"))),
        "location": Location(52.52, 13.405, "Berlin"),
        "reaction": Reaction(met, "👍"),
        "edit": Edit(target, f"Changed {MARK}"),
        "deletion": Deletion(target),
        "typing": Typing(),
    }
    return known[kind]


def files(scene: Scene) -> str:
    capabilities = scene.channel.capabilities
    if not capabilities.max_files:
        raise Skipped("the channel sends no files")
    several = tuple(scene.file("fil_kit") for _ in range(min(capabilities.max_files, 3)))
    large = len(LARGE) <= (capabilities.max_file_bytes or len(LARGE))
    for attached in (several, (scene.file("fil_large"),) if large else several[:1]):
        before = len(scene.fake.sent)
        outcome = scene.send(scene.message(f"Look {MARK}", files=attached))
        if outcome.error is not None:
            raise Broken(f"{len(attached)} files: {outcome.said}: {outcome.error}") from outcome.error
        arrived = sum(len(one.media) for one in scene.fake.sent[before:])
        if arrived != len(attached):
            raise Broken(f"of {len(attached)} files {arrived} arrived")
    return f"{len(several)} at once" + (f", one of {len(LARGE) >> 20} MB" if large else "")


def states(scene: Scene) -> str:
    known: list[str] = []
    for state in RANKS:
        message = scene.message(f"State {state} {MARK}")
        outcome = scene.send(message)
        if outcome.sent is None:
            raise Broken(f"{outcome.said}: {outcome.error}") from outcome.error
        deliveries = scene.fake.do(scene.fake.receipt, scene.fake.sent[-1], state)
        statuses = scene.read(deliveries).statuses
        if scene.read(deliveries).statuses != statuses:
            raise Broken(f"{state}: the same receipt was read in two ways")
        if deliveries and not statuses:
            raise Broken(f"{state}: a receipt came and was read as nothing")
        for status in statuses:
            _ours(status, state, outcome, message.id)
        known += [state] if statuses else []
    best = scene.channel.capabilities.receipts
    if not known:
        if best == "sent":
            raise Skipped("the provider reports nothing after the sending")
        raise Skipped("states come over a connection, not by webhook")
    if best not in known and best != "sent":
        raise Broken(f"claims receipts up to {best}, and knows {', '.join(known)}")
    return ", ".join(known)


def _ours(status: Status, state: State, outcome: Outcome, reference: str) -> None:
    if outcome.sent is not None and status.id not in outcome.sent.ids and status.reference != reference:
        raise Broken(f"{state}: a receipt for {status.id}, the sending gave {', '.join(outcome.sent.ids)}")
    if status.state not in RANKS:
        raise Broken(f"{state}: read as {status.state!r}, which is not one of ours")
    if RANKS[status.state] != RANKS[state]:
        raise Broken(f"{state} was read as {status.state}")


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
    if isinstance(outcome.error, _CERTAIN) and outcome.taken:
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


def _squeezed(text: str) -> str:
    return "".join(text.split())
