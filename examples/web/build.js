// Builds the apps into dist.

import { fileURLToPath } from 'node:url';
import vue from '@vitejs/plugin-vue';
import { build } from 'vite';

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const app = (name, more = {}) => build({
  root: at(name), base: './', configFile: false, logLevel: 'warn', ...more, build: { outDir: at(`dist/${name}`), emptyOutDir: true, ...more.build },
});
const single = (entry) => ({ rolldownOptions: { input: at(entry), output: { entryFileNames: '[name].js' } } });

await app('react');
await app('vue', { plugins: [vue()] });
await app('ssr', { build: single('ssr/main.jsx') });
await app('ssr', { ssr: { noExternal: true }, build: { ssr: true, ...single('ssr/render.jsx'), emptyOutDir: false } });
