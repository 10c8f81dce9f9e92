/** My open reservations, as the platform has them: the conversations in hand, and what of me is taken. */
import { get, type ListPage } from '$lib/api/client';
import { live } from '$lib/live/store.svelte';
import type { Raw } from '$lib/phone/protocol';
import { me } from './me.svelte';

export interface Reservation {
  readonly id: string;
  readonly agent_id: string;
  readonly kind: string;
  readonly class: string;
  readonly state: string;
  readonly reason: string;
  readonly queue_id: string;
  readonly queue_name: string;
  readonly call_id: string;
  readonly conversation_id: string;
  readonly caller: string;
  readonly caller_name: string;
  readonly offered_us: number;
  readonly connected_us: number;
  readonly ended_us: number;
  readonly done_us: number;
  readonly waited_s: number;
  readonly disposition: string;
  readonly notes: string;
  readonly awaits_us: boolean;
  readonly quiet_since_us: number;
}

/** The log brings several entries for one change. */
const QUIET_MS = 700;

export function reservationOf(raw: Raw): Reservation {
  return { id: '', agent_id: '', kind: 'call', class: 'call', state: 'offered', reason: '', queue_id: '', queue_name: '', call_id: '', conversation_id: '', caller: '', caller_name: '', offered_us: 0, connected_us: 0, ended_us: 0, done_us: 0, waited_s: 0, disposition: '', notes: '', awaits_us: true, quiet_since_us: 0, ...raw };
}

class Work {
  open = $state.raw<readonly Reservation[]>([]);
  loaded = $state(false);
  conversations = $derived(this.open.filter((one) => one.kind === 'conversation' && (one.state === 'connected' || one.state === 'accepted')));
  #timer: ReturnType<typeof setTimeout> | null = null;

  async read(): Promise<void> {
    const agent = me.agent?.id;
    if (!agent) return;
    try {
      const page = await get<ListPage<Raw>>('/v1/reservations', { query: { 'agent_id[eq]': agent, 'state[in]': 'offered,accepted,connected,wrap_up', limit: 100 } });
      this.open = page.data.map(reservationOf);
      this.loaded = true;
    } catch {
      return; // the signaling connection tells what rings and what goes on; this is what stands beside it
    }
  }

  follow(): () => void {
    void this.read();
    let heardTo = live.state.seq;
    return $effect.root(() => {
      $effect(() => {
        const { tail, seq } = live.state;
        const mine = tail.some((event) => event.seq > heardTo && event.type.startsWith('reservation.'));
        heardTo = Math.max(heardTo, seq);
        if (!mine) return;
        this.#timer ??= setTimeout(() => {
          this.#timer = null;
          void this.read();
        }, QUIET_MS);
      });
    });
  }
}

export const work = new Work();
