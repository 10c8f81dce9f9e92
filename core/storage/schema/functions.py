"""The two functions that write the numbered log, in SQL.

They run inside the database because the order of things is what makes the log gap-free, and one round trip is
what keeps the lock on a tenant's number short:

1. Lock the tenants' heads, in the order of their names (so two writers never wait for each other).
2. Look which entries are there already, in a statement of its own: under READ COMMITTED it sees what was
   committed while we waited for the lock. A look in the same statement would not.
3. Give the next numbers to the others and insert them.

The numbers are taken and the entries inserted in one transaction, so a number that was given is an entry that
is there: after a rollback or a killed writer neither is.

Both force their plans to the indexes (``set enable_…``): plans are kept for a session's life, and one that was
made while the table was empty would read all of it at every batch when it is not.

A version of the schema that changes a function replaces it with a new text; these stay as version 1 of them.
"""

APPEND = """
create function irisx_append(
    p_tenants text[], p_ids text[], p_types text[], p_resources text[], p_occurred bigint[], p_bodies text[],
    out seqs bigint[], out recorded bigint[]
) language plpgsql volatile
    set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
    moment timestamptz;
begin
    -- In one order for everybody: two writers that are the first for two tenants would wait for each other.
    insert into log_heads (tenant_id) select distinct t from unnest(p_tenants) t order by t on conflict do nothing;
    perform from log_heads h where h.tenant_id = any (p_tenants) order by h.tenant_id for update;
    -- After the lock, so that times never run against the numbers.
    moment := clock_timestamp();
    with incoming as materialized (
        select * from unnest(p_tenants, p_ids, p_types, p_resources, p_occurred, p_bodies)
            with ordinality as i (tenant_id, id, type, resource, occurred_us, body, n)
    ), known as materialized (
        select i.n, e.seq, e.recorded_at
        from incoming i join events e on e.tenant_id = i.tenant_id and e.id = i.id
    ), fresh as materialized (
        select i.*, row_number() over (partition by i.tenant_id order by i.n) as k
        from incoming i where not exists (select from known where known.n = i.n)
    ), heads as materialized (
        update log_heads h set head = h.head + c.n
        from (select tenant_id, count(*) as n from fresh group by tenant_id) c
        where h.tenant_id = c.tenant_id
        returning h.tenant_id, h.head - c.n as base
    ), numbered as materialized (
        select f.*, b.base + f.k as seq from fresh f join heads b on b.tenant_id = f.tenant_id
    ), added as (
        insert into events (tenant_id, seq, id, type, resource, occurred_us, recorded_at, body)
        select tenant_id, seq, id, type, resource, occurred_us, moment, body from numbered
    )
    select array_agg(u.seq order by u.n), array_agg((extract(epoch from u.at) * 1000000)::bigint order by u.n)
    into seqs, recorded
    from (select n, seq, recorded_at as at from known union all select n, seq, moment from numbered) u;
end $$;
"""

WRITE = """
create function irisx_write(
    p_node text, p_fence bigint,
    p_tenants text[], p_ids text[], p_types text[], p_resources text[], p_occurred bigint[], p_bodies text[],
    c_tenants text[], c_ids text[], c_live boolean[], c_states text[], c_directions text[], c_callers text[],
    c_destinations text[], c_causes text[], c_created bigint[], c_answered bigint[], c_ended bigint[],
    c_versions bigint[], c_docs text[],
    r_tenants text[], r_ids text[], r_kinds text[], r_subjects text[], r_calls text[], r_directions text[],
    r_callers text[], r_destinations text[], r_started bigint[], r_answered bigint[], r_ended bigint[],
    r_billsec integer[], r_duration integer[], r_causes text[], r_q850 integer[], r_sip integer[],
    r_dispositions text[], r_trunks text[], r_inferred boolean[], r_recovered boolean[], r_docs text[],
    f_tenants text[], f_ids text[], f_instances text[], f_names text[], f_calls text[], f_first bigint[],
    f_created bigint[], f_ended bigint[],
    out seqs bigint[], out recorded bigint[]
) language plpgsql volatile
    set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
begin
    -- Shared: whoever draws the next token waits until this write is in, and then reads a store that has it.
    perform from nodes where id = p_node and fence = p_fence for share;
    if not found then
        raise exception 'fence' using errcode = 'IX001';
    end if;
    if cardinality(c_ids) > 0 then
        insert into calls (tenant_id, id, node, live, state, direction, caller, destination, hangup_cause,
            created_us, answered_us, ended_us, version, doc)
        select t, i, p_node, l, s, d, a, b, h, cr, an, en, v, doc::json
        from unnest(c_tenants, c_ids, c_live, c_states, c_directions, c_callers, c_destinations, c_causes,
            c_created, c_answered, c_ended, c_versions, c_docs)
            as u (t, i, l, s, d, a, b, h, cr, an, en, v, doc)
        on conflict (tenant_id, id) do update set
            node = excluded.node, live = excluded.live, state = excluded.state, direction = excluded.direction,
            caller = excluded.caller, destination = excluded.destination, hangup_cause = excluded.hangup_cause,
            created_us = excluded.created_us, answered_us = excluded.answered_us, ended_us = excluded.ended_us,
            version = excluded.version, doc = excluded.doc
        where excluded.version > calls.version;
    end if;
    if cardinality(r_ids) > 0 then
        insert into cdrs (tenant_id, id, kind, subject, call_id, node, direction, caller, destination,
            started_us, answered_us, ended_us, billsec, duration, hangup_cause, q850, sip_status, disposition,
            trunk, inferred, recovered, doc)
        select t, i, k, su, c, p_node, d, a, b, st, an, en, bi, du, h, q, si, di, tr, inf, rec, doc::json
        from unnest(r_tenants, r_ids, r_kinds, r_subjects, r_calls, r_directions, r_callers, r_destinations,
            r_started, r_answered, r_ended, r_billsec, r_duration, r_causes, r_q850, r_sip, r_dispositions,
            r_trunks, r_inferred, r_recovered, r_docs)
            as u (t, i, k, su, c, d, a, b, st, an, en, bi, du, h, q, si, di, tr, inf, rec, doc)
        -- A record stays as it was written, but what was concluded gives way to what was seen.
        on conflict (tenant_id, kind, subject) do update set
            id = excluded.id, call_id = excluded.call_id, node = excluded.node, direction = excluded.direction,
            caller = excluded.caller, destination = excluded.destination, started_us = excluded.started_us,
            answered_us = excluded.answered_us, ended_us = excluded.ended_us, billsec = excluded.billsec,
            duration = excluded.duration, hangup_cause = excluded.hangup_cause, q850 = excluded.q850,
            sip_status = excluded.sip_status, disposition = excluded.disposition, trunk = excluded.trunk,
            inferred = excluded.inferred, recovered = excluded.recovered, doc = excluded.doc
        where cdrs.inferred and not excluded.inferred;
    end if;
    if cardinality(f_ids) > 0 then
        -- f_created is 0 unless the batch saw the beginning; f_first is the earliest moment it knows of.
        insert into conferences as was
            (tenant_id, id, node, instance, name, call_id, created_us, ended_us)
        select t, i, p_node, ins, n, c, coalesce(nullif(cr, 0), fi), en
        from unnest(f_tenants, f_ids, f_instances, f_names, f_calls, f_first, f_created, f_ended)
            as u (t, i, ins, n, c, fi, cr, en)
        on conflict (tenant_id, node, instance) do update set
            name = excluded.name, call_id = excluded.call_id,
            created_us = least(was.created_us, excluded.created_us),
            ended_us = greatest(was.ended_us, excluded.ended_us);
    end if;
    -- Last, because it takes the tenant's lock, which every other writer of the tenant waits for.
    select a.seqs, a.recorded into seqs, recorded
    from irisx_append(p_tenants, p_ids, p_types, p_resources, p_occurred, p_bodies) a;
end $$;
"""
