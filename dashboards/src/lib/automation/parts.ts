/** The forms of the automation pages and a rule's own page: a chunk of its own, fetched after the lists. */
export { default as Breaches } from './Breaches.svelte';
export { default as OneRule } from './OneRule.svelte';
export { default as PolicyEdit } from './PolicyEdit.svelte';
export { default as RuleEdit } from './RuleEdit.svelte';
export { default as ScheduleEdit } from './ScheduleEdit.svelte';
