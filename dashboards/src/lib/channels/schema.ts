/** A form from the JSON schema of a channel's settings, and the settings from what was filled in. Pure. */
export interface Setting {
  name: string;
  label: string;
  help: string;
  kind: 'text' | 'secret' | 'number' | 'yes' | 'choice' | 'list';
  required: boolean;
  choices: readonly string[];
  initial: string;
  least: number | undefined;
  most: number | undefined;
  pattern: string;
}

interface Schema {
  type?: string;
  enum?: readonly unknown[];
  description?: string;
  default?: unknown;
  writeOnly?: boolean;
  minimum?: number;
  maximum?: number;
  pattern?: string;
  items?: Schema;
  anyOf?: readonly Schema[];
  properties?: Readonly<Record<string, Schema>>;
  required?: readonly string[];
}

/** `auth_token` as people read it. */
export function labelOf(name: string): string {
  const words = name.replaceAll('_', ' ').replace(/\b(url|id|sid|api|smtp|imap|tls|ton|npi)\b/gi, (one) => one.toUpperCase()).replace(/\bUrl\b/g, 'URL');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function settingsOf(raw: unknown): Setting[] {
  const schema = raw as Schema;
  const needed = new Set(schema.required ?? []);
  const found = Object.entries(schema.properties ?? {}).map(([name, whole]): Setting => {
    const one = whole.anyOf?.find((part) => part.type !== 'null') ?? whole;
    const kind = one.writeOnly || whole.writeOnly ? 'secret' : one.enum ? 'choice' : one.type === 'boolean' ? 'yes' : one.type === 'integer' || one.type === 'number' ? 'number' : one.type === 'array' ? 'list' : 'text';
    const initial = whole.default;
    return {
      name, kind, label: labelOf(name), help: whole.description ?? one.description ?? '', required: needed.has(name),
      choices: (one.enum ?? []).map(String), initial: Array.isArray(initial) ? initial.join(', ') : initial === undefined || initial === null ? '' : String(initial),
      least: one.minimum, most: one.maximum, pattern: one.pattern ?? ''
    };
  });
  // What has to be filled in comes first; what has a value that fits nearly everybody comes last.
  return [...found.filter((one) => one.required), ...found.filter((one) => !one.required)];
}

/** The settings as the API wants them: what is empty or as it is anyhow is left out. */
export function settingsFrom(fields: readonly Setting[], filled: Readonly<Record<string, string>>): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const one of fields) {
    const text = filled[one.name] ?? one.initial;
    if (one.kind === 'yes') {
      if (text !== one.initial) out[one.name] = text === 'true';
    } else if (text.trim() === '' || text === one.initial) continue;
    else if (one.kind === 'number') out[one.name] = Number(text);
    else if (one.kind === 'list') out[one.name] = text.split(/[,\n]/).map((part) => part.trim()).filter(Boolean);
    else out[one.name] = one.kind === 'secret' ? text : text.trim();
  }
  return out;
}

/** What is shown of settings that are stored already. */
export function filledFrom(fields: readonly Setting[], stored: Readonly<Record<string, unknown>>): Record<string, string> {
  const out: Record<string, string> = {};
  for (const one of fields) {
    const value = stored[one.name];
    out[one.name] = one.kind === 'secret' ? '' : value === undefined || value === null ? one.initial : Array.isArray(value) ? value.join(', ') : String(value);
  }
  return out;
}

/** What is missing or wrong, by the field's name; the server has the last word. */
export function wrongWith(fields: readonly Setting[], filled: Readonly<Record<string, string>>): Record<string, string> {
  const out: Record<string, string> = {};
  for (const one of fields) {
    const text = (filled[one.name] ?? one.initial).trim();
    if (one.required && !text) out[one.name] = 'Is needed';
    else if (one.kind === 'number' && text) {
      const n = Number(text);
      if (!Number.isFinite(n)) out[one.name] = 'Is no number';
      else if (one.least !== undefined && n < one.least) out[one.name] = `At least ${one.least}`;
      else if (one.most !== undefined && n > one.most) out[one.name] = `At most ${one.most}`;
    } else if (one.pattern && text && !new RegExp(one.pattern).test(text)) out[one.name] = 'Does not look right';
  }
  return out;
}
