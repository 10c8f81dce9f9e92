// modesl (Node.js): every event by its wildcard listener.
const esl = require('modesl');

const [host, port, count] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const seen = { events: 0, names: 0, uuids: 0 };
let began;

const client = new esl.Connection(host, port, 'ClueCon', () => {
  began = process.cpuUsage();
  client.events('plain', 'all');
});

client.on('esl::event::**', (event) => {
  if (began === undefined) return;
  const name = event.getHeader('Event-Name');
  if (!name) return;
  seen.events += 1;
  seen.names += name.length;
  seen.uuids += (event.getHeader('Unique-ID') || '').length;
  if (seen.events === count) {
    const used = process.cpuUsage(began);
    console.log(JSON.stringify({ ...seen, cpu_s: (used.user + used.system) / 1e6 }));
    process.exit(0);
  }
});
