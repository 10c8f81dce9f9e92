/** What went wrong with a request, in words a person can act on. */

export interface FieldProblem {
  /** The field's name, from its JSON pointer or query parameter. */
  field: string;
  detail: string;
}

interface Document {
  title?: string;
  detail?: string;
  status?: number;
  code?: string;
  request_id?: string;
  retryable?: boolean;
  /** `GET /v1/health/ready` says why it is not. */
  reasons?: string[];
  errors?: { pointer?: string; parameter?: string; detail: string }[];
}

const HELP: Readonly<Record<number, string>> = {
  0: 'The server could not be reached. Check the connection and try again.',
  401: 'Your session has ended. Sign in again.',
  403: 'You lack the right for this. Somebody with the right to change users can give it.',
  404: 'It is gone, or belongs to another tenant.',
  409: 'Its state changed in the meantime. Look again and decide anew.',
  412: 'Somebody else changed it in the meantime. Look again and decide anew.',
  429: 'Too many requests at once. Wait a moment.',
  500: 'This is our fault. Tell us the request id.',
  502: 'The switch failed to do it.',
  503: 'Nobody is there to do it now; nothing was done. Try again in a moment.',
  504: 'No answer came in time: whether it was done is not known. Look before you repeat it.'
};

export class Problem extends Error {
  readonly help: string;
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly code: string,
    readonly requestId: string,
    readonly retryable: boolean,
    readonly fields: readonly FieldProblem[],
    /** Seconds the server asked us to wait. */
    readonly retryAfter = 0
  ) {
    super(detail || title);
    this.help = HELP[status] ?? (status >= 500 ? (HELP[500] as string) : '');
  }

  /** For a form: what is wrong with the field of this name. */
  of(field: string): string {
    return this.fields.find((entry) => entry.field === field)?.detail ?? '';
  }
}

export async function problemOf(response: Response): Promise<Problem> {
  let document: Document = {};
  if (response.headers.get('content-type')?.includes('json')) {
    document = (await response.json().catch(() => ({}))) as Document;
  }
  const fields = (document.errors ?? []).map(({ pointer, parameter, detail }) => ({
    field: parameter ?? (pointer ?? '').replace(/^#?\//, '').replaceAll('/', '.'),
    detail
  }));
  return new Problem(
    response.status,
    document.title ?? response.statusText ?? 'It did not work',
    document.detail ?? document.reasons?.join(' ') ?? '',
    document.code ?? '',
    document.request_id ?? response.headers.get('request-id') ?? '',
    document.retryable ?? false,
    fields,
    Number(response.headers.get('retry-after') ?? 0) || 0
  );
}

/** Any thrown thing as a `Problem`, so that pages show one kind of error. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof DOMException && error.name === 'AbortError') return new Problem(0, 'Stopped', '', 'aborted', '', true, []);
  if (error instanceof TypeError) return new Problem(0, 'No connection', 'The server could not be reached.', 'unreachable', '', true, []);
  return new Problem(500, 'Something went wrong on this page', error instanceof Error ? error.message : String(error), 'page', '', false, []);
}
