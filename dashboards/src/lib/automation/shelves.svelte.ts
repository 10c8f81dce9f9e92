/** What rules, macros and promises name: read once for the pages that show them. */
import type { Schemas } from '$lib/api/types';
import { channels } from '$lib/channels/store.svelte';
import { Shelf } from '$lib/content/shelf.svelte';
import { people } from '$lib/inbox/people.svelte';
import { session } from '$lib/session.svelte';

export class Shelves {
  templates = new Shelf<Schemas['TemplateInfo']>('/v1/templates');
  canned = new Shelf<Schemas['CannedReplyInfo']>('/v1/canned-replies');
  macros = new Shelf<Schemas['MacroInfo']>('/v1/macros');
  labels = new Shelf<Schemas['LabelInfo']>('/v1/labels');
  rules = new Shelf<Schemas['RuleInfo']>('/v1/rules', (one) => one.position);
  policies = new Shelf<Schemas['SlaPolicyInfo']>('/v1/sla-policies', (one) => one.position);
  schedules = new Shelf<Schemas['ScheduleInfo']>('/v1/schedules');

  /** What ids stand for. Lists that a person may not read stay empty: then ids stand for themselves. */
  async known(): Promise<void> {
    await Promise.all([
      people.read(), channels.read(),
      session.can('content:read') ? this.templates.read() : undefined,
      session.can('conversations:read') ? this.labels.read() : undefined,
      session.can('automation:read') ? this.schedules.read() : undefined
    ]);
  }
  name = (id: string): string => {
    if (id.startsWith('usr_')) return people.name(id);
    if (id.startsWith('chn_')) return channels.nameOf(id);
    const all = [...this.templates.items, ...this.schedules.items, ...this.rules.items, ...this.policies.items];
    return all.find((one) => one.id === id)?.name ?? '';
  };
}
