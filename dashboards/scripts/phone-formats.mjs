// Writes src/lib/words/phone-formats.json: how numbers of each calling code are grouped internationally.
// Taken from libphonenumber's metadata and nothing else of it, so that pages load 6 kB instead of 40.
import { readFileSync, writeFileSync } from 'node:fs';

const metadata = JSON.parse(readFileSync(new URL('../node_modules/libphonenumber-js/metadata.min.json', import.meta.url), 'utf8'));
// International writing separates by spaces only.
const spaced = (shape) => shape.replace(/[^$\d]+/g, ' ').trim();
const out = {};
for (const [code, regions] of Object.entries(metadata.country_calling_codes)) {
  const main = metadata.countries[regions[0]] ?? metadata.nonGeographic[code];
  // A region is an array: its formats are the fifth field; of each format we need
  // pattern, leading digits (the longest is the most exact) and the international form.
  const formats = (main?.[4] || [])
    .filter((format) => format[5] !== 'NA')
    .map((format) => [format[0], spaced(format[5] || format[1]), (format[2] || []).at(-1) ?? '']);
  out[code] = [regions[0], ...formats];
}
writeFileSync(new URL('../src/lib/words/phone-formats.json', import.meta.url), JSON.stringify(out));
console.log(Object.keys(out).length, 'calling codes');
