// adapter-static, and afterwards every inline script of index.html moved into a hashed file: the API
// answers `script-src 'self'`, under which an inline script does not run, whatever hash a meta tag allows.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import adapter from '@sveltejs/adapter-static';

/** @param {string} html @param {(code: string) => string} keep */
export function externalise(html, keep) {
  return html.replace(/<script>([\s\S]*?)<\/script>/g, (_, code) => `<script src="${keep(code)}"></script>`);
}

/** @param {import('@sveltejs/adapter-static').AdapterOptions} options */
export default function (options = {}) {
  const inner = adapter(options);
  return {
    ...inner,
    name: 'static-without-inline-scripts',
    /** @param {import('@sveltejs/kit').Builder} builder */
    async adapt(builder) {
      await inner.adapt(builder);
      const root = options.pages ?? 'build';
      const page = join(root, options.fallback ?? 'index.html');
      const folder = '_app/immutable/boot';
      mkdirSync(join(root, folder), { recursive: true });
      const html = externalise(readFileSync(page, 'utf8'), (code) => {
        const name = `${folder}/${createHash('sha256').update(code).digest('hex').slice(0, 12)}.js`;
        writeFileSync(join(root, name), code);
        return `/${name}`;
      });
      writeFileSync(page, html);
      // .gz and .br beside each file: the API sends them as they are.
      await builder.compress(root);
    }
  };
}
