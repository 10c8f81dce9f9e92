// Runs the journeys in one browser and prints one line of JSON for each:
//   node tests/run.mjs chromium|firefox [words of the journey's name]
import { launch } from './browser.mjs';
import { serve } from './fake-api.mjs';
import { EVERYWHERE, JOURNEYS, Person } from './journeys.mjs';

const LIMIT_MS = 240_000;
const LEAVE_MS = 5_000;
const [browser = 'chromium', ...words] = process.argv.slice(2);
const wanted = words.join(' ');
const everything = browser === 'chromium' || Boolean(process.env.IRISX_ALL_JOURNEYS);
const machine = await launch(browser);
let failed = 0;
for (const [name, journey] of Object.entries(JOURNEYS)) {
  if (wanted ? !name.includes(wanted) : !everything && !EVERYWHERE.some((words) => name.startsWith(words))) continue;
  const began = Date.now();
  const fake = await serve({ rate: 0, calls: 60 });
  const page = await machine.page();
  const result = { name, browser, ok: true };
  let timer;
  try {
    const limit = new Promise((_, refuse) => {
      timer = setTimeout(() => refuse(new Error(`took longer than ${LIMIT_MS} ms`)), LIMIT_MS);
    });
    const figures = await Promise.race([journey({ person: new Person(page, fake), page, fake, browser }), limit]);
    if (figures) result.figures = figures;
    if (page.problems.length) throw new Error(`the page complained: ${[...new Set(page.problems)].join('; ')}`);
  } catch (error) {
    failed += 1;
    result.ok = false;
    result.error = String(error.stack ?? error).slice(0, 3000);
    result.page = page.url();
    result.problems = [...new Set(page.problems)];
    if (process.env.IRISX_SHOTS) await page.screenshot({ path: `${process.env.IRISX_SHOTS}/failed-${browser}-${failed}.png` }).catch(() => undefined);
  } finally {
    clearTimeout(timer);
    // A page that hangs does not even close.
    await Promise.race([page.leave().catch(() => undefined), new Promise((done) => setTimeout(done, LEAVE_MS).unref())]);
    await fake.close();
  }
  result.seconds = (Date.now() - began) / 1000;
  console.log(JSON.stringify(result));
}
await machine.close();
process.exitCode = failed ? 1 : 0;
