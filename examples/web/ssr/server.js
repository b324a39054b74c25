// Renders the page with the current number, which it asks the Go server for:
//
//   node ssr/server.js ws://localhost:8080/api 3000

import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { Client } from 'webwire';
import WebSocket from 'ws';
import { render } from '../dist/ssr/render.js';

const [api, port] = process.argv.slice(2);
const client = new Client(api, { WebSocket: globalThis.WebSocket ?? WebSocket, timeout: 5000 }); // one for all pages
const page = await readFile(new URL('page.html', import.meta.url), 'utf8');
const script = await readFile(new URL('../dist/ssr/main.js', import.meta.url));

const server = http.createServer(async (request, response) => {
  if (request.url === '/main.js') {
    response.setHeader('Content-Type', 'text/javascript').end(script);
  } else if (request.url === '/') {
    const count = await client.request('count').then((reply) => reply.json(), () => null); // null: the browser will know
    const state = JSON.stringify({ count });
    response.setHeader('Content-Type', 'text/html').end(page.replace('<!-- app -->', () => render(count)).replace('<!-- state -->', () => state));
  } else {
    response.writeHead(404).end();
  }
});
server.listen(Number(port), '127.0.0.1', () => console.log(`rendering at http://127.0.0.1:${server.address().port}/`));
