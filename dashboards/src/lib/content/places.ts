/** Places for values in a text: `{{contact.name|there}}`. The rules are those of `core/model/rendering.py`. Pure. */
const PLACE = /\{\{\s*([A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+){0,5})\s*(?:\|([^{}]*))?\}\}/g;
const BRACES = /\{\{[^{}]*\}\}/g;

/** Those that are offered. */
export const PLACES = [
  ['contact.first_name|there', 'First name'], ['contact.name|there', 'Name'], ['contact.company', 'Company'], ['agent.name', 'Who answers'], ['conversation.subject', 'Subject'], ['channel.name', 'Channel']
] as const;

/** The paths that a text asks for, each once, and what stands in braces without being a place. */
export function placesOf(text: string): { paths: string[]; wrong: string[] } {
  const paths = [...new Set([...text.matchAll(PLACE)].map((one) => one[1] as string))];
  const wrong = (text.match(BRACES) ?? []).filter((one) => !new RegExp(`^${PLACE.source}$`).test(one));
  return { paths, wrong };
}

/** Values for a look at a template before it meets a real person: every path has one. */
export function example(paths: readonly string[]): Record<string, unknown> {
  const known: Record<string, string> = { 'contact.first_name': 'Maria', 'contact.last_name': 'Lopez', 'contact.name': 'Maria Lopez', 'contact.company': 'Lopez Lamps', 'agent.name': 'Sam', 'conversation.subject': 'Your order', 'channel.name': 'Support' };
  const values: Record<string, unknown> = {};
  for (const path of paths) {
    const names = path.split('.');
    let here = values;
    for (const name of names.slice(0, -1)) here = (here[name] ??= {}) as Record<string, unknown>;
    here[names.at(-1) as string] = known[path] ?? `[${names.at(-1)}]`;
  }
  return values;
}
