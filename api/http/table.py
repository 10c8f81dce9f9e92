"""All endpoints: what the application serves and the documents describe. A new resource is added here."""

from api.http.agents import agents
from api.http.analytics import analytics
from api.http.api_keys import api_keys
from api.http.attachments import attachments
from api.http.auth import auth
from api.http.automation import automation
from api.http.call_actions import call_actions
from api.http.call_history import call_history
from api.http.call_sounds import call_sounds
from api.http.calls import calls
from api.http.carriers import carriers
from api.http.cdrs import cdrs
from api.http.channels import channels
from api.http.compliance import compliance
from api.http.conferences import conferences
from api.http.consents import consents
from api.http.contact_details import contact_details
from api.http.contacts import contacts
from api.http.content import content
from api.http.conversation_actions import conversation_actions
from api.http.conversation_groups import conversation_groups
from api.http.conversation_search import conversation_search
from api.http.conversations import conversations
from api.http.dnc import dnc
from api.http.endpoints import endpoints
from api.http.events import events
from api.http.inbound import inbound
from api.http.labels import labels
from api.http.media import media
from api.http.messages import messages
from api.http.node_actions import node_actions
from api.http.nodes import nodes
from api.http.operation import Group, Operation
from api.http.own_profile import own_profile
from api.http.plugins import plugins
from api.http.queue_lists import dispositions, inbound_routes, skills
from api.http.queues import queues
from api.http.rate_decks import rate_decks
from api.http.recording_policies import recording_policies
from api.http.recordings import recordings
from api.http.reservations import reservations
from api.http.roles import roles
from api.http.route_plans import route_plans
from api.http.routing import routing
from api.http.sending import sending
from api.http.signaling import signaling
from api.http.stream import stream
from api.http.switch_directory import switch_directory
from api.http.system import system
from api.http.tenants import tenants
from api.http.users import users
from api.http.webhook_deliveries import webhook_deliveries
from api.http.webhooks import webhooks

GROUPS: tuple[Group, ...] = (
    auth,
    signaling,
    own_profile,
    users,
    roles,
    api_keys,
    tenants,
    nodes,
    node_actions,
    switch_directory,
    endpoints,
    calls,
    call_actions,
    call_sounds,
    call_history,
    cdrs,
    recordings,
    recording_policies,
    media,
    queues,
    agents,
    skills,
    dispositions,
    inbound_routes,
    reservations,
    analytics,
    channels,
    plugins,
    inbound,
    contacts,
    contact_details,
    conversations,
    conversation_actions,
    conversation_groups,
    conversation_search,
    labels,
    messages,
    sending,
    carriers,
    route_plans,
    routing,
    rate_decks,
    compliance,
    dnc,
    consents,
    content,
    automation,
    attachments,
    conferences,
    events,
    webhooks,
    webhook_deliveries,
    stream,
    system,
)

OPERATIONS: tuple[Operation, ...] = tuple(operation for group in GROUPS for operation in group.operations)
