"""People, their sessions and roles, API keys, and the answers kept for repeated requests."""

from core.storage.schema.tables import run, tenant_table

revision = "0002"
down_revision = "0001"

TABLES = """
-- Milliseconds: what the API shows is what is stored, and what a cursor compares with.
create table users (
    tenant_id text collate "C" not null references tenants,
    id text collate "C" primary key,
    email text not null,
    name text not null,
    password_hash text not null,
    roles text[] not null default '{}',
    state text not null default 'active' check (state in ('active', 'deactivated')),
    preferences jsonb not null default '{}',
    version bigint not null default 1,
    created_at timestamptz not null default date_trunc('milliseconds', now()),
    updated_at timestamptz not null default date_trunc('milliseconds', now()),
    last_login_at timestamptz,
    deleted_at timestamptz
);
-- An address names one person on the whole platform: who signs in does not say in which tenant.
create unique index users_email on users (lower(email)) where deleted_at is null;
create index users_newest on users (tenant_id, created_at desc, id desc);

create table roles (
    tenant_id text collate "C" not null references tenants,
    id text collate "C" primary key,
    name text not null,
    description text not null default '',
    permissions text[] not null,
    version bigint not null default 1,
    created_at timestamptz not null default date_trunc('milliseconds', now()),
    updated_at timestamptz not null default date_trunc('milliseconds', now())
);
create unique index roles_name on roles (tenant_id, lower(name));

-- One row a sign-in. generation is that of the refresh token in force; seed is half of what its MAC is made from.
create table sessions (
    tenant_id text collate "C" not null references tenants,
    id text collate "C" primary key,
    user_id text collate "C" not null references users on delete cascade,
    generation integer not null default 1,
    seed bytea not null,
    address text not null default '',
    user_agent text not null default '',
    created_at timestamptz not null default date_trunc('milliseconds', now()),
    last_used_at timestamptz not null default date_trunc('milliseconds', now()),
    expires_at timestamptz not null,
    revoked_at timestamptz,
    revoked_reason text not null default ''
);
create index sessions_of_user on sessions (user_id);

create table api_keys (
    tenant_id text collate "C" not null references tenants,
    id text collate "C" primary key,
    name text not null,
    scopes text[] not null,
    all_tenants boolean not null default false,
    secret_hash bytea not null,
    previous_hash bytea,
    previous_until timestamptz,
    created_by text collate "C" not null,
    version bigint not null default 1,
    created_at timestamptz not null default date_trunc('milliseconds', now()),
    updated_at timestamptz not null default date_trunc('milliseconds', now()),
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);
create index api_keys_newest on api_keys (tenant_id, created_at desc, id desc);
create index api_keys_of_maker on api_keys (created_by);

create table idempotency_keys (
    tenant_id text collate "C" not null,
    actor text collate "C" not null,
    key text collate "C" not null,
    fingerprint bytea not null,
    finished boolean not null default false,
    status integer not null default 0,
    body bytea not null default '',
    media text not null default '',
    location text not null default '',
    created_at timestamptz not null default now(),
    primary key (tenant_id, actor, key)
);
create index idempotency_keys_age on idempotency_keys (created_at);
"""


def upgrade() -> None:
    run(TABLES)
    for name in ("users", "roles", "sessions", "api_keys", "idempotency_keys"):
        tenant_table(name)
