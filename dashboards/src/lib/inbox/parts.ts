/** What shows one conversation: a chunk of its own, fetched after the list. */
export { default as ContactPane } from './ContactPane.svelte';
export { default as Talk } from './Talk.svelte';
