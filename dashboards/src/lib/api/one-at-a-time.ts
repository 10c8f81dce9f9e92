/**
 * Work that all tabs of this browser do one after the other.
 *
 * A refresh token works once. Two tabs that send the same one end the session, because the platform cannot tell a tab
 * from a thief. So whoever refreshes holds a lock of the browser (Web Locks) and writes a lease beside it. The lock is
 * exact but ends with its page, while the request of a page that was reloaded is still on its way: the lease outlives
 * the page by `LEASE_MS`. Over plain HTTP browsers have no locks (only secure contexts do) and the lease stands alone.
 */

const NAME = 'irisx.refresh';
/** After so long without a sign of life a holder is gone, and its request answered. */
const LEASE_MS = 2_000;
const SIGN_MS = 500;
/** Without locks: until what another tab wrote at the same moment is seen here. */
const SEEN_MS = 60;
/** Then it is done anyway: a lease that never ends must not lock anybody out. */
const PATIENCE_MS = 15_000;

const wait = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

function read(): { holder: string; until: number } {
  try {
    const [holder = '', until = '0'] = (localStorage.getItem(NAME) ?? '').split(' ');
    // A clock that was set back must not make a lease of hours.
    return { holder, until: Math.min(Number(until) || 0, Date.now() + LEASE_MS) };
  } catch {
    return { holder: '', until: 0 }; // no storage: then there is no lease
  }
}

function write(holder: string): void {
  try {
    if (holder) localStorage.setItem(NAME, `${holder} ${Date.now() + LEASE_MS}`);
    else localStorage.removeItem(NAME);
  } catch {
    return;
  }
}

async function leased<T>(exact: boolean, work: () => Promise<T>): Promise<T> {
  const me = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16)).join('');
  const end = Date.now() + PATIENCE_MS;
  while (Date.now() < end) {
    const { holder, until } = read();
    if (holder && until > Date.now()) {
      await wait(Math.min(until - Date.now(), SEEN_MS * (1 + Math.random())));
      continue;
    }
    write(me);
    if (exact) break;
    await wait(SEEN_MS);
    const { holder: now } = read();
    if (now === me || !now) break;
  }
  const signs = setInterval(() => write(me), SIGN_MS);
  try {
    return await work();
  } finally {
    clearInterval(signs);
    if (read().holder === me) write('');
  }
}

/** What `work` gives, done while no other tab of this browser does it. */
export function oneAtATime<T>(work: () => Promise<T>): Promise<T> {
  const locks = typeof navigator === 'undefined' ? undefined : (navigator as { locks?: LockManager }).locks;
  return locks ? (locks.request(NAME, () => leased(true, work)) as Promise<T>) : leased(false, work);
}
