/** System, light or dark; remembered in this browser. `app.html` applies it before the first paint. */
export type Theme = 'system' | 'light' | 'dark';

const KEY = 'irisx.theme';

function stored(): Theme {
  try {
    const got = localStorage.getItem(KEY);
    return got === 'light' || got === 'dark' ? got : 'system';
  } catch {
    return 'system'; // storage is blocked: the choice lasts as long as the page
  }
}

class Themes {
  chosen = $state<Theme>(stored());
  choose(theme: Theme): void {
    this.chosen = theme;
    if (theme === 'system') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = theme;
    remember(KEY, theme === 'system' ? null : theme);
  }
}

/** Keeps a small preference in this browser, where it may. */
export function remember(key: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    document.documentElement.dataset['storage'] = 'none'; // blocked: nothing is kept
  }
}

export function recall(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export const themes = new Themes();
