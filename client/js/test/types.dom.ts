// What a page has, to be checked and not run. What Node has too is in types.ts.

import { Client, KeyStorage, WebSocketClass } from 'webwire';

const storages: KeyStorage[] = [localStorage, sessionStorage];
const sockets: WebSocketClass[] = [WebSocket];
for (const storage of storages) new Client(new URL(location.href), { storage, WebSocket: sockets[0] });

const client = new Client('/api');
const listener: EventListenerOrEventListenerObject = { handleEvent: (event) => console.log(event.type) };
const options: AddEventListenerOptions = { once: true };
client.addEventListener('connected', listener, options);
client.removeEventListener('connected', listener, options);
client.addEventListener('connected', null);
