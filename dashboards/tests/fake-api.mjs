// A stand-in for the platform, for the journeys only: the shapes and rules of the API, kept in memory, with
// calls that move. It can be told to misbehave (`POST /__test/…`): cut sockets, go away, fall silent, forget.
//
//   node tests/fake-api.mjs [--rate 50] [--calls 120] [--port 0]
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocketServer } from 'ws';
import { Contents, contentRoutes } from './fake-content.mjs';
import { Phones } from './fake-phone.mjs';
import { Talks } from './fake-talks.mjs';
import { Recordings } from './fake-recordings.mjs';
import { Hooks, hookRoutes } from './fake-webhooks.mjs';

const BUILD = fileURLToPath(new URL('../build', import.meta.url));
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.json': 'application/json', '.png': 'image/png' };
const CSP = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; frame-src 'self'; connect-src 'self'; font-src 'self'; media-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";

export const EMAIL = 'operator@irisx.local';
export const PASSWORD = 'correct horse battery';

/** A small repeatable random source: the same run shows the same calls. */
function chance(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

export class Platform {
  constructor({ calls = 60, seed = 7, most = 150 } = {}) {
    this.most = most;
    this.random = chance(seed);
    this.log = [];
    this.oldest = 1;
    this.calls = new Map();
    this.ended = [];
    this.followers = new Set();
    this.orders = [];
    this.made = 0;
    this.refreshes = 0;
    this.reused = 0;
    /** Requests for a new token that are being answered. */
    this.asking = 0;
    this.mode = { refuse: false, silent: false, slow: 0, down: false, deaf: false };
    this.nodes = ['lon-1', 'lon-2', 'fra-1', 'nyc-1'].map((name, n) => ({
      id: `node_0${n}`, name, host: `10.0.${n}.5`, port: 8021, state: 'active', owner: `controller-${n % 2}`, fence: 41 + n, default_tenant: 'tnt_main',
      dial_template: 'sofia/gateway/carrier/{number}', settings: {}, created_at: '2026-09-01T08:00:00.000Z', version: 1, status_at: new Date().toISOString(),
      status: {
        up: true, core_uuid: randomUUID(), version: '1.10.12-release+git', uptime_s: 86_400 * (3 + n), sessions: 0, max_sessions: 2000, sessions_per_second: 3, idle_cpu: 91 - n * 4, calls: 0,
        event_lag_ms: 2 + n, gaps: n === 2 ? 1 : 0, events_lost_by_switch: 0, events_dropped: 0, reconnects: n, resyncs: n + 1, surprises: 0, facts_waiting: 0, facts_lost: 0, store_away: false
      }
    }));
    this.tenants = [
      { id: 'tnt_main', name: 'Main', state: 'active', created_at: '2026-09-01T08:00:00.000Z' },
      { id: 'tnt_nordic', name: 'Nordic Telecom', state: 'active', created_at: '2026-09-14T08:00:00.000Z' }
    ];
    this.users = [
      { id: 'usr_01', name: 'Olga Perator', email: EMAIL, roles: ['operator'], state: 'active', tenant_id: 'tnt_main', last_login_at: new Date().toISOString(), created_at: '2026-09-01T08:00:00.000Z', version: 1 },
      { id: 'usr_02', name: 'Sam Visor', email: 'sam@irisx.local', roles: ['supervisor'], state: 'active', tenant_id: 'tnt_main', last_login_at: '2026-11-20T12:10:00.000Z', created_at: '2026-09-02T08:00:00.000Z', version: 3 },
      { id: 'usr_03', name: 'Ada Gent', email: 'ada@irisx.local', roles: ['agent'], state: 'deactivated', tenant_id: 'tnt_main', last_login_at: null, created_at: '2026-10-02T08:00:00.000Z', version: 2 }
    ];
    this.roles = [
      { id: 'operator', name: 'Operator', description: 'Runs the platform: everything, in every tenant', permissions: ['calls:read', 'calls:write', 'calls:control', 'nodes:read', 'nodes:control', 'users:read', 'users:write'], built_in: true },
      { id: 'supervisor', name: 'Supervisor', description: 'Sees and controls all calls and conferences of the tenant', permissions: ['calls:read', 'calls:control', 'cdrs:read'], built_in: true },
      { id: 'role_night', name: 'Night shift', description: 'Watches and drains', permissions: ['calls:read', 'nodes:read', 'nodes:control'], built_in: false }
    ];
    this.keys = [
      { id: 'key_01', tenant_id: 'tnt_main', name: 'Billing export', scopes: ['cdrs:read'], all_tenants: false, state: 'active', created_by: 'usr_01', last_used_at: '2026-11-22T19:00:00.000Z', expires_at: '2027-01-01T00:00:00.000Z', created_at: '2026-09-05T08:00:00.000Z', version: 1 },
      { id: 'key_02', tenant_id: 'tnt_main', name: 'Monitoring', scopes: ['system:read', 'nodes:read', 'events:read', 'calls:read'], all_tenants: true, state: 'active', created_by: 'usr_01', last_used_at: null, expires_at: null, created_at: '2026-10-05T08:00:00.000Z', version: 1 }
    ];
    this.sessions = [
      { id: 'ses_01', user_id: 'usr_01', user_agent: 'Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0', address: '127.0.0.1', created_at: new Date().toISOString(), last_used_at: new Date().toISOString() },
      { id: 'ses_02', user_id: 'usr_01', user_agent: 'irisx/0.1', address: '10.0.0.8', created_at: '2026-11-21T08:00:00.000Z', last_used_at: '2026-11-21T09:00:00.000Z' }
    ];
    this.conferences = new Map();
    for (let n = 0; n < 40; n++) this.#finished(n);
    for (let n = 0; n < calls; n++) this.#begin(Date.now() * 1000 - Math.floor(this.random() * 900e6), true);
    this.#conference();
    this.talks = new Talks(this);
    this.phones = new Phones(this);
    this.webhooks = new Hooks(this);
    this.contents = new Contents(this);
    this.recordings = new Recordings(this);
  }

  get head() {
    return this.log.length;
  }
  pick(list) {
    return list[Math.floor(this.random() * list.length)];
  }
  #number() {
    return this.pick([() => `+4420794${String(Math.floor(this.random() * 89999) + 10000)}`, () => `+1202555${String(Math.floor(this.random() * 8999) + 1000)}`, () => `+4930${String(Math.floor(this.random() * 8999999) + 1000000)}`, () => `+3319876${String(Math.floor(this.random() * 8999) + 1000)}`])();
  }
  id(prefix) {
    this.made += 1;
    return `${prefix}_01jd${Date.now().toString(36)}${String(this.made).padStart(6, '0')}`;
  }
  note(type, resource, data, at = Date.now() * 1000) {
    const seq = this.head + 1;
    const now = new Date().toISOString();
    const entry = { seq, id: `evt_${String(seq).padStart(10, '0')}`, type, occurred_at: new Date(at / 1000).toISOString(), recorded_at: now, resource, data, causation_id: '', request_id: '', schema_version: 1 };
    this.log.push(entry);
    for (const follower of this.followers) follower.offer(entry);
    return entry;
  }
  /** What goes on and is in no log: for those who asked for it. */
  moment(moment) {
    for (const follower of this.followers) follower.tell?.(moment);
  }
  change(type, call, data = {}, at = undefined) {
    call.version += 1;
    const copy = structuredClone(call);
    if (call.state === 'ended') {
      this.calls.delete(call.id);
      this.ended.unshift(copy);
      this.ended.length = Math.min(this.ended.length, 3000);
    } else this.calls.set(call.id, call);
    this.note(type, call.id, { call: copy, ...data }, at);
    return copy;
  }
  #leg(call, direction, at, extra = {}) {
    return { uuid: randomUUID(), direction, state: 'ringing', channel_name: `sofia/${direction === 'inbound' ? 'carrier' : 'inside'}/${call.destination}`, caller: call.caller, caller_name: call.caller_name ?? '', destination: call.destination, created_us: at, trunk: direction === 'inbound' ? 'carrier' : 'inside', codec: 'PCMA', sip_call_id: randomUUID(), ...extra };
  }
  #begin(at, settled = false) {
    const outbound = this.random() < 0.3;
    const call = {
      id: this.id('call'), tenant_id: 'tnt_main', node: this.pick(this.nodes.filter((node) => node.state === 'active' && node.status.up)).id, state: 'ringing', caller: this.#number(), destination: outbound ? this.#number() : String(1000 + Math.floor(this.random() * 40)),
      created_us: at, ringing_us: at + 120_000, version: 0, ...(outbound ? { direction: 'outbound' } : {}), ...(this.random() < 0.4 ? { caller_name: this.pick(['Maria Lopez', 'Ben Okafor', 'ACME Ltd', 'Jun Tanaka', 'Léa Martin']) } : {})
    };
    call.legs = [this.#leg(call, outbound ? 'outbound' : 'inbound', at)];
    this.change('call.created', call, {}, at);
    if (settled) {
      const roll = this.random();
      if (roll > 0.12) this.answer(call, at + 4e6);
      if (roll > 0.2) this.bridge(call, at + 5e6);
      if (roll > 0.92) this.hold(call, at + 60e6);
    }
    return call;
  }
  answer(call, at = Date.now() * 1000) {
    call.state = 'answered';
    call.answered_us = at;
    call.legs[0] = { ...call.legs[0], state: 'answered', answered_us: at };
    return this.change('call.answered', call, { leg: call.legs[0].uuid }, at);
  }
  bridge(call, at = Date.now() * 1000) {
    if (call.legs.length < 2) {
      call.legs = [...call.legs, this.#leg(call, 'outbound', at - 2e6, { state: 'answered', answered_us: at, other_leg: call.legs[0].uuid, bridged_to: call.legs[0].uuid })];
    }
    call.legs = call.legs.map((leg) => ({ ...leg, bridged_us: at, state: 'answered' }));
    call.state = 'bridged';
    return this.change('call.bridged', call, { leg: call.legs[0].uuid, other_leg: call.legs[1].uuid }, at);
  }
  hold(call, at = Date.now() * 1000) {
    call.state = 'held';
    call.legs = call.legs.map((leg, n) => (n ? leg : { ...leg, held_since_us: at }));
    return this.change('call.held', call, { leg: call.legs[0].uuid }, at);
  }
  unhold(call) {
    call.state = 'bridged';
    call.legs = call.legs.map(({ held_since_us: _, ...leg }) => leg);
    return this.change('call.resumed', call, { leg: call.legs[0].uuid });
  }
  end(call, why = 'NORMAL_CLEARING') {
    const at = Date.now() * 1000;
    call.state = 'ended';
    call.ended_us = at;
    call.hangup_cause = why;
    call.legs = call.legs.map((leg) => ({ ...leg, state: 'ended', hangup_us: at, hangup_cause: why, hangup_q850: 16, billsec: leg.answered_us ? Math.floor((at - leg.answered_us) / 1e6) : 0, duration: Math.floor((at - leg.created_us) / 1e6), sip_disposition: 'recv_bye' }));
    return this.change('call.ended', call, { cause: why });
  }
  #finished(n) {
    const call = this.#begin(Date.now() * 1000 - (n + 1) * 47e6 - 900e6);
    const why = ['NORMAL_CLEARING', 'NORMAL_CLEARING', 'NO_ANSWER', 'USER_BUSY', 'NORMAL_CLEARING', 'NORMAL_TEMPORARY_FAILURE', 'ORIGINATOR_CANCEL'][n % 7];
    if (why === 'NORMAL_CLEARING') this.answer(call, call.created_us + 3e6);
    call.ended_us = call.created_us + 60e6;
    this.end(call, why);
    Object.assign(this.ended[0], { ended_us: call.created_us + (30 + n * 3) * 1e6 });
  }
  #conference() {
    const members = [...this.calls.values()].filter((call) => call.state === 'bridged').slice(0, 4);
    this.conferences.set('conf_01', { id: 'conf_01', name: 'tnt_main.daily-standup', node: 'node_00', call_id: members[0]?.id ?? '', live: true, created_us: Date.now() * 1000 - 600e6, ended_us: 0, members: members.map((call, n) => ({ id: String(n + 1), leg: call.legs[0].uuid, caller: call.caller, caller_name: call.caller_name ?? '', destination: call.destination, direction: 'inbound', muted: n === 2 })) });
  }

  /** A new call, and nothing else. */
  happenCreate() {
    return this.#begin(Date.now() * 1000);
  }

  /** One thing happens somewhere, as on a busy switch. */
  happen() {
    const roll = this.random();
    const live = [...this.calls.values()];
    if (live.length < 20 || (roll < 0.2 && live.length < this.most)) return void this.#begin(Date.now() * 1000);
    const call = this.pick(live);
    if (call.state === 'ringing') {
      if (this.random() < 0.75) this.answer(call);
      else this.end(call, this.pick(['NO_ANSWER', 'USER_BUSY', 'ORIGINATOR_CANCEL', 'NORMAL_TEMPORARY_FAILURE']));
    } else if (call.state === 'answered') this.bridge(call);
    else if (call.state === 'held') this.unhold(call);
    else if (roll < 0.42) this.end(call);
    else if (roll < 0.5) this.hold(call);
    else this.change('call.dtmf', Object.assign(call, { legs: call.legs.map((leg, n) => (n ? leg : { ...leg, digits: (leg.digits ?? 0) + 1 })) }), { leg: call.legs[0].uuid, digits: 1 });
  }
  figures() {
    for (const node of this.nodes) {
      const mine = [...this.calls.values()].filter((call) => call.node === node.id).length;
      node.status.calls = mine;
      node.status.sessions = mine * 2;
      node.status.sessions_per_second = Math.round(mine / 12);
      node.status_at = new Date().toISOString();
      if (node.state === 'draining') {
        // People hang up; faster here than in life, or nobody could watch it.
        for (const call of [...this.calls.values()].filter((entry) => entry.node === node.id).slice(0, 5)) this.end(call);
        if (mine === 0) node.state = 'drained';
      }
    }
  }
}

class Refusal extends Error {
  constructor(status, code, detail, errors = []) {
    super(detail);
    Object.assign(this, { status, code, errors });
  }
}

const PERMISSIONS = ['agents', 'analytics', 'queues', 'api-keys', 'automation', 'calls', 'carriers', 'cdrs', 'channels', 'recordings', 'media', 'compliance', 'contacts', 'content', 'conversations', 'routing', 'webhooks', 'conferences', 'events', 'nodes', 'roles', 'system', 'tenants', 'users'].flatMap((name) => ['read', 'write', 'control'].map((action) => `${name}:${action}`)).concat('agents:work', 'recordings:play');

export async function serve({ port = 0, rate = 0, calls = 60, most = 150, tokenSeconds = 600 } = {}) {
  const platform = new Platform({ calls, most });
  const tokens = new Map();
  const cookies = new Set();
  const used = new Set();
  const replies = new Map();
  const sockets = new Set();
  let requests = 0;

  const page = (list, query, key = (row) => row.id) => {
    const limit = Math.min(200, Number(query.get('limit') ?? 50));
    const cursor = query.get('cursor');
    const from = cursor ? list.findIndex((row) => String(key(row)) === cursor) + 1 : 0;
    const data = list.slice(from, from + limit);
    const more = from + limit < list.length;
    return { data, has_more: more, next_cursor: more ? String(key(data.at(-1))) : null };
  };
  const filtered = (list, query) =>
    list.filter((row) =>
      [...query].every(([name, value]) => {
        const [, field, op] = /^(\w+)\[(\w+)\]$/.exec(name) ?? [];
        if (!field) return true;
        const mine = row[field] ?? (field === 'direction' ? 'inbound' : '');
        if (Array.isArray(mine)) return value.split(',').some((one) => mine.includes(one));
        if (op === 'in') return value.split(',').includes(String(mine));
        if (op === 'prefix') return String(mine).startsWith(value);
        if (op === 'gte') return typeof mine === 'number' ? mine >= Number(value) : mine >= value;
        if (op === 'lt') return typeof mine === 'number' ? mine < Number(value) : mine < value;
        return String(mine) === value;
      })
    );
  const need = (map, id, what) => {
    const found = map instanceof Map ? map.get(id) : map.find((row) => row.id === id);
    if (!found) throw new Refusal(404, 'not_found', `there is no ${what} ${id}`);
    return found;
  };
  const token = (res) => {
    const value = randomUUID();
    tokens.set(value, Date.now() + tokenSeconds * 1000);
    const cookie = randomUUID();
    cookies.add(cookie);
    res.setHeader('set-cookie', `irisx_refresh=${cookie}; Path=/v1/auth; HttpOnly; SameSite=Strict`);
    return { access_token: value, token_type: 'Bearer', expires_in: tokenSeconds, user: me() };
  };
  const me = () => ({ kind: 'user', id: 'usr_01', name: platform.users[0].name, email: EMAIL, tenant_id: 'tnt_main', acting_in: 'tnt_main', operator: true, roles: ['operator'], permissions: PERMISSIONS, session_id: 'ses_01' });
  const cookieOf = (req) => /irisx_refresh=([\w-]+)/.exec(req.headers.cookie ?? '')?.[1];

  const routes = [
    ['POST', '/v1/auth/login', (_, { body, res }) => {
      if (body.email !== EMAIL || body.password !== PASSWORD) throw new Refusal(401, 'wrong_credentials', 'email and password do not fit together');
      return token(res);
    }, true],
    ['POST', '/v1/auth/refresh', (_, { req, res }) => {
      const cookie = cookieOf(req);
      if (cookie && used.has(cookie)) {
        // As the platform does: nobody can tell an owner from a thief.
        platform.reused += 1;
        cookies.clear();
      }
      if (!cookie || !cookies.delete(cookie)) throw new Refusal(401, 'not_authenticated', 'there is no session');
      used.add(cookie);
      platform.refreshes += 1;
      return token(res);
    }, true],
    ['POST', '/v1/auth/logout', (_, { req }) => void cookies.delete(cookieOf(req))],
    ['GET', '/v1/auth/session', me],
    ['POST', '/v1/auth/tokens/realtime', () => ({ token: 'realtime', expires_in: 60 })],
    ['GET', '/v1/tenants', (_, { query }) => page(platform.tenants, query)],
    ['GET', '/v1/calls', (_, { query }) => {
      const state = query.get('live') === 'false' ? platform.ended : [...platform.calls.values()];
      return page(filtered(state, query).sort((a, b) => b.created_us - a.created_us), query);
    }],
    ['POST', '/v1/calls', (_, { body, key }) => {
      if (!key) throw new Refusal(400, 'idempotency_key_missing', 'placing a call needs an Idempotency-Key');
      if (!/^\S+$/.test(body.to ?? '')) throw new Refusal(400, 'invalid_request', 'to: say whom to dial', [{ pointer: '/to', code: 'invalid', detail: 'say whom to dial' }]);
      const call = { id: platform.id('call'), tenant_id: 'tnt_main', node: 'node_00', direction: 'outbound', state: 'ringing', caller: body.from ?? '+442079460000', destination: body.to, created_us: Date.now() * 1000, version: 0, legs: [] };
      call.legs = [{ uuid: randomUUID(), direction: 'outbound', state: 'ringing', caller: call.caller, destination: body.to, created_us: call.created_us }];
      return { call: platform.change('call.created', call), result: {} };
    }],
    ['GET', '/v1/calls/:id', ([id]) => platform.calls.get(id) ?? need(platform.ended, id, 'call')],
    ['GET', '/v1/calls/:id/legs', ([id]) => ({ data: (platform.calls.get(id) ?? need(platform.ended, id, 'call')).legs })],
    ['GET', '/v1/calls/:id/events', ([id], { query }) => page(platform.log.filter((entry) => entry.resource === id), query)],
    ['GET', '/v1/calls/:id/trace', ([id]) => {
      const call = platform.calls.get(id) ?? need(platform.ended, id, 'call');
      const data = platform.log.filter((entry) => entry.resource === id).map((entry) => {
        const { call: _, ...rest } = entry.data;
        return { at_us: Date.parse(entry.occurred_at) * 1000, kind: entry.type === 'call.ordered' ? 'order' : 'event', type: entry.type === 'call.ordered' ? rest.action : entry.type, leg: String(rest.leg ?? ''), seq: entry.seq, data: rest };
      });
      return { call, data, has_more: false };
    }],
    ['DELETE', '/v1/calls/:id', ([id]) => ({ call: act(id, 'hangup', {}), result: {} })],
    ['POST', '/v1/calls/:id/recordings', ([id]) => ({ call: act(id, 'record', {}), result: {} })],
    ['PATCH', '/v1/calls/:id/recordings/:rid', ([id]) => ({ call: act(id, 'record_stop', {}), result: {} })],
    ['POST', '/v1/calls/:id/:order', ([id, order], { body }) => ({ call: act(id, order, body), result: {} })],
    ['GET', '/v1/cdrs', (_, { query }) => page(filtered(platform.ended.map(cdrOf), query), query)],
    ['GET', '/v1/nodes', (_, { query }) => page(platform.nodes, query)],
    ['POST', '/v1/nodes', (_, { body }) => {
      const node = { ...structuredClone(platform.nodes[0]), id: `node_0${platform.nodes.length}`, name: body.name ?? body.url, host: body.url?.split('@')[1]?.split(':')[0] ?? '', state: 'active', owner: '', status: {}, status_at: '' };
      platform.nodes.push(node);
      return node;
    }],
    ['POST', '/v1/nodes/:id/:order', ([id, order]) => {
      const node = need(platform.nodes, id, 'switch');
      if (order === 'drain') Object.assign(node, { state: 'draining' });
      if (order === 'resume') Object.assign(node, { state: 'active' });
      return { node, result: order === 'probe' ? { round_trip_ms: 0.72, version: 'FreeSWITCH Version 1.10.12-release' } : order === 'resync' ? { attached: 0, ended: 0, same: node.status.calls } : { state: node.state } };
    }],
    ['GET', '/v1/events', (_, { query }) => {
      const after = Number(query.get('after_seq') ?? 0);
      const limit = Math.min(200, Number(query.get('limit') ?? 50));
      const types = query.get('types')?.split(',');
      const resource = query.get('resource');
      const list = platform.log.filter((entry) => entry.seq > after && (!resource || entry.resource === resource) && (!types || types.some((name) => entry.type === name || (name.endsWith('.*') && entry.type.startsWith(name.slice(0, -1))))));
      return { data: list.slice(0, limit), has_more: list.length > limit, head_seq: platform.head, oldest_seq: platform.oldest };
    }],
    ['GET', '/v1/event-types', () => ({ data: [...new Set(platform.log.map((entry) => entry.type))].sort().map((name) => ({ name, description: name })) })],
    ['GET', '/v1/conferences', (_, { query }) => page([...platform.conferences.values()], query)],
    ['GET', '/v1/conferences/:id', ([id]) => need(platform.conferences, id, 'conference')],
    ['DELETE', '/v1/conferences/:id', ([id]) => {
      platform.conferences.delete(id);
      return { conference: null, result: {} };
    }],
    ['PATCH', '/v1/conferences/:id/participants/:leg', ([id, leg], { body }) => {
      const conference = need(platform.conferences, id, 'conference');
      Object.assign(conference.members.find((member) => member.leg === leg), { muted: body.muted });
      return { conference, result: {} };
    }],
    ['DELETE', '/v1/conferences/:id/participants/:leg', ([id, leg]) => {
      const conference = need(platform.conferences, id, 'conference');
      conference.members = conference.members.filter((member) => member.leg !== leg);
      return { conference, result: {} };
    }],
    ['GET', '/v1/users', (_, { query }) => page(platform.users, query)],
    ['POST', '/v1/users', (_, { body }) => {
      const user = { id: platform.id('usr'), state: 'active', tenant_id: 'tnt_main', last_login_at: null, created_at: new Date().toISOString(), version: 1, ...body };
      platform.users.push(user);
      return { user, password: 'amber-violin-0412' };
    }],
    ['POST', '/v1/users/:id/password', () => ({ password: 'quiet-harbour-7731' })],
    ['POST', '/v1/users/:id/deactivate', ([id]) => Object.assign(need(platform.users, id, 'user'), { state: 'deactivated' })],
    ['PATCH', '/v1/users/:id', ([id], { body }) => Object.assign(need(platform.users, id, 'user'), body)],
    ['GET', '/v1/users/:id/sessions', () => ({ data: platform.sessions })],
    ['DELETE', '/v1/users/:id/sessions/:sid', ([, sid]) => void (platform.sessions = platform.sessions.filter((entry) => entry.id !== sid))],
    ['GET', '/v1/users/me', () => platform.users[0]],
    ['GET', '/v1/roles', () => ({ data: platform.roles })],
    ['GET', '/v1/permissions', () => ({ data: PERMISSIONS.map((name) => ({ name, description: `May ${name.split(':').reverse().join(' ')}`, platform: name === 'nodes:write' })) })],
    ['GET', '/v1/api-keys', (_, { query }) => page(platform.keys, query)],
    ['POST', '/v1/api-keys', (_, { body }) => {
      const key = { id: platform.id('key'), tenant_id: 'tnt_main', all_tenants: false, state: 'active', created_by: 'usr_01', last_used_at: null, created_at: new Date().toISOString(), version: 1, ...body };
      platform.keys.push(key);
      return { key, secret: `irx_${key.id}_${randomUUID().replaceAll('-', '')}` };
    }],
    ['DELETE', '/v1/api-keys/:id', ([id]) => void (platform.keys = platform.keys.filter((entry) => entry.id !== id))],
    ...platform.talks.routes({ page, filtered, need, Refusal }),
    ...contentRoutes(platform.contents, { page, need, Refusal }),
    ...platform.phones.routes({ page, filtered, need, Refusal }),
    ...platform.recordings.routes({ page, filtered, need, Refusal }),
    ...hookRoutes(platform.webhooks, { page, filtered, need, Refusal }),
    ['GET', '/v1/version', () => ({ version: '0.1.0' }), true],
    ['GET', '/v1/health/ready', () => ({ status: 'ready', reasons: [] }), true],
    ['GET', '/v1/status', () => ({ state: 'attention', summary: 'fra-1: Draining: takes no new calls.', good: 9, attention: 1, bad: 0 })],
    ['GET', '/v1/status/components', () => ({
      data: [
        ['Database', 'store', 'good', 'Answers.'], ['Command bus', 'bus', 'good', 'Answers.'], ['API', 'api', 'good', 'Answers, for 3 days.'],
        ['controller-0', 'controller', 'good', 'Runs on ops-a, commands 2 of 4 switches.'], ['controller-1', 'controller', 'good', 'Runs on ops-b, commands 2 of 4 switches.'],
        ...platform.nodes.map((node) => [node.name, 'switch', node.state === 'active' ? 'good' : 'attention', node.state === 'active' ? `Works, ${node.status.calls ?? 0} live calls.` : 'Draining: takes no new calls.'])
      ].map(([name, kind, state, detail]) => ({ name, kind, state, detail, id: '' }))
    })],
    ['GET', '/v1/status/incidents', () => ({ data: [{ id: 'inc_01', component: 'lon-2', severity: 'degraded', summary: 'lon-2 was out of reach', cause: 'The second controller took over; no call was lost.', started_at: new Date(Date.now() - 5e7).toISOString(), seen_at: '', ended_at: new Date(Date.now() - 5e7 + 9000).toISOString() }], has_more: false, next_cursor: null })]
  ].map(([method, path, handler, open]) => ({ method, pattern: new RegExp(`^${path.replace(/:\w+/g, '([\\w.-]+)')}$`), handler, open }));

  function cdrOf(call) {
    return {
      id: call.id.replace('call_', 'cdr_'), kind: 'call', tenant_id: call.tenant_id, node: call.node, call_id: call.id, leg: '', direction: call.direction ?? 'inbound', caller: call.caller,
      caller_name: call.caller_name ?? '', destination: call.destination, started_us: call.created_us, ringing_us: call.ringing_us ?? 0, answered_us: call.answered_us ?? 0, ended_us: call.ended_us,
      ring_us: 3e6, pdd_us: 120_000, billsec: call.answered_us ? Math.floor((call.ended_us - call.answered_us) / 1e6) : 0, duration: Math.floor((call.ended_us - call.created_us) / 1e6),
      hangup_cause: call.hangup_cause, q850: 16, sip_status: 200, sip_disposition: 'recv_bye', disposition: '', trunk: 'carrier', codec: 'PCMA', recordings: [], legs: 2, recovered: false, inferred: false, request_id: ''
    };
  }

  function act(id, order, body) {
    const call = platform.calls.get(id);
    if (!call) {
      if (platform.ended.some((entry) => entry.id === id)) throw new Refusal(409, 'call_ended', 'the call has ended');
      throw new Refusal(404, 'no_such_call', `there is no call ${id}`);
    }
    platform.orders.push({ id, order, body });
    platform.note('call.ordered', id, { action: `call.${{ record: 'record_start', transfer: 'transfer_blind' }[order] ?? order}`, status: 'done', actor: 'usr_01' });
    const legs = (patch) => (call.legs = call.legs.map((leg, n) => (n ? leg : { ...leg, ...patch })));
    switch (order) {
      case 'answer': return platform.answer(call);
      case 'hold': return platform.hold(call);
      case 'unhold': return platform.unhold(call);
      case 'mute': legs({ muted: true }); return platform.change('call.muted', call, { leg: call.legs[0].uuid });
      case 'unmute': legs({ muted: false }); return platform.change('call.unmuted', call, { leg: call.legs[0].uuid });
      case 'record': legs({ recordings: [{ leg: call.legs[0].uuid, path: '/var/rec/rec_01jd.wav', started_us: Date.now() * 1000 }] }); return platform.change('call.recording_started', call, { path: '/var/rec/1.wav' });
      case 'record_stop': legs({ recordings: call.legs[0].recordings.map((entry) => ({ ...entry, stopped_us: Date.now() * 1000 })) }); return platform.change('call.recording_stopped', call, { path: '/var/rec/1.wav' });
      case 'dtmf': return platform.change('call.dtmf', call, { digits: body.digits.length });
      case 'transfer': call.destination = body.to; return platform.change('call.transferred', call, { to: body.to });
      case 'hangup': return platform.end(call, 'MANAGER_REQUEST');
      default: return platform.change('call.playback_started', call, { order });
    }
  }

  const server = createServer(async (req, res) => {
    const url = new URL(req.url, 'http://x');
    const chunks = [];
    for await (const chunk of req) chunks.push(chunk);
    if (url.pathname.startsWith('/__test/')) return control(url, res);
    if (platform.mode.down) return void req.socket.destroy();
    if (!url.pathname.startsWith('/v1/')) return file(url.pathname, res);
    requests += 1;
    const requestId = `req_${String(requests).padStart(8, '0')}`;
    res.setHeader('request-id', requestId);
    res.setHeader('cache-control', 'no-store');
    res.setHeader('content-type', 'application/json');
    const key = req.headers['idempotency-key'];
    try {
      const route = routes.find((entry) => entry.method === req.method && entry.pattern.test(url.pathname));
      if (!route) throw new Refusal(404, 'not_found', `${req.method} ${url.pathname} does not exist`);
      const bearer = (req.headers.authorization ?? '').replace('Bearer ', '');
      if (!route.open && !((tokens.get(bearer) ?? 0) > Date.now())) throw new Refusal(401, 'not_authenticated', 'sign in');
      // Stored, and the answer lost on its way.
      if (platform.mode.deaf && replies.has(key)) return void req.socket.destroy();
      if (key && replies.has(key)) {
        res.setHeader('idempotent-replayed', 'true');
        return res.end(replies.get(key));
      }
      const renews = url.pathname === '/v1/auth/refresh';
      if (renews) platform.asking += 1;
      if (platform.mode.slow) await new Promise((done) => setTimeout(done, platform.mode.slow));
      if (renews) platform.asking -= 1;
      const text = Buffer.concat(chunks).toString();
      const found = route.handler(route.pattern.exec(url.pathname).slice(1), { query: url.searchParams, body: text && (req.headers['content-type'] ?? '').includes('json') ? JSON.parse(text) : {}, req, res, key });
      if (res.writableEnded) return;
      if (found === undefined) {
        res.statusCode = 204;
        return res.end();
      }
      const out = JSON.stringify(found);
      if (key) replies.set(key, out);
      if (platform.mode.deaf && /messages$/.test(url.pathname) && req.method === 'POST') return void req.socket.destroy();
      if (found.version) res.setHeader('etag', `"${found.version}"`);
      res.end(out);
    } catch (error) {
      const status = error.status ?? 500;
      if (status === 500) console.error(error);
      res.statusCode = status;
      res.setHeader('content-type', 'application/problem+json');
      res.end(JSON.stringify({ type: `/docs/problems#${error.code}`, title: 'It was not possible', status, detail: error.message, instance: url.pathname, code: error.code ?? 'internal', request_id: requestId, retryable: status >= 500, errors: error.errors ?? [] }));
    }
  });

  function file(path, res) {
    if (path === '/__far') {
      res.setHeader('content-type', 'text/html');
      return void res.end('<!doctype html><title>far end</title>');
    }
    const wanted = normalize(join(BUILD, path));
    const real = wanted.startsWith(BUILD) && extname(wanted) && existsSync(wanted) ? wanted : join(BUILD, 'index.html');
    if (real.endsWith('index.html') && path.startsWith('/_app/')) {
      res.statusCode = 404;
      return res.end();
    }
    res.setHeader('content-type', TYPES[extname(real)] ?? 'application/octet-stream');
    const frame = /^\/frames\/mail(-pictures)?\.html$/.exec(path);
    res.setHeader('content-security-policy', frame ? `default-src 'none'; style-src 'unsafe-inline'; img-src data:${frame[1] ? ' http: https:' : ''}; form-action 'none'; frame-ancestors 'self'` : CSP);
    res.setHeader('x-content-type-options', 'nosniff');
    res.setHeader('cache-control', path.includes('/immutable/') ? 'public, max-age=31536000, immutable' : 'no-cache');
    res.end(readFileSync(real));
  }

  function control(url, res) {
    const what = url.pathname.split('/')[2];
    const n = Number(url.searchParams.get('n') ?? 1);
    if (what === 'cut') for (const socket of sockets) socket.terminate();
    else if (what === 'refuse') platform.mode.refuse = n > 0;
    else if (what === 'silent') platform.mode.silent = n > 0;
    else if (what === 'down') {
      platform.mode.down = n > 0;
      if (n > 0) for (const socket of sockets) socket.terminate();
    } else if (what === 'slow') platform.mode.slow = n;
    else if (what === 'deaf') platform.mode.deaf = n > 0;
    else if (what === 'forget') platform.oldest = platform.head + 1;
    else if (what === 'burst') for (let at = 0; at < n; at++) platform.happen();
    else if (what === 'rate') setRate(n);
    else if (what === 'expire') tokens.clear();
    res.setHeader('content-type', 'application/json');
    res.end(JSON.stringify({ head: platform.head, calls: [...platform.calls.values()].map(({ id, state, version }) => ({ id, state, version })), orders: platform.orders, nodes: platform.nodes.map(({ id, name, state }) => ({ id, name, state })), sockets: sockets.size }));
  }

  const stream = new WebSocketServer({ noServer: true });
  server.on('upgrade', (req, socket, head) => {
    if (platform.mode.refuse || platform.mode.down) return socket.destroy();
    if (req.url.startsWith('/v1/signaling')) return platform.phones.upgrade(req, socket, head);
    stream.handleUpgrade(req, socket, head, (ws) => {
      sockets.add(ws);
      let sent = -1;
      const say = (frame) => {
        if (!platform.mode.silent && ws.readyState === 1) ws.send(JSON.stringify(frame));
      };
      const follower = {
        offer(entry) {
          if (sent < 0 || entry.seq <= sent) return;
          sent = entry.seq;
          say({ type: 'event', event: entry });
        }
      };
      const beat = setInterval(() => sent >= 0 && say({ type: 'heartbeat', head_seq: platform.head }), 15_000);
      ws.on('message', (data) => {
        const asked = JSON.parse(String(data));
        if (asked.token !== 'realtime') return ws.close(4401, 'not_authenticated');
        say({ type: 'hello', head_seq: platform.head, oldest_seq: platform.oldest, tenant: 'tnt_main' });
        sent = asked.after_seq ?? platform.head;
        if (sent < platform.oldest - 1) {
          sent = platform.head;
          say({ type: 'gap', resume_at: sent, resources: ['calls'] });
        }
        if (asked.live) follower.tell = (moment) => say({ type: 'live', ...moment });
        for (const entry of platform.log.slice(sent)) follower.offer(entry);
        platform.followers.add(follower);
      });
      ws.on('error', () => undefined);
      ws.on('close', () => {
        clearInterval(beat);
        sockets.delete(ws);
        platform.followers.delete(follower);
      });
    });
  });

  let ticking = null;
  function setRate(perSecond) {
    clearInterval(ticking);
    if (perSecond > 0) {
      let due = 0;
      ticking = setInterval(() => {
        for (due += perSecond / 50; due >= 1; due -= 1) platform.happen();
      }, 20);
    }
  }
  setRate(rate);
  const figures = setInterval(() => platform.figures(), 1000);
  await new Promise((done) => server.listen(port, '127.0.0.1', done));
  return {
    platform,
    url: `http://127.0.0.1:${server.address().port}`,
    async close() {
      clearInterval(ticking);
      clearInterval(figures);
      for (const socket of sockets) socket.terminate();
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    }
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const option = (name, otherwise) => {
    const at = process.argv.indexOf(`--${name}`);
    return at < 0 ? otherwise : Number(process.argv[at + 1]);
  };
  const { url } = await serve({ port: option('port', 0), rate: option('rate', 10), calls: option('calls', 60) });
  console.log(url);
}
