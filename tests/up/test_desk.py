"""What `irisx up` prepares for who opens the desktop: made once, and left alone afterwards."""

import pytest

from api.up.desk import set_up_desk
from core.access.people import first_operator
from core.ids import new_id
from core.storage import access_tenants, agents, queues
from core.storage.database import Database
from core.storage.queue_lists import ROUTES
from core.storage.queue_routes import route_of

pytestmark = pytest.mark.asyncio_loop


async def test_the_first_operator_is_the_agent_of_a_queue_that_the_simulated_numbers_lead_to(
    database_url: str,
) -> None:
    async with await Database.open(database_url) as db:
        tenant = access_tenants.MAIN
        assert await first_operator(db, email=f"{new_id('op')}@localhost.localdomain")
        assert await set_up_desk(db)
        (queue,) = await queues.list_queues(db, tenant)
        agent = await agents.by_extension(db, tenant, "100")
        assert agent is not None and agent.queues == (queue.id,)
        route = route_of(await ROUTES.all(db, tenant), "493023125301")
        assert route is not None and route.queue_id == queue.id
        assert not await set_up_desk(db)
        assert len(await queues.list_queues(db, tenant)) == 1
