/** Sends an order for a call, shows it as pending until it settled, and explains when it could not be done. */
import { send } from '$lib/api/client';
import { asProblem } from '$lib/api/problem';
import type { Call } from '$lib/api/types';
import { notices } from '$lib/notices.svelte';
import type { Asked } from './orders';

class Pending {
  /** `call id/order`. */
  set = $state.raw<ReadonlySet<string>>(new Set());
  has(call: string, order: string): boolean {
    return this.set.has(`${call}/${order}`);
  }
  put(key: string, on: boolean): void {
    const next = new Set(this.set);
    if (on) next.add(key);
    else next.delete(key);
    this.set = next;
  }
}

export const pending = new Pending();

/** True when it was done. What happened is shown by the call itself; `told` also says it. */
export async function carryOut(call: Call, order: string, asked: Asked, done: string, told = false): Promise<boolean> {
  const key = `${call.id}/${order}`;
  if (pending.set.has(key)) return false;
  pending.put(key, true);
  try {
    await send(asked.method, asked.path, asked.body === undefined ? {} : { body: asked.body });
    if (told) notices.say(done);
    else notices.announce(done);
    return true;
  } catch (error) {
    notices.problem(`${done}? No`, asProblem(error));
    return false;
  } finally {
    pending.put(key, false);
  }
}

/** Hangs up many calls, a few at a time; tells the progress and what was left. */
export async function hangUpAll(ids: readonly string[], progress: (done: number) => void): Promise<{ ended: number; failed: string[] }> {
  const AT_ONCE = 4;
  const queue = [...ids];
  const failed: string[] = [];
  let ended = 0;
  const worker = async (): Promise<void> => {
    for (let id = queue.shift(); id; id = queue.shift()) {
      try {
        await send('DELETE', `/v1/calls/${id}`);
        ended += 1;
      } catch (error) {
        // Gone already is what was wanted.
        if (asProblem(error).status === 404) ended += 1;
        else failed.push(`${id}: ${asProblem(error).detail || asProblem(error).title}`);
      }
      progress(ended + failed.length);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return { ended, failed };
}
