/** What to call somebody who wrote: their name, else the address that they wrote from. */
import type { Message } from '$lib/api/types';
import { phone } from '$lib/words/phone';

export interface Named {
  name?: string;
  identities?: readonly { kind: string; value: string; name?: string }[];
}

export const addressWords = (kind: string, value: string): string => (kind === 'phone' ? phone(value).text : value);

export function nameOfContact(contact: Named | undefined): string {
  if (!contact) return '';
  if (contact.name) return contact.name;
  const known = contact.identities?.find((one) => one.name) ?? contact.identities?.[0];
  return known ? known.name || addressWords(known.kind, known.value) : '';
}

/** From the messages of a timeline, where the person's card is not at hand. */
export function nameOfSender(messages: readonly Message[]): string {
  for (let n = messages.length - 1; n >= 0; n--) {
    const one = messages[n] as Message;
    const address = (one.direction === 'in' ? one.sender : one.direction === 'out' ? one.recipient : null) as { kind?: string; value?: string; name?: string } | null;
    if (address?.name) return address.name;
    if (address?.value) return addressWords(address.kind ?? '', address.value);
  }
  return '';
}
