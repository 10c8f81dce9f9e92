"""Carriers, rates, what attempts taught, decisions: by which way a message goes, and why it may go at all.

Money is numeric in the currency that stands beside it; estimates within decisions are numbers in their JSON.
"""

from core.storage.schema.tables import run, tenant_table

revision = "0005"
down_revision = "0004"

TABLES = """
-- Somebody who takes messages (or calls) for money: one or more accounts, which are as good as each other.
create table carriers (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    name text not null,
    kind text not null check (kind in ('sms', 'voice', 'email', 'chat')),
    channel_ids text[] not null default '{}',
    state text not null default 'on' check (state in ('on', 'off')),
    priority smallint not null default 0,
    pays text not null default 'submit' check (pays in ('success', 'submit')),
    abilities text[] not null default '{}',
    -- {"per_second", "spend_per_day", "only", "never"}
    limits jsonb not null default '{}',
    version bigint not null default 1,
    created_us bigint not null,
    updated_us bigint not null,
    deleted_us bigint not null default 0,
    primary key (tenant_id, id)
);
create index carriers_newest on carriers (tenant_id, created_us desc, id desc) where deleted_us = 0;

-- A price list of a carrier. A newer one ends the older ones at the moment from which it holds.
create table rate_decks (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    carrier_id text collate "C" not null,
    name text not null,
    currency text not null,
    valid_from_us bigint not null,
    valid_to_us bigint not null,
    rates integer not null default 0,
    rejected integer not null default 0,
    actor text collate "C" not null default '',
    created_us bigint not null,
    primary key (tenant_id, id)
);
create index rate_decks_newest on rate_decks (tenant_id, created_us desc, id desc);
create index rate_decks_of on rate_decks (tenant_id, carrier_id, valid_from_us);

create table rates (
    tenant_id text collate "C" not null,
    deck_id text collate "C" not null,
    prefix text collate "C" not null,
    price numeric not null,
    connect_fee numeric not null default 0,
    minimum integer not null default 1,
    increment integer not null default 1,
    valid_from_us bigint not null,
    valid_to_us bigint not null,
    primary key (tenant_id, deck_id, prefix, valid_from_us)
);

create table rate_rejects (
    tenant_id text collate "C" not null,
    deck_id text collate "C" not null,
    line integer not null,
    text text not null,
    reason text not null,
    primary key (tenant_id, deck_id, line)
);

-- What attempts taught, by carrier and prefix (`core.model.outcomes`): added to by every sender, halved on the way.
create table carrier_outcomes (
    tenant_id text collate "C" not null,
    carrier_id text collate "C" not null,
    prefix text collate "C" not null,
    tries double precision not null default 0,
    wins double precision not null default 0,
    failed_s double precision not null default 0,
    since bigint not null default 0,
    halved_us bigint not null,
    updated_us bigint not null,
    primary key (tenant_id, carrier_id, prefix)
) with (fillfactor = 50);
create index carrier_outcomes_changed on carrier_outcomes (tenant_id, updated_us);

-- What a carrier did in a day of UTC.
create table carrier_days (
    tenant_id text collate "C" not null,
    carrier_id text collate "C" not null,
    day date not null,
    tries bigint not null default 0,
    sent bigint not null default 0,
    delivered bigint not null default 0,
    undelivered bigint not null default 0,
    refused bigint not null default 0,
    failed bigint not null default 0,
    throttled bigint not null default 0,
    unknown bigint not null default 0,
    took_s double precision not null default 0,
    spend numeric not null default 0,
    primary key (tenant_id, carrier_id, day)
) with (fillfactor = 50);

create table carrier_breakers (
    tenant_id text collate "C" not null,
    carrier_id text collate "C" not null,
    fails integer not null,
    open_until_us bigint not null,
    open_s double precision not null,
    probe_until_us bigint not null,
    reason text not null default '',
    changed_us bigint not null,
    primary key (tenant_id, carrier_id)
) with (fillfactor = 50);

create table routing_settings (
    tenant_id text collate "C" not null,
    settings jsonb not null,
    version bigint not null,
    primary key (tenant_id)
);

-- One attempt's choice: every carrier with its chance, price, delay and index, or why it was out.
create table routing_decisions (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    message_id text collate "C" not null,
    attempt smallint not null,
    kind text not null,
    prefix text collate "C" not null,
    segments smallint not null,
    carrier_id text collate "C" not null,
    channel_id text collate "C" not null,
    explored boolean not null,
    probe boolean not null,
    candidates json not null,
    decided_us bigint not null,
    primary key (tenant_id, id)
);
create index routing_decisions_newest on routing_decisions (tenant_id, decided_us desc, id desc);
create index routing_decisions_of on routing_decisions (tenant_id, message_id, attempt);

-- May this be sent to them, now? Each answer that was given right before a sending; nothing in it is ever changed.
create table contact_decisions (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    message_id text collate "C" not null,
    contact_id text collate "C" not null,
    channel text collate "C" not null,
    purpose text not null,
    verdict text not null check (verdict in ('send', 'wait', 'refuse')),
    code text not null,
    detail text not null,
    until_us bigint not null default 0,
    decided_us bigint not null,
    primary key (tenant_id, id)
);
create index contact_decisions_newest on contact_decisions (tenant_id, decided_us desc, id desc);
create index contact_decisions_of on contact_decisions (tenant_id, message_id);

-- route: the kind of carrier that it may go by; its channel_id is empty until one of them has, or may have, it.
-- tried: carriers that certainly did not take it. first_us: when the present account was called first; doubtful: it may
-- have the message from an earlier try.
alter table outbox
    add column route text collate "C" not null default '',
    add column tried text[] not null default '{}',
    add column first_us bigint not null default 0,
    add column doubtful boolean not null default false;
create index outbox_routed on outbox (tenant_id, due_us) where channel_id = '';

alter table attempts
    add column carrier_id text collate "C" not null default '',
    add column cost numeric not null default 0;

create index consents_newest on consents (tenant_id, at_us desc, id desc);
"""


def upgrade() -> None:
    run(TABLES)
    for name in (
        "carriers",
        "rate_decks",
        "rates",
        "rate_rejects",
        "carrier_outcomes",
        "carrier_days",
        "carrier_breakers",
        "routing_settings",
        "routing_decisions",
        "contact_decisions",
    ):
        tenant_table(name)
