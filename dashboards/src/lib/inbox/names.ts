/** The name of the person of a conversation, from whatever is at hand. */
import { nameOfContact } from '$lib/contacts/names';
import { threads } from '$lib/live/threads.svelte';
import type { Conversation } from '$lib/api/types';

export const nameOfTalk = (talk: Conversation): string => nameOfContact(threads.contacts.rows.get(talk.contact_id)) || talk.subject || 'Somebody new';
