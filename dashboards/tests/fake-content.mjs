// What the stand-in platform has written down: templates, canned replies, macros, labels, rules, promises, hours. Shapes
// and rules are those of the API; versions count, and what is named by something else cannot go.
const US = () => Date.now() * 1000;

const KINDS = { templates: 'tpl', 'canned-replies': 'can', macros: 'mac', labels: 'lbl', rules: 'rul', 'sla-policies': 'sla', schedules: 'sch' };
const DEFAULTS = {
  templates: { channel: '', language: '', subject: '', html: '', provider_name: '', provider_values: [] }, 'canned-replies': { team: '' }, macros: { description: '' }, labels: { color: '', description: '' },
  rules: { all: [], any: [], enabled: true, position: 0 }, 'sla-policies': { schedule_id: '', all: [], enabled: true, position: 0 }, schedules: { exceptions: [] }
};
const MOST = { sms: 1600, whatsapp: 4096, email: 0, telegram: 4096, slack: 12_000 };
const PLACE = /\{\{\s*([\w.]+)\s*(?:\|([^{}]*))?\}\}/g;

export class Contents {
  constructor(platform) {
    this.platform = platform;
    this.kept = new Map(Object.keys(KINDS).map((kind) => [kind, []]));
    this.ran = [];
    this.make('templates', { name: 'Order shipped', channel: 'whatsapp', provider_name: 'order_shipped', language: 'en', text: 'Hello {{contact.name}}, it is on its way.', provider_values: ['{{contact.name|there}}'] });
    this.make('templates', { name: 'Opening hours', text: 'Hello {{contact.first_name|there}}, we are open Monday to Friday, 9 to 17.' });
    this.make('canned-replies', { name: 'hours', text: 'We are open Monday to Friday, 9 to 17.' });
    this.make('canned-replies', { name: 'sorry', text: 'We are sorry for the trouble. I look into it now.' });
    this.make('macros', { name: 'Refund', description: 'Money goes back', actions: [{ do: 'label', add: ['money'], remove: [] }, { do: 'reply', template_id: '', text: 'Your money is on its way back.' }, { do: 'resolve' }] });
    this.make('labels', { name: 'money', color: '#b3261e', description: 'It is about a payment' });
    this.make('labels', { name: 'delivery', description: 'Something is on its way' });
    const office = this.make('schedules', { name: 'Office', timezone: 'Europe/Berlin', weekly: [0, 1, 2, 3, 4].map((day) => ({ day, start: '09:00', end: '17:00' })), exceptions: [{ date: '2026-12-25', spans: [], name: 'Christmas' }] });
    const rule = this.make('rules', { name: 'Broken things first', on: ['message.received'], all: [{ field: 'text', op: 'contains', value: ['broken', 'charged'] }], actions: [{ do: 'label', add: ['angry'], remove: [] }, { do: 'priority', value: 2 }] });
    this.make('rules', { name: 'Answer at night', on: ['conversation.created'], all: [{ field: 'now', op: 'outside_hours', value: office.id }], actions: [{ do: 'reply', template_id: this.kept.get('templates')[1].id, text: '' }], enabled: false, position: 5 });
    const policy = this.make('sla-policies', { name: 'Within the hour', targets: { first_reply_s: 3600, next_reply_s: 14_400, resolution_s: 0 }, schedule_id: office.id });
    const talks = [...platform.talks.talks.values()];
    this.runs = new Map([[rule.id, talks.slice(0, 3).map((talk, n) => ({ id: platform.id('run'), seq: 12 + n, conversation_id: talk.id, outcome: ['done', 'partly', 'done'][n], report: [{ action: 'label', ok: true, code: '', detail: '' }, { action: 'priority', ok: n !== 1, code: n === 1 ? 'wrong_state' : '', detail: n === 1 ? 'the conversation is resolved' : '' }], at_us: US() - (n + 1) * 900e6 }))]]);
    this.breaches = talks.slice(2, 5).map((talk, n) => ({ id: platform.id('brc'), conversation_id: talk.id, policy_id: policy.id, clock: n ? 'next_reply' : 'first_reply', due_us: US() - (n + 1) * 3600e6, at_us: US() - (n + 1) * 3600e6 + 700e6 }));
  }
  make(kind, members) {
    const one = { id: this.platform.id(KINDS[kind]), version: 1, created_us: US(), updated_us: US(), created_by: 'usr_01', ...DEFAULTS[kind], ...members };
    this.kept.get(kind).unshift(one);
    return one;
  }
  /** Where a text stands that names `id`. */
  named(id) {
    return [...this.kept.values()].flat().some((one) => one.id !== id && JSON.stringify(one).includes(`"${id}"`));
  }
  fill(text, values, missing) {
    return text.replace(PLACE, (_, path, otherwise) => {
      const found = path.split('.').reduce((here, name) => here?.[name], values);
      if (!found && otherwise === undefined) missing.add(path);
      return found ?? otherwise ?? '';
    });
  }
}

/** The routes of the groups, for the table of the stand-in. */
export function contentRoutes(contents, { page, need, Refusal }) {
  const shelf = (kind) => {
    const all = () => contents.kept.get(kind);
    const one = (id) => need(all(), id, kind);
    const taken = (body, id) => {
      if (body.name && all().some((other) => other.name === body.name && other.id !== id)) throw new Refusal(409, 'name_taken', `there is already one that is called ${body.name}`);
    };
    const same = (found, req) => {
      if (req.headers['if-match'] && req.headers['if-match'] !== `"${found.version}"`) throw new Refusal(412, 'changed_meanwhile', 'it has changed since you read it');
      return found;
    };
    return [
      ['GET', `/v1/${kind}`, (_, { query }) => page(all(), query)],
      ['POST', `/v1/${kind}`, (_, { body }) => {
        taken(body);
        return contents.make(kind, body);
      }],
      ['GET', `/v1/${kind}/:id`, ([id]) => one(id)],
      ['PATCH', `/v1/${kind}/:id`, ([id], { body, req }) => {
        taken(body, id);
        const found = same(one(id), req);
        return Object.assign(found, body, { version: found.version + 1, updated_us: US() });
      }],
      ['DELETE', `/v1/${kind}/:id`, ([id], { req }) => {
        same(one(id), req);
        if (contents.named(id)) throw new Refusal(409, 'in_use', 'something names it');
        contents.kept.set(kind, all().filter((other) => other.id !== id));
      }]
    ];
  };
  return [
    ...Object.keys(KINDS).flatMap(shelf),
    ['POST', '/v1/templates/:id/render', ([id], { body }) => {
      const template = need(contents.kept.get('templates'), id, 'template');
      const talk = body.conversation_id ? contents.platform.talks.talks.get(body.conversation_id) : null;
      const contact = talk ? contents.platform.talks.contacts.find((one) => one.id === talk.contact_id) : null;
      const values = { ...(contact ? { contact: { name: contact.name, first_name: contact.name.split(' ')[0] } } : {}), ...body.values };
      const missing = new Set();
      const text = contents.fill(template.text, values, missing);
      const family = (body.channel_type ?? '').split('.')[0];
      return {
        text, subject: contents.fill(template.subject, values, missing), html: '', missing: [...missing], characters: [...text].length, too_long: Boolean(MOST[family]) && text.length > MOST[family],
        segments: family === 'sms' ? Math.ceil(text.length / 160) : 0, encoding: family === 'sms' ? 'gsm7' : '', content: template.provider_name ? { type: 'template', name: template.provider_name, values: template.provider_values.map((one) => contents.fill(one, values, missing)) } : { type: 'text', text }
      };
    }],
    ['POST', '/v1/macros/:id/run', ([id], { body }) => {
      const macro = need(contents.kept.get('macros'), id, 'macro');
      const talk = need(contents.platform.talks.talks, body.conversation_id, 'conversation');
      if (talk.state === 'resolved' && macro.actions.some((one) => one.do === 'resolve')) throw new Refusal(409, 'action_failed', 'resolve: the conversation is resolved');
      contents.ran.push([id, talk.id]);
      for (const one of macro.actions) {
        if (one.do === 'label') contents.platform.talks.changed(Object.assign(talk, { labels: [...new Set([...talk.labels, ...(one.add ?? [])])] }));
        if (one.do === 'reply') contents.platform.talks.say(talk, { direction: 'out', author: 'usr_01', text: one.text });
        if (one.do === 'resolve') contents.platform.talks.changed(Object.assign(talk, { state: 'resolved', resolved_us: US() }), 'conversation.resolved');
      }
      return { conversation_id: talk.id, done: macro.actions.map((one) => ({ action: one.do, ok: true, code: '', detail: '' })) };
    }],
    ['POST', '/v1/rules/:id/dry-run', ([id], { body }) => {
      const rule = need(contents.kept.get('rules'), id, 'rule');
      const talks = [...contents.platform.talks.talks.values()].slice(0, body.last);
      // (what journeys ask about: words in the last message)
      const holds = (talk, one) => one.field === 'text' && [one.value].flat().some((word) => talk.preview.toLowerCase().includes(word));
      const found = talks.filter((talk) => rule.all.every((one) => holds(talk, one))).map((talk) => ({ conversation_id: talk.id, all: rule.all.map(() => true), any: [] }));
      return { looked_at: talks.length, applies: found.length, would: rule.actions.map((one) => one.do), found };
    }],
    ['GET', '/v1/rules/:id/runs', ([id], { query }) => page(contents.runs.get(id) ?? [], query)],
    ['GET', '/v1/sla-breaches', (_, { query }) => page(contents.breaches, query)]
  ];
}
