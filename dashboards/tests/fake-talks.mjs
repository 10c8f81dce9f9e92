// The part of the stand-in platform that has conversations: accounts, people, messages, and what agents do with them.
// Shapes and rules are those of the API; it is told what happens by the journeys (`customerWrites`, `settle`).
const US = () => Date.now() * 1000;

const CAPABLE = { webhook: true, listens: false, max_text: 0, max_files: 10, max_file_bytes: 5_000_000, max_total_bytes: 0, html: false, subject: false, threads: false, receipts: 'delivered', window_s: 0, idempotent: false, idempotent_s: 0, segments: '', starts: true };
const settings = (extra) => ({
  title: 'Settings', type: 'object', required: ['account', 'token'],
  properties: {
    account: { type: 'string', description: 'The account’s id, as the provider’s console shows it', minLength: 1 },
    token: { type: 'string', description: 'The secret that signs webhooks', format: 'password', writeOnly: true },
    base_url: { type: 'string', description: 'Where the provider answers', default: 'https://api.provider.example' },
    ...extra
  }
});
export const KINDS = [
  ['telegram', 'Telegram', 'user', { sends: ['text', 'media', 'edit', 'deletion'], max_text: 4096 }],
  ['sms.twilio', 'Twilio', 'phone', { sends: ['text', 'media'], max_text: 1600, segments: 'sms' }],
  ['whatsapp', 'WhatsApp', 'phone', { sends: ['text', 'media', 'template', 'interactive'], max_text: 4096, window_s: 86_400, receipts: 'read' }],
  ['email.postmark', 'Postmark', 'email', { sends: ['text', 'media'], html: true, subject: true }],
  ['slack', 'Slack', 'user', { sends: ['text', 'media'], max_text: 12_000 }]
].map(([type, title, address, more]) => ({ type, title, address, capabilities: { ...CAPABLE, ...more }, settings: settings(type === 'slack' ? { socket: { type: 'boolean', description: 'Hold a connection instead of taking webhooks', default: false }, mode: { enum: ['classic', 'granular'], description: 'Which kind of app it is', default: 'granular' } } : {}) }));

// What a channel promises, with what was seen; the second does not hold for Slack, the last does not apply to anybody.
const PROMISES = [['what a customer writes arrives as written', ''], ['a forged webhook is refused', 'checked with token'], ['files arrive', '3 at once, one of 1 MB'], ['an old webhook is refused when it is signed with its time', 'the provider signs no time']];
const report = (type) => ({ channel: type, title: type, seed: 0, checks: PROMISES.map(([name, why], n) => (n === 1 && type === 'slack' ? { name, held: false, why: 'POST /inbound with the signature cut by one character was accepted' } : { name, held: n === 3 ? null : true, why })) });

const PEOPLE = [
  ['Maria Lopez', 'phone', '+442079460018'], ['Ben Okafor', 'phone', '+12025550143'], ['', 'phone', '+493012345678'], ['Léa Martin', 'email', 'lea@customer.example'],
  ['Jun Tanaka', 'user', '1001'], ['Kim Lind', 'user', 'U0KIM'], ['Ada Mill', 'email', 'ada@mill.example'], ['Sam Mill', 'phone', '+447700900123']
];
const TEXTS = ['Where is my order 4711? It should have come yesterday.', 'Hello, is anybody there?', 'The lamp arrived broken. Can I have another one?', 'Do you open on Saturday?', 'I was charged twice this month.', 'Thank you, that was quick!', 'Can I change the address of my delivery?', 'Is the blue one in stock again?'];

export class Talks {
  constructor(platform) {
    this.platform = platform;
    this.accounts = KINDS.map((kind, n) => ({
      id: `chn_0${n}`, type: kind.type, name: `${kind.title} support`, state: n === 4 ? 'misconfigured' : 'active', reason: n === 4 ? 'invalid_auth: the token has been revoked' : '', address: kind.address === 'phone' ? '+1 202 555 0100' : kind.address === 'email' ? 'help@acme.example' : '@acme',
      settings: { account: `ac_${n}`, base_url: 'https://api.provider.example' }, limits: {}, inbound_url: `https://irisx.example/v1/channels/chn_0${n}/inbound`, version: 1, created_us: US() - n * 1e9, updated_us: US() - n * 1e9
    }));
    this.contacts = PEOPLE.map(([name, kind, value], n) => ({ id: `ctc_0${n}`, name, company: '', language: '', timezone: '', attributes: {}, merged_into: null, version: 1, created_us: US(), updated_us: US(), identities: [{ id: `idn_0${n}`, kind, scope: '', value, name, verified: false, created_us: US() }] }));
    this.talks = new Map();
    this.messages = new Map();
    this.attempts = [];
    this.plugins = [['channels', 'irisx', '0.1.0', KINDS.slice(0, 4).map((one) => one.type), ''], ['slack', 'irisx-slack', '2.3.1', ['slack'], ''], ['fax', 'irisx-fax', '0.4.0', [], "ModuleNotFoundError: No module named 'spandsp'"]].map(([name, distribution, version, channels, problem]) => ({ name, distribution, version, channels, problem }));
    // Twilio was checked three hours ago. `looks` counts how often somebody looked.
    this.jobs = new Map();
    this.looking = new Map();
    this.typing = new Map();
    this.signs = [];
    this.looks = 0;
    this.endCheck(this.beginCheck('sms.twilio', Date.now() - 108e5), 'done', Date.now() - 108e5);
    this.reads = 0;
    for (let n = 0; n < 14; n++) this.begin(n, US() - (n + 1) * 420e6);
    const [first, second, third, fourth] = [...this.talks.values()];
    this.say(first, { direction: 'out', state: 'read', author: 'usr_01', text: 'Good morning! I am looking it up.', read_us: US() - 300e6, delivered_us: US() - 310e6, sent_us: US() - 320e6 }, US() - 350e6);
    this.say(first, { kind: 'note', direction: '', state: 'noted', author: 'usr_02', text: 'The carrier says Tuesday. Please do not promise more.' }, US() - 330e6);
    this.say(first, { direction: 'in', text: 'And could you send it to the office instead?', sender: this.addressOf(first), reactions: [{ contact_id: '', name: 'Olga', emoji: '👍' }] }, US() - 300e6);
    this.say(first, { direction: 'out', state: 'failed', author: 'usr_01', code: '30007', reason: 'The carrier filtered it as spam.', text: 'Yes: www.example.com/order' }, US() - 280e6);
    this.say(first, { direction: 'out', state: 'unknown', author: 'usr_01', text: 'It is changed now.' }, US() - 260e6);
    this.say(first, { kind: 'call', direction: '', state: 'ended', text: 'Call of 3 min 20 s, recorded', call_id: 'call_01' }, US() - 240e6);
    this.say(first, { direction: 'in', text: 'Here is the receipt.', sender: this.addressOf(first), files: [{ id: 'att_01', name: 'receipt.pdf', media_type: 'application/pdf', size: 48_211, state: 'ready', reason: '' }, { id: 'att_02', name: 'lamp.png', media_type: 'image/png', size: 95, state: 'ready', reason: '' }] }, US() - 200e6);
    this.say(first, { direction: 'in', text: 'Never mind the first one.', sender: this.addressOf(first), edited_us: US() - 100e6 }, US() - 190e6);
    this.say(first, { direction: 'in', text: '', sender: this.addressOf(first), deleted_us: US() - 90e6, content: { type: 'text', text: '' } }, US() - 180e6);
    Object.assign(second, { assignee: 'usr_01', labels: ['delivery', 'angry'] });
    Object.assign(third, { assignee: 'usr_02' });
    Object.assign(fourth, { subject: 'Your offer of last week' });
    const mail = [...this.messages.values()].find((one) => one.conversation_id === fourth.id);
    mail.content = { type: 'text', text: 'I would take two of them.\n\n> On Monday you wrote: 10 % off.', fresh: 'I would take two of them.', html: '<p style="color:#a00">I would take <b>two</b> of them.</p><img src="remote:http://127.0.0.1:65123/pixel.png" alt="logo"><script>parent.hacked = true</script><img src="x" onerror="parent.hacked = true"><a href="https://example.com/">shop</a>' };
    this.carriers = [['Baltic SMS', 'on', ['chn_01'], 10], ['Cheap Route', 'on', [], 0], ['Old Telco', 'off', [], 0]].map(([name, state, channel_ids, priority], n) => ({ id: `car_0${n}`, name, kind: 'sms', channel_ids, state, priority, pays: 'submit', abilities: [], limits: { per_second: n ? 0 : 20, spend_per_day: n ? '' : '50', only: [], never: n === 1 ? ['7'] : [] }, version: 1, created_us: US() - n * 1e9, updated_us: US() }));
    this.decisions = Array.from({ length: 24 }, (_, n) => ({ id: `rtd_${String(n).padStart(2, '0')}`, message_id: `msg_${n}`, attempt: 1, kind: 'sms', prefix: n % 3 ? '49' : '4420', segments: 1, carrier_id: n % 5 ? 'car_00' : 'car_01', channel_id: 'chn_01', explored: n % 5 === 0, probe: false, candidates: this.candidates(), decided_us: US() - n * 61e6 }));
    const all = [...this.talks.values()];
    Object.assign(all[5], { state: 'snoozed', snoozed_until_us: US() + 7200e6, waiting_since_us: 0 });
    Object.assign(all[6], { state: 'resolved', resolved_us: US() - 100e6, waiting_since_us: 0, assignee: 'usr_01' });
  }

  /** Somebody only called: a conversation without an account. */
  calledIn(n) {
    const contact = this.contacts[n];
    const at = US();
    const talk = this.begin(n, at);
    for (const [id, one] of this.messages) if (one.conversation_id === talk.id) this.messages.delete(id);
    Object.assign(talk, { channel_id: '', messages: 0, unread: 0 });
    this.say(talk, { kind: 'call', direction: '', state: 'missed', text: `Missed call from ${contact.identities[0].value}`, call_id: 'call_99' }, at);
    talk.preview = `Missed call from ${contact.identities[0].value}`;
    return this.changed(talk);
  }
  /** A colleague looks, or types, as the platform tells it. */
  colleague(id, talk, { looks = true, types = false } = {}) {
    this.looking.set(talk.id, looks ? [id] : []);
    this.typing.set(talk.id, types ? id : '');
    this.platform.moment({ what: 'typing', conversation_id: talk.id, user_id: id, typing: types });
  }
  there(id) {
    return { looking: [...new Set([...(this.looking.get(id) ?? []), 'usr_01'])], typing: this.typing.get(id) ?? '' };
  }

  beginCheck(type, at = Date.now()) {
    const job = { id: this.platform.id('job'), kind: 'plugin.check', subject: type, state: 'queued', done: 0, total: null, detail: '', result: null, error: null, cancel_asked: false, created_by: 'usr_01', request_id: '', created_at: new Date(at).toISOString(), started_at: null, ended_at: null };
    this.jobs.set(type, job);
    return job;
  }
  runCheck(job) {
    Object.assign(job, { state: 'running', started_at: new Date().toISOString() });
  }
  endCheck(job, state = 'done', at = Date.now()) {
    Object.assign(job, { state, ended_at: new Date(at).toISOString(), ...(state === 'done' ? { result: report(job.subject) } : { error: { code: 'check_failed', detail: 'it did not end within 300 s' } }) });
  }
  candidates() {
    return [
      { carrier_id: 'car_00', p: 0.973, cost: 0.0612, tau_s: 4.2, index: 0.0629, prefix: '49' }, { carrier_id: 'car_01', p: 0.81, cost: 0.0587, tau_s: 31, index: 0.0725, prefix: '49' },
      { carrier_id: 'car_02', skipped: 'off' }
    ];
  }
  addressOf(talk) {
    const { kind, value, name } = this.contacts.find((one) => one.id === talk.contact_id).identities[0];
    return { kind, value, name };
  }
  begin(n, at = US()) {
    const talk = {
      id: this.platform.id('conv'), contact_id: this.contacts[n % this.contacts.length].id, channel_id: ['chn_01', 'chn_02', 'chn_01', 'chn_03', 'chn_00'][n % 5], thread: '', subject: '', state: 'open', priority: 0, labels: [], queue: '', assignee: '', participants: [],
      snoozed_until_us: 0, waiting_since_us: 0, first_inbound_us: at, first_reply_us: 0, last_inbound_us: at, last_message_us: at, messages: 0, unread: 0, preview: '', merged_into: null, version: 1, created_us: at, resolved_us: 0
    };
    this.talks.set(talk.id, talk);
    this.platform.note('conversation.created', talk.id, { conversation: { id: talk.id, contact_id: talk.contact_id, channel_id: talk.channel_id } });
    this.say(talk, { direction: 'in', text: TEXTS[n % TEXTS.length], sender: this.addressOf(talk) }, at);
    return talk;
  }
  changed(talk, kind = 'conversation.updated', more = {}) {
    talk.version += 1;
    const { id, contact_id, channel_id, state, assignee, unread, waiting_since_us, version } = talk;
    this.platform.note(kind, id, { conversation: { id, contact_id, channel_id, state, assignee, unread, waiting_since_us, version }, ...more });
    return talk;
  }
  say(talk, what, at = US()) {
    const inbound = what.direction === 'in';
    const message = {
      id: this.platform.id('msg'), conversation_id: talk.id, contact_id: talk.contact_id, channel_id: talk.channel_id, kind: 'message', state: inbound ? 'received' : 'queued', author: '', sender: null, recipient: null,
      content: { type: 'text', text: what.text ?? '' }, text: '', reply_to: '', call_id: '', order_us: at, sent_us: 0, delivered_us: 0, read_us: 0, send_at_us: 0, segments: 0, price: null, currency: '', code: '', reason: '', reactions: [], edited_us: 0, deleted_us: 0, files: [], version: 1, created_us: at, ...what
    };
    this.messages.set(message.id, message);
    if (message.kind === 'note') this.platform.note('message.noted', message.id, { message: { id: message.id, conversation_id: talk.id, author: message.author } });
    else if (inbound) {
      Object.assign(talk, { unread: talk.unread + 1, last_message_us: Math.max(at, talk.last_message_us), last_inbound_us: at, messages: talk.messages + 1, preview: message.text, waiting_since_us: talk.waiting_since_us || at, state: talk.state === 'resolved' ? talk.state : 'open' });
      this.platform.note('message.received', message.id, { message: { id: message.id, conversation_id: talk.id, contact_id: talk.contact_id, channel_id: talk.channel_id, direction: 'in', preview: message.text } });
      this.changed(talk);
    } else {
      Object.assign(talk, { waiting_since_us: 0, last_message_us: Math.max(at, talk.last_message_us), messages: talk.messages + 1, preview: message.text });
      this.platform.note(`message.${message.state}`, message.id, { message: { id: message.id, conversation_id: talk.id, state: message.state, direction: 'out', version: 1 } });
      this.changed(talk);
    }
    return message;
  }
  /** A customer writes: to the conversation, or by beginning one. */
  customerWrites(text, talk = null) {
    const where = talk ?? this.begin(Math.floor(this.platform.random() * 40));
    return this.say(where, { direction: 'in', text, sender: this.addressOf(where) });
  }
  /** The provider reports. */
  settle(message, state, more = {}) {
    Object.assign(message, { state, version: message.version + 1, [`${state}_us`]: US(), ...more });
    this.platform.note(`message.${state}`, message.id, { message: { id: message.id, conversation_id: message.conversation_id, state, direction: 'out', version: message.version } });
  }

  routes({ page, filtered, need, Refusal }) {
    const newest = (list, place) => list.sort((a, b) => b[place] - a[place] || (a.id < b.id ? 1 : -1));
    const talk = (id) => need(this.talks, id, 'conversation');
    const account = (id) => need(this.accounts, id, 'account');
    const inState = (one, states) => {
      if (!states.includes(one.state)) throw new Refusal(409, 'wrong_state', `the conversation is ${one.state}`);
    };
    const cursored = (list, query) => page(list, query);
    return [
      ['GET', '/v1/channel-types', (_, { query }) => page(KINDS.map((one) => ({ ...one, id: one.type })), query)],
      ['GET', '/v1/plugins', (_, { query }) => page(this.plugins.map((one) => ({ ...one, id: `${one.distribution}:${one.name}` })), query)],
      ['GET', '/v1/channel-types/:type/conformance', ([type]) => {
        this.looks += 1;
        if (!this.jobs.has(type)) throw new Refusal(404, 'never_checked', `${type} was never checked`);
        return this.jobs.get(type);
      }],
      ['POST', '/v1/channel-types/:type/conformance', ([type]) => {
        const job = this.jobs.get(type);
        return job && !job.ended_at ? job : this.beginCheck(type);
      }],
      ['GET', '/v1/channels', (_, { query }) => page(this.accounts, query)],
      ['POST', '/v1/channels', (_, { body }) => {
        if (!body.settings?.account) throw new Refusal(400, 'invalid_request', 'settings.account: is required', [{ pointer: '/settings/account', code: 'missing', detail: 'is required' }]);
        const { token: _secret, ...open } = body.settings;
        const made = { id: this.platform.id('chn'), type: body.type, name: body.name, state: 'active', reason: '', address: body.address ?? '', settings: open, limits: {}, inbound_url: 'https://irisx.example/v1/channels/new/inbound', version: 1, created_us: US(), updated_us: US() };
        this.accounts.unshift(made);
        this.platform.note('channel.created', made.id, { channel: made });
        return made;
      }],
      ['GET', '/v1/channels/:id', ([id]) => account(id)],
      ['PATCH', '/v1/channels/:id', ([id], { body }) => {
        const one = account(id);
        const { settings: given, ...rest } = body;
        if (given) delete given.token;
        Object.assign(one, rest, given ? { settings: given, ...(one.state === 'misconfigured' ? { state: 'active', reason: '' } : {}) } : {}, { version: one.version + 1 });
        this.platform.note('channel.updated', id, { channel: one });
        return one;
      }],
      ['DELETE', '/v1/channels/:id', ([id]) => {
        this.accounts = this.accounts.filter((one) => one.id !== id);
      }],
      ['GET', '/v1/channels/:id/backlog', ([id]) => ({ waiting: id === 'chn_02' ? 12 : 0, calling: id === 'chn_02' ? 2 : 0, oldest_due_us: id === 'chn_02' ? US() - 95e6 : 0 })],
      ['GET', '/v1/contacts/search', (_, { query }) => {
        const words = (query.get('q') ?? '').toLowerCase().split(/\s+/);
        return { data: this.contacts.filter((one) => words.every((word) => `${one.name} ${one.identities[0].value}`.toLowerCase().includes(word))), has_more: false, next_cursor: null };
      }],
      ['GET', '/v1/contacts/:id/timeline', ([id], { query }) => {
        const said = [...this.messages.values()].filter((one) => one.contact_id === id).map((message) => ({ type: 'message', at_us: message.order_us, message, id: message.id }));
        const number = this.contacts.find((one) => one.id === id)?.identities[0].value;
        const at = US() - 340e6;
        const called = id === 'ctc_00' ? [{ type: 'call', at_us: at, id: 'cdr_77', call: { id: 'cdr_77', call_id: 'call_77', kind: 'call', direction: 'inbound', caller: number, destination: '1001', started_us: at, answered_us: at + 4e6, ended_us: at + 200e6, hangup_cause: 'NORMAL_CLEARING', recordings: [{}] } }] : [];
        return page(newest([...said, ...called], 'at_us'), query);
      }],
      ['POST', '/v1/conversations/search', (_, { body }) => ({ data: [...this.messages.values()].filter((one) => one.text.toLowerCase().includes(body.text.toLowerCase())).map((one) => ({ message_id: one.id, conversation_id: one.conversation_id })), has_more: false, next_cursor: null })],
      ['POST', '/v1/conversations/bulk', (_, { body }) => {
        for (const id of body.ids) for (const action of body.actions) if (action.do === 'reply') this.say(talk(id), { direction: 'out', author: 'usr_01', text: 'Hello, it is on its way.', content: { type: 'template', name: action.template_id, values: ['Ben'] } });
        return { done: body.ids.length, results: body.ids.map((id) => ({ id, status: 'done', code: '', detail: '' })) };
      }],
      ['GET', '/v1/carriers', (_, { query }) => page(this.carriers, query)],
      ['POST', '/v1/carriers', (_, { body }) => {
        const made = { id: this.platform.id('car'), abilities: [], state: 'on', version: 1, created_us: US(), updated_us: US(), ...body };
        this.carriers.unshift(made);
        return made;
      }],
      ['GET', '/v1/carriers/:id/health', ([id]) => ({ carrier_id: id, day: '2026-11-23', tries: id === 'car_00' ? 1203 : 40, sent: 1170, delivered: 1101, undelivered: 20, refused: 9, failed: id === 'car_01' ? 9 : 2, throttled: 3, unknown: 1, success_share: id === 'car_02' ? null : id === 'car_00' ? 0.973 : 0.61, answer_s: 0.21, spend: '31.20', currency: 'EUR', breaker: id === 'car_01' ? 'open' : 'closed', open_until_us: id === 'car_01' ? US() + 40e6 : 0, fails: id === 'car_01' ? 5 : 0, reason: id === 'car_01' ? 'HTTP 503' : '' })],
      ['POST', '/v1/carriers/:id/disable', ([id]) => Object.assign(need(this.carriers, id, 'carrier'), { state: 'off' })],
      ['POST', '/v1/carriers/:id/enable', ([id]) => Object.assign(need(this.carriers, id, 'carrier'), { state: 'on' })],
      ['GET', '/v1/rate-decks', (_, { query }) => page(query.get('carrier_id[eq]') === 'car_00' ? [{ id: 'rdk_00', carrier_id: 'car_00', name: 'November.csv', currency: 'EUR', valid_from_us: 1, valid_to_us: 0, rates: 41_200, rejected: 3, actor: 'usr_01', created_us: US() }] : [], query)],
      ['POST', '/v1/routing/simulate', (_, { body }) => {
        if (!/^\+[1-9]\d{4,14}$/.test(body.to)) throw new Refusal(400, 'invalid_request', 'to: is no number with its country code', [{ pointer: '/to', code: 'invalid', detail: 'is no number with its country code' }]);
        const found = this.candidates();
        return { to: body.to, kind: body.kind, segments: body.text.length > 160 ? 2 : 1, currency: 'EUR', order: found.slice(0, 2), skipped: found.slice(2) };
      }],
      ['GET', '/v1/routing/decisions', (_, { query }) => page(filtered(this.decisions, query), query)],
      ['GET', '/v1/routing/decisions/:id', ([id]) => need(this.decisions, id, 'decision')],
      ['GET', '/v1/contacts', (_, { query }) => page(filtered(this.contacts, query), query)],
      ['GET', '/v1/conversations', (_, { query }) => {
        this.reads += 1;
        return cursored(newest(filtered([...this.talks.values()].filter((one) => !one.merged_into), query), 'last_message_us'), query);
      }],
      ['GET', '/v1/conversations/:id', ([id]) => talk(id)],
      ['PATCH', '/v1/conversations/:id', ([id], { body }) => this.changed(Object.assign(talk(id), body, body.state === 'open' ? { snoozed_until_us: 0 } : {}))],
      ['POST', '/v1/conversations/:id/assign', ([id], { body }) => {
        const one = talk(id);
        if (body.unless_assigned && one.assignee && one.assignee !== body.assignee) throw new Refusal(409, 'already_assigned', 'somebody else has it already');
        return this.changed(Object.assign(one, { assignee: body.assignee }), 'conversation.assigned', { actor: 'usr_01' });
      }],
      ['POST', '/v1/conversations/:id/resolve', ([id]) => {
        inState(talk(id), ['open', 'pending', 'snoozed']);
        return this.changed(Object.assign(talk(id), { state: 'resolved', resolved_us: US(), waiting_since_us: 0, snoozed_until_us: 0 }), 'conversation.resolved', { actor: 'usr_01' });
      }],
      ['POST', '/v1/conversations/:id/reopen', ([id]) => {
        inState(talk(id), ['resolved']);
        return this.changed(Object.assign(talk(id), { state: 'open', resolved_us: 0 }), 'conversation.reopened', { actor: 'usr_01' });
      }],
      ['POST', '/v1/conversations/:id/snooze', ([id], { body }) => {
        inState(talk(id), ['open', 'pending', 'snoozed']);
        return this.changed(Object.assign(talk(id), { state: 'snoozed', snoozed_until_us: body.until_us }), 'conversation.snoozed', { actor: 'usr_01' });
      }],
      ['POST', '/v1/conversations/:id/presence', ([id], { body }) => {
        this.signs.push(['here', talk(id).id, body.here]);
        return this.there(id);
      }],
      ['POST', '/v1/conversations/:id/typing', ([id], { body }) => {
        this.signs.push(['typing', talk(id).id, body.typing]);
        // (the first one who types has the claim)
        return { ...this.there(id), typing: this.typing.get(id) || (body.typing ? 'usr_01' : '') };
      }],
      ['POST', '/v1/conversations/:id/read', ([id]) => this.changed(Object.assign(talk(id), { unread: 0 }))],
      ['GET', '/v1/conversations/:id/messages', ([id], { query }) => {
        talk(id);
        return cursored(newest(filtered([...this.messages.values()].filter((one) => one.conversation_id === id), query), 'order_us'), query);
      }],
      ['POST', '/v1/conversations/:id/messages', ([id], { body, key }) => {
        if (!key) throw new Refusal(400, 'idempotency_key_missing', 'a message needs an Idempotency-Key');
        const one = talk(id);
        if (!body.text && !body.attachments?.length) throw new Refusal(400, 'invalid_request', 'text: write something');
        if (body.channel_id && !one.channel_id) this.changed(Object.assign(one, { channel_id: account(body.channel_id).id }));
        if (!one.channel_id && !body.note) throw new Refusal(409, 'no_way_back', 'nobody has written here yet: there is no way back');
        if (body.note) return this.say(one, { kind: 'note', direction: '', state: 'noted', author: 'usr_01', text: body.text });
        return this.say(one, { direction: 'out', author: 'usr_01', text: body.text, recipient: this.addressOf(one), send_at_us: body.send_at_us ?? 0, segments: 1, files: (body.attachments ?? []).map((id) => ({ id, name: 'package.json', media_type: 'application/json', size: 12, state: 'ready', reason: '' })) });
      }],
      ['POST', '/v1/messages/:id/cancel', ([id]) => {
        const one = need(this.messages, id, 'message');
        if (one.state !== 'queued') throw new Refusal(409, 'too_late', 'it has gone out, or is about to');
        this.settle(one, 'cancelled');
        return one;
      }],
      ['POST', '/v1/attachments', (_, { query }) => ({ id: this.platform.id('att'), message_id: '', channel_id: '', direction: 'out', name: query.get('name') ?? 'file', media_type: 'application/octet-stream', size: 12, sha256: '', state: 'ready', reason: '', download_only: false, created_us: US() })]
    ];
  }
}
