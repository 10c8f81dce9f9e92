"""Sending: what the fake has, and what the channel says that it has."""

from collections.abc import Callable
from typing import get_args

from irisx_sdk.channel import ContentKind
from irisx_sdk.conformance import trouble
from irisx_sdk.conformance.scene import (
    LARGE,
    MARK,
    Broken,
    Outcome,
    Scene,
    Skipped,
)
from irisx_sdk.conformance.trouble import CERTAIN
from irisx_sdk.fake import Faults
from irisx_sdk.messages import (
    RANKS,
    Content,
    Deletion,
    Edit,
    File,
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
            trouble.traffic,
        ),
        ("a connection that is cut before or after never makes it say something false", trouble.cut),
        ("an error or a throttle of the provider is told as what it is", trouble.refused),
        ("without a connection it says that nothing was sent", trouble.unreachable),
        ("wrong credentials are called that", trouble.credentials),
        ("the account can be checked", trouble.checking),
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
        if isinstance(outcome.error, CERTAIN) and outcome.taken:
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


def _squeezed(text: str) -> str:
    return "".join(text.split())
