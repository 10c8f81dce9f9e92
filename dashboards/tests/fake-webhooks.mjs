// Endpoints for webhooks and their deliveries, as the stand-in platform has them: shapes and rules of the API, in memory.
import { createHmac } from 'node:crypto';

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
export { SECRET as HOOK_SECRET };

const TYPES = ['call.created', 'call.answered', 'call.ended', 'message.received', 'message.sent', 'conversation.created', 'webhook.tested'];

function sign(id, timestamp, body) {
  const key = Buffer.from(SECRET.slice(6), 'base64');
  return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`;
}

export class Hooks {
  constructor(platform) {
    this.platform = platform;
    this.hooks = new Map();
    this.deliveries = new Map();
    // (not the platform's chance: its calls are the same with or without endpoints)
    this.made = 0;
    const now = Date.now() * 1000;
    this.make({ name: 'Billing', url: 'https://billing.example/hooks/irisx', types: ['call.ended'], delivered_day: 1187, failed_day: 9, last_delivered_us: now - 4e6 });
    const failing = this.make({ name: 'Shop back office', url: 'https://shop.example/irisx', types: ['message.*', 'conversation.*'], delivered_day: 310, failed_day: 22, failing_since_us: now - 1400e6, last_delivered_us: now - 1400e6 });
    this.make({ name: 'Old CRM', url: 'https://crm.example/in', types: ['*'], state: 'disabled', reason: 'three days of failure: it answered 500', delivered_day: 0, failed_day: 96 });
    for (let n = 0; n < 30; n++) {
      const state = n < 4 ? 'waiting' : n === 7 ? 'failed' : 'delivered';
      this.deliver(failing, { state, status: state === 'delivered' ? 200 : state === 'failed' ? 404 : 503, type: TYPES[3 + (n % 3)], at: now - n * 40e6 });
    }
  }
  make(members) {
    const id = this.platform.id('whe');
    const now = Date.now() * 1000;
    this.hooks.set(id, {
      id, name: 'Webhook', url: '', types: ['*'], state: 'active', reason: '', at_once: 4, place: this.platform.head, head: this.platform.head, old_secret_until_us: 0, failing_since_us: 0, last_delivered_us: 0,
      waiting: 0, oldest_waiting_us: 0, delivered_day: 0, failed_day: 0, version: 1, created_us: now, updated_us: now, ...members
    });
    this.deliveries.set(id, []);
    return this.hooks.get(id);
  }
  deliver(hook, { state = 'delivered', status = 200, type = 'webhook.tested', kind = 'event', at = Date.now() * 1000 } = {}) {
    const entry = this.platform.log[this.made++ % this.platform.head];
    const body = JSON.stringify({ timestamp: entry.occurred_at, ...entry, type });
    const timestamp = Math.floor(at / 1e6);
    const reason = state === 'delivered' ? '' : `it answered ${status}`;
    const attempt = { at_us: at, took_ms: 84, status, error: '', excerpt: status === 200 ? 'ok' : '{"error":"come back later"}', timestamp, signature: sign(entry.id, timestamp, body), retry_after_s: null };
    const one = {
      id: this.platform.id('whd'), webhook_id: hook.id, seq: entry.seq, type, kind, state, tries: 1, due_us: at + 60e6, status, reason, created_us: at, ended_us: state === 'waiting' ? 0 : at,
      attempts: [attempt], webhook_id_header: entry.id, payload: body, event: { ...entry, type }
    };
    this.deliveries.get(hook.id).unshift(one);
    this.deliveries.get(hook.id).sort((a, b) => b.created_us - a.created_us);
    return one;
  }
  shown(hook) {
    const waiting = this.deliveries.get(hook.id).filter((one) => one.state === 'waiting');
    return { ...hook, head: this.platform.head, place: this.platform.head, waiting: waiting.length, oldest_waiting_us: Math.min(...waiting.map((one) => one.created_us), Infinity) === Infinity ? 0 : Math.min(...waiting.map((one) => one.created_us)) };
  }
}

/** The routes of the group, for the table of the stand-in. */
export function hookRoutes(hooks, { page, filtered, need, Refusal }) {
  const small = ({ attempts, webhook_id_header, payload, event, ...rest }) => rest;
  const delivery = (id, did) => need(hooks.deliveries.get(need(hooks.hooks, id, 'webhook').id), did, 'delivery');
  return [
    ['GET', '/v1/webhooks', (_, { query }) => page([...hooks.hooks.values()].map((one) => hooks.shown(one)), query)],
    ['POST', '/v1/webhooks', (_, { body }) => {
      if (!/^https:\/\/[^/]+/.test(body.url ?? '')) throw new Refusal(400, 'bad_webhook_url', 'url: it must be like https://host.example/path');
      if (/127\.|localhost|10\./.test(body.url)) throw new Refusal(400, 'private_address', 'its address is in a private network, where webhooks may not go (operators allow some)');
      return { webhook: hooks.shown(hooks.make(body)), secret: SECRET };
    }],
    ['GET', '/v1/webhooks/:id', ([id]) => hooks.shown(need(hooks.hooks, id, 'webhook'))],
    ['PATCH', '/v1/webhooks/:id', ([id], { body }) => {
      const hook = Object.assign(need(hooks.hooks, id, 'webhook'), body);
      hook.version += 1;
      if (body.state === 'active') Object.assign(hook, { reason: '', failing_since_us: 0 });
      if (body.state === 'disabled') hook.reason = 'switched off by hand';
      return hooks.shown(hook);
    }],
    ['DELETE', '/v1/webhooks/:id', ([id]) => void hooks.hooks.delete(id)],
    ['POST', '/v1/webhooks/:id/secret/rotate', ([id]) => {
      const hook = need(hooks.hooks, id, 'webhook');
      hook.old_secret_until_us = (Date.now() + 86_400_000) * 1000;
      return { webhook: hooks.shown(hook), secret: SECRET.replace('Mf', 'Nf') };
    }],
    ['POST', '/v1/webhooks/:id/test', ([id]) => ({ delivery_id: hooks.deliver(need(hooks.hooks, id, 'webhook'), { kind: 'test' }).id })],
    ['POST', '/v1/webhooks/:id/replay', ([id], { body }) => {
      const hook = need(hooks.hooks, id, 'webhook');
      if (body.to_seq > hooks.platform.head) throw new Refusal(400, 'not_in_log', `the log has the numbers 1 to ${hooks.platform.head}`);
      const found = hooks.platform.log.slice(body.from_seq - 1, body.to_seq).length;
      hooks.deliver(hook, { kind: 'replay', type: hook.types[0].replace('.*', '.received') });
      return { deliveries: found };
    }],
    ['GET', '/v1/webhooks/:id/deliveries', ([id], { query }) => page(filtered(hooks.deliveries.get(need(hooks.hooks, id, 'webhook').id).map(small), query), query)],
    ['GET', '/v1/webhooks/:id/deliveries/:did', ([id, did]) => delivery(id, did)],
    ['POST', '/v1/webhooks/:id/deliveries/:did/redeliver', ([id, did]) => {
      Object.assign(delivery(id, did), { state: 'delivered', status: 200, tries: 1, reason: '', ended_us: Date.now() * 1000 });
      hooks.hooks.get(id).delivered_day += 1;
    }]
  ];
}
