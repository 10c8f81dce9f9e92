/** Canned replies and macros of the tenant, for whoever answers: read when they are asked for first, and again after a while. */
import { everything } from '$lib/channels/store.svelte';
import type { Schemas } from '$lib/api/types';
import { session } from '$lib/session.svelte';

const FRESH_MS = 60_000;

class Shortcuts {
  replies = $state.raw<readonly Schemas['CannedReplyInfo'][]>([]);
  macros = $state.raw<readonly Schemas['MacroInfo'][]>([]);
  #tenant = '';
  #until = 0;

  async read(): Promise<void> {
    const tenant = session.tenant?.id ?? '';
    if (!session.can('content:read') || (tenant === this.#tenant && Date.now() < this.#until)) return;
    this.#tenant = tenant;
    this.#until = Date.now() + FRESH_MS;
    const [replies, macros] = await Promise.all([everything<Schemas['CannedReplyInfo']>('/v1/canned-replies').catch(() => null), everything<Schemas['MacroInfo']>('/v1/macros').catch(() => null)]);
    if (tenant !== this.#tenant) return;
    // (what could not be read is asked for again with the next look)
    if (replies) this.replies = replies;
    if (macros) this.macros = macros;
    if (!replies || !macros) this.#until = 0;
  }
}

export const shortcuts = new Shortcuts();
