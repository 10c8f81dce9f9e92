"""Templates, canned replies, macros, rules, service levels, labels and views; what finds people and words.

Row level security lets Postgres use an index for a condition only if its function is marked leakproof. Comparing texts is;
similarity (pg_trgm) and matching words (``@@``) are not. So people are found by the words of their names and addresses in a
table of their own (`contact_words`: comparing texts), and messages by a column of words with a GIN index, which is used where
the matching function is marked (the end of this file does it where the migration may). Where it is not, the same search
reads a tenant's messages newest first: slower, with the same answer.
"""

from core.storage.schema.tables import run, tenant_table

revision = "0006"
down_revision = "0005"

TABLES = """
create table contact_words (
    tenant_id text collate "C" not null,
    word text collate "C" not null,
    contact_id text collate "C" not null,
    -- Whose word it is: 'contact' (name, company) or an identity's id.
    source text collate "C" not null,
    primary key (tenant_id, word, contact_id, source)
);
create index contact_words_of on contact_words (tenant_id, contact_id, source);

create table contact_notes (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    contact_id text collate "C" not null,
    author text collate "C" not null,
    text text not null,
    created_us bigint not null,
    primary key (tenant_id, id)
);
create index contact_notes_newest on contact_notes (tenant_id, contact_id, created_us desc, id desc);

-- Everything that a tenant writes once and uses often. doc is the thing itself; scope keeps equal names apart.
create table content (
    tenant_id text collate "C" not null,
    kind text collate "C" not null check (kind in
        ('label', 'view', 'template', 'canned_reply', 'macro', 'rule', 'sla_policy', 'schedule')),
    id text collate "C" not null,
    scope text not null default '',
    name text not null,
    doc jsonb not null,
    version bigint not null default 1,
    created_us bigint not null,
    updated_us bigint not null,
    created_by text collate "C" not null default '',
    primary key (tenant_id, id)
);
create unique index content_names on content (tenant_id, kind, scope, lower(name));
create index content_newest on content (tenant_id, kind, created_us desc, id desc);
-- What the automation worker looks for in all tenants.
create index content_watched on content (kind, tenant_id) where kind in ('rule', 'sla_policy');

create table conversation_merges (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    kept text collate "C" not null,
    gone text collate "C" not null,
    messages text[] not null,
    actor text not null,
    merged_us bigint not null,
    undone_us bigint not null default 0,
    primary key (tenant_id, id)
);
create index conversation_merges_of on conversation_merges (tenant_id, kept, merged_us desc);

-- How far the rules of a tenant have read its log.
create table automation_places (
    tenant_id text collate "C" not null,
    seq bigint not null,
    primary key (tenant_id)
) with (fillfactor = 50);

-- What a rule did about one entry of the log: the key is what makes it happen once.
create table rule_runs (
    tenant_id text collate "C" not null,
    rule_id text collate "C" not null,
    seq bigint not null,
    id text collate "C" not null,
    conversation_id text collate "C" not null,
    outcome text not null check (outcome in ('done', 'partly', 'failed', 'limited')),
    report json not null,
    at_us bigint not null,
    primary key (tenant_id, rule_id, seq)
);
create index rule_runs_newest on rule_runs (tenant_id, rule_id, at_us desc, id desc);
create index rule_runs_of_conversation on rule_runs (tenant_id, conversation_id, at_us desc);

-- The clocks of a conversation: 0 where none runs. due_us is the earliest of those that run and are not breached.
create table conversation_clocks (
    tenant_id text collate "C" not null,
    conversation_id text collate "C" not null,
    policy_id text collate "C" not null,
    seq bigint not null,
    first_reply_due_us bigint not null default 0,
    next_reply_due_us bigint not null default 0,
    resolution_due_us bigint not null default 0,
    breached text[] not null default '{}',
    answered boolean not null default false,
    due_us bigint not null default 0,
    primary key (tenant_id, conversation_id)
) with (fillfactor = 70);
create index conversation_clocks_due on conversation_clocks (due_us, tenant_id) where due_us > 0;

create table sla_breaches (
    tenant_id text collate "C" not null,
    id text collate "C" not null,
    conversation_id text collate "C" not null,
    policy_id text collate "C" not null,
    clock text not null check (clock in ('first_reply', 'next_reply', 'resolution')),
    due_us bigint not null,
    at_us bigint not null,
    primary key (tenant_id, id),
    unique (tenant_id, conversation_id, clock, due_us)
);
create index sla_breaches_newest on sla_breaches (tenant_id, at_us desc, id desc);

-- Whom a conversation was begun with, until they write themselves.
alter table conversations add column counterpart json;
create index conversations_merged on conversations (tenant_id, channel_id, contact_id, thread)
    where merged_into is not null;
create index messages_of_contact on messages (tenant_id, contact_id, order_us desc, id desc);
-- Words as they are, in any language: no endings cut off, none left out.
alter table messages add column words tsvector
    generated always as (to_tsvector('simple', left(text, 32768))) stored;
"""

WORDS = """
-- The words that somebody is found by. A telephone number also stands there backwards (after a '~'), since people
-- remember its end.
create function irisx_words(p_text text, p_phone boolean) returns setof text language sql immutable as $$
    select distinct left(w, 100) from (
        select unnest(regexp_split_to_array(lower(p_text), '[[:space:],;()<>"]+')) as w
        union all select split_part(lower(p_text), '@', 2) where position('@' in p_text) > 0
        union all select ltrim(p_text, '+') where p_phone
        union all select '~' || reverse(ltrim(p_text, '+')) where p_phone
    ) all_words where w <> ''
$$;

-- What comes in comes by the hundred, so rows that are new are taken together; changes are people's and few.
create function irisx_new_contact_words() returns trigger language plpgsql as $$
begin
    insert into contact_words (tenant_id, word, contact_id, source)
    select f.tenant_id, w, f.id, 'contact' from fresh f, irisx_words(f.name || ' ' || f.company, false) w
    where f.deleted_us = 0
    on conflict do nothing;
    return null;
end $$;
create trigger contact_words_new after insert on contacts
    referencing new table as fresh for each statement execute function irisx_new_contact_words();

create function irisx_contact_words() returns trigger language plpgsql as $$
begin
    if (old.name, old.company, old.deleted_us) is distinct from (new.name, new.company, new.deleted_us) then
        delete from contact_words where tenant_id = new.tenant_id and contact_id = new.id and source = 'contact';
        insert into contact_words (tenant_id, word, contact_id, source)
        select new.tenant_id, w, new.id, 'contact' from irisx_words(new.name || ' ' || new.company, false) w
        where new.deleted_us = 0
        on conflict do nothing;
    end if;
    return null;
end $$;
create trigger contact_words after update of name, company, deleted_us on contacts
    for each row execute function irisx_contact_words();

create function irisx_new_identity_words() returns trigger language plpgsql as $$
begin
    insert into contact_words (tenant_id, word, contact_id, source)
    select f.tenant_id, w, f.contact_id, f.id from fresh f, irisx_words(f.value, f.kind = 'phone') w
    union select f.tenant_id, w, f.contact_id, f.id from fresh f, irisx_words(f.name, false) w where f.name <> ''
    on conflict do nothing;
    return null;
end $$;
create trigger identity_words_new after insert on identities
    referencing new table as fresh for each statement execute function irisx_new_identity_words();

create function irisx_identity_words() returns trigger language plpgsql as $$
begin
    delete from contact_words where tenant_id = old.tenant_id and contact_id = old.contact_id and source = old.id;
    if tg_op = 'UPDATE' then
        insert into contact_words (tenant_id, word, contact_id, source)
        select new.tenant_id, w, new.contact_id, new.id from irisx_words(new.value, new.kind = 'phone') w
        union select new.tenant_id, w, new.contact_id, new.id from irisx_words(new.name, false) w
        on conflict do nothing;
    end if;
    return null;
end $$;
create trigger identity_words after update of contact_id, value, name or delete on identities
    for each row execute function irisx_identity_words();

insert into contact_words (tenant_id, word, contact_id, source)
    select c.tenant_id, w, c.id, 'contact' from contacts c, irisx_words(c.name || ' ' || c.company, false) w
    where c.deleted_us = 0
    union select i.tenant_id, w, i.contact_id, i.id from identities i, irisx_words(i.value, i.kind = 'phone') w;
"""

INDEX = """
do $$
begin
    -- With the tenant in the same index, one tenant's search reads nothing of another's.
    create extension if not exists btree_gin;
    create index messages_words on messages using gin (tenant_id, words);
exception when others then
    create index messages_words on messages using gin (words);
end $$;
do $$
begin
    -- Matching raises nothing that depends on what it reads, and returns yes or no: it leaks nothing.
    alter function ts_match_vq(tsvector, tsquery) leakproof;
exception when insufficient_privilege then
    null;
end $$;
"""


def upgrade() -> None:
    """In one transaction."""
    # The rows that are there belong to many tenants.
    run("select set_config('irisx.tenant', '*', true)")
    run(TABLES)
    run(WORDS)
    run(INDEX)
    for name in (
        "contact_words",
        "contact_notes",
        "content",
        "conversation_merges",
        "automation_places",
        "rule_runs",
        "conversation_clocks",
        "sla_breaches",
    ):
        tenant_table(name)
