"""Permissions and the roles that are built in. Pure.

A permission is ``resource:action``. Some reach beyond one tenant (switches are shared by all of them): these are
the platform's, and only operators hold them. A custom role or a key may carry any other.
"""

from collections.abc import Iterable

from msgspec import Struct

PERMISSIONS: dict[str, str] = {
    "agents:read": "See agents: states, skills, queues, what they are offered",
    "agents:write": "Create, change, import and delete agents and skills, and act for them",
    "agents:work": "Take work oneself: be ready, accept, decline and finish",
    "analytics:read": "See the numbers of queues and agents",
    "api-keys:read": "See API keys (never their secrets)",
    "api-keys:write": "Create, change, rotate and delete API keys",
    "calls:read": "See live and finished calls with their legs and timelines",
    "calls:write": "Place calls",
    "calls:control": "Act on live calls: hold, transfer, record, listen in, hang up",
    "carriers:read": "See carriers, their limits and how well they do",
    "carriers:write": "Create, change, test and delete carriers, and import their rates",
    "cdrs:read": "See call detail records",
    "channels:read": "See connected accounts of channels (never their secrets)",
    "channels:write": "Connect, change and disconnect accounts of channels",
    "compliance:read": "See who must not be written to, consents, and why something was not sent",
    "compliance:write": "Keep the do-not-contact list, consents and quiet hours",
    "conversations:read": "See conversations and their messages",
    "conversations:write": "Answer, assign, snooze and resolve conversations",
    "conferences:read": "See conferences and who is in them",
    "conferences:control": "Open conferences, add, mute and remove people, end them",
    "contacts:read": "See contacts, their addresses and notes",
    "contacts:write": "Create, change, merge, import and delete contacts",
    "content:read": "See templates, canned replies and macros, and fill them in",
    "content:write": "Write templates, canned replies and macros",
    "automation:read": "See rules, what they did, service levels and schedules",
    "automation:write": "Change rules, service levels and schedules",
    "endpoints:read": "See telephones and where they are registered (never their passwords)",
    "endpoints:write": "Create, change and remove telephones, and give them new passwords",
    "events:read": "Read the numbered log and follow the live stream",
    "media:read": "See and hear prompts",
    "media:write": "Upload, change and remove prompts",
    "nodes:read": "See switches and their condition",
    "nodes:write": "Add, change and remove switches",
    "nodes:control": "Drain, resume, resync and probe switches",
    "recordings:read": "See which recordings there are, which are missing, and the policies",
    "recordings:play": "Hear recordings",
    "recordings:write": "Change recording policies, hold and erase recordings, see who played them",
    "queues:read": "See queues, who waits in them and why, dispositions and inbound routes",
    "queues:write": "Create, change and delete queues, dispositions and inbound routes, move who waits",
    "roles:read": "See roles",
    "roles:write": "Create, change and delete roles",
    "routing:read": "See rates, routing decisions and breakers, and try a number",
    "routing:write": "Change how messages are routed, and close breakers",
    "system:read": "See health, status, jobs and metrics",
    "system:write": "Cancel jobs",
    "tenants:read": "See the own tenant (operators: all of them)",
    "tenants:write": "Create, change, suspend and delete tenants",
    "users:read": "See users",
    "users:write": "Create, change, deactivate and delete users",
    "webhooks:read": "See webhook endpoints and what was delivered to them (never their secrets)",
    "webhooks:write": "Create, change and remove webhook endpoints, have things delivered again",
}

PLATFORM = frozenset({"nodes:write", "nodes:control", "tenants:write", "system:write"})
"""Acts on what all tenants share: for operators only."""

OPERATOR = "operator"
EVERYTHING = frozenset(PERMISSIONS)
_READING = frozenset(p for p in PERMISSIONS if p.endswith(":read"))


class Role(Struct, frozen=True):
    """A named set of permissions."""

    id: str
    name: str
    description: str
    permissions: frozenset[str]


BUILT_IN: dict[str, Role] = {
    role.id: role
    for role in (
        Role(OPERATOR, "Operator", "Runs the platform: everything, in every tenant", EVERYTHING),
        Role("admin", "Admin", "Everything within the own tenant", EVERYTHING - PLATFORM),
        Role(
            "supervisor",
            "Supervisor",
            "Sees and controls all calls and conferences of the tenant",
            frozenset(
                {
                    "agents:read",
                    "agents:write",
                    "agents:work",
                    "analytics:read",
                    "queues:read",
                    "queues:write",
                    "calls:read",
                    "calls:write",
                    "calls:control",
                    "cdrs:read",
                    "channels:read",
                    "conversations:read",
                    "conversations:write",
                    "contacts:read",
                    "contacts:write",
                    "content:read",
                    "content:write",
                    "automation:read",
                    "conferences:read",
                    "conferences:control",
                    "events:read",
                    "media:read",
                    "recordings:read",
                    "recordings:play",
                    "system:read",
                    "users:read",
                }
            ),
        ),
        Role(
            "agent",
            "Agent",
            "Places, sees and controls calls, and answers conversations",
            frozenset(
                {
                    "agents:read",
                    "agents:work",
                    "queues:read",
                    "calls:read",
                    "calls:write",
                    "calls:control",
                    "channels:read",
                    "conversations:read",
                    "conversations:write",
                    "contacts:read",
                    "contacts:write",
                    "content:read",
                    "conferences:read",
                    "events:read",
                }
            ),
        ),
        Role(
            "viewer",
            "Viewer",
            "Sees calls, records and status, changes nothing",
            _READING - {"api-keys:read", "users:read", "roles:read", "tenants:read"},
        ),
    )
}


def unknown(permissions: Iterable[str]) -> list[str]:
    """The names in ``permissions`` that mean nothing, in order."""
    return [name for name in permissions if name not in PERMISSIONS]


def total(roles: Iterable[str], custom: dict[str, frozenset[str]]) -> frozenset[str]:
    """What somebody with these roles may do. Roles that no longer exist give nothing."""
    allowed: set[str] = set()
    for role in roles:
        if role in BUILT_IN:
            allowed |= BUILT_IN[role].permissions
        else:
            allowed |= custom.get(role, frozenset()) - PLATFORM
    return frozenset(allowed)
