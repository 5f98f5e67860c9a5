import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';
import { defaultClientConditions } from 'vite';

// A node serves the page at its own origin; `ORIGO_NODE` is the node the development server passes requests on to.
const node = process.env['ORIGO_NODE'] ?? 'http://127.0.0.1:7880';

export default defineConfig({
  base: './',
  plugins: [react()],
  // The SDK is built from its source, so that a page is never built against an old copy of it.
  resolve: { conditions: ['origo-source', ...defaultClientConditions] },
  build: { target: 'es2022', assetsInlineLimit: 0, chunkSizeWarningLimit: 900 },
  server: { proxy: { '/v1': node } },
});
