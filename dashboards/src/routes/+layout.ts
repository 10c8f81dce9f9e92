// One page application: nothing is drawn on a server, the API serves the built files.
export const ssr = false;
export const prerender = false;
