"""One request on its way through the pipeline, as handlers see it."""

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from api.http.problem import bad_parameter
from api.http.query import NOTHING_ASKED
from core.access.actors import Actor

if TYPE_CHECKING:
    from api.http.operation import Operation
    from api.http.ratelimit import Verdict
    from api.http.services import Services

B = TypeVar("B")


class Ask(Generic[B]):
    """A request. When a handler gets it, it is understood and allowed; ``body`` is of the type that the operation
    declares."""

    __slots__ = (
        "body",
        "delivered",
        "if_match",
        "operation",
        "query",
        "request_id",
        "scope",
        "services",
        "someone",
        "tenant_id",
        "transport",
        "verdict",
    )

    def __init__(self, services: "Services", operation: "Operation", scope: Any, request_id: str) -> None:
        self.services = services
        self.operation = operation
        self.scope = scope
        self.request_id = request_id
        self.someone: Actor | None = None
        """Who asks, if anybody said so."""
        self.tenant_id = ""
        """The tenant that it is about: the actor's own, or the one an operator named."""
        self.query = NOTHING_ASKED
        self.body: B = None  # type: ignore[assignment]  # read before the handler runs
        self.if_match: int | None = None
        """The version the caller wants to change; None: any."""
        self.verdict: Verdict | None = None
        """What the rate limit said."""
        self.transport: tuple[Any, Any] = (None, None)
        """ASGI's receive and send, for an operation that sends its answer itself."""
        self.delivered = False
        """Set once something outside may have been done: from then on the answer is kept for repetitions."""

    @property
    def actor(self) -> Actor:
        """Who asks. Only public operations have nobody, and they do not look."""
        if self.someone is None:
            raise AssertionError("a public operation asked for its actor")
        return self.someone

    @property
    def path(self) -> dict[str, str]:
        """The ids in the path."""
        found: dict[str, str] = self.scope["path_params"]
        return found

    def header(self, name: bytes) -> str:
        """A header's value, or an empty text. ``name`` in lower case."""
        for key, value in self.scope["headers"]:
            if key == name:
                return str(value.decode("latin-1"))
        return ""

    def value(self, name: str, default: Any = None) -> Any:
        """A declared query parameter."""
        return self.query.values.get(name, default)

    def need_person(self) -> Actor:
        """The actor, who must be a person: a key has no password, no profile and no sessions."""
        if self.actor.is_key:
            raise bad_parameter(
                "Authorization", "this is for people; a key cannot do it", code="not_a_person"
            )
        return self.actor
