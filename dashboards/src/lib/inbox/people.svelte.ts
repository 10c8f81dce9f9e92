/** Colleagues by their id, for those who may see them; without the right, one knows only oneself. */
import { everything } from '$lib/channels/store.svelte';
import type { Schemas } from '$lib/api/types';
import { session } from '$lib/session.svelte';

type User = Schemas['User'];

class People {
  all = $state.raw<readonly User[]>([]);
  #tenant = '';
  async read(): Promise<void> {
    const tenant = session.tenant?.id ?? '';
    if (!session.can('users:read') || tenant === this.#tenant) return;
    this.#tenant = tenant;
    this.all = await everything<User>('/v1/users').catch(() => {
      this.#tenant = '';
      return [];
    });
  }
  active = $derived(this.all.filter((one) => one.state === 'active'));
  name(id: string): string {
    if (!id) return 'Nobody';
    if (id === session.person?.id) return session.person.name || session.person.email || 'You';
    const found = this.all.find((one) => one.id === id);
    return found ? found.name || found.email : 'A colleague';
  }
}

export const people = new People();
