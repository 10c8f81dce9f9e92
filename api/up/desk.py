"""The desk of `irisx up`: a queue, the numbers that lead there, and the first operator as its agent.

So whoever signs in and opens the desktop gets the calls that the simulated switch has wait for an operator. It is made once,
in a tenant that has neither queues nor agents; whatever people make of it afterwards stays.
"""

from core.errors import Conflict
from core.model.queueing_records import QueueSettings
from core.storage import access_users, queues
from core.storage.access_tenants import MAIN
from core.storage.agent_admin import NewAgent, insert_agent
from core.storage.database import Database
from core.storage.queue_lists import DISPOSITIONS, ROUTES
from freeswitch.simulator.living import OPERATOR

QUEUE = "Support"
EXTENSION = "100"
OUTCOMES = ("Solved", "To be called back", "Passed on", "Wrong number")
SETTINGS = QueueSettings(answer="when_staffed", wrap_up_s=30, offer_s=20)
"""Nobody is answered while nobody is there: such a call rings, and goes back to its carrier, as without a queue."""


async def set_up_desk(database: Database, tenant_id: str = MAIN) -> bool:
    """True when it was made now."""
    async with database.reader(tenant_id) as connection:
        if await connection.fetchval(
            "select exists (select from queues where tenant_id = $1) or exists (select from agents where tenant_id = $1)",
            tenant_id,
        ):
            return False
        operators = await access_users.operators(connection)
    try:
        queue = await queues.create_queue(database, tenant_id, QUEUE, SETTINGS)
    except Conflict:
        return False  # another starter was faster
    for number in OPERATOR:
        await ROUTES.create(database, tenant_id, {"number": number, "queue_id": queue.id})
    for position, name in enumerate(OUTCOMES):
        await DISPOSITIONS.create(database, tenant_id, {"name": name, "position": position})
    if operators:
        async with database.tenant(tenant_id) as connection:
            user = await access_users.get_user(connection, operators[0])
            name = user.name if user is not None else "Operator"
            new = NewAgent(user_id=operators[0], name=name, extension=EXTENSION, queues={queue.id: 1})
            await insert_agent(connection, tenant_id, new)
    return True
