/** The forms of the content pages: a chunk of its own, fetched after the lists. */
export { default as LabelEdit } from './LabelEdit.svelte';
export { default as MacroEdit } from './MacroEdit.svelte';
export { default as Previews } from './Previews.svelte';
export { default as ReplyEdit } from './ReplyEdit.svelte';
export { default as TemplateEdit } from './TemplateEdit.svelte';
