/** What somebody typed as something that can be called: digits with their country code, or an extension; else empty. */
export function dialled(text: string): string {
  const plain = text.trim();
  if (!/^\+?[\d\s().\-/]+$/.test(plain)) return '';
  const digits = plain.replace(/[^\d+]/g, '').replace(/^00/, '+');
  return /^\+?\d{2,15}$/.test(digits) ? digits : '';
}
