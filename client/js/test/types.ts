// A typed user of the package, to be checked and not run.

import {
  Client, ClientEvents, ClientOptions, CloseError, DisconnectedError, ErrorReply, Payload, Session, Status, TimeoutError, VersionError,
  WebWireError, WebSocketClass,
} from 'webwire';

interface Message {
  from: string;
  text: string;
}

declare const NodeWebSocket: WebSocketClass;

const options: ClientOptions = {
  timeout: 5_000,
  versions: ['2.0'],
  negotiate: 'token',
  storage: sessionStorage,
  onsignal({ name, payload }) {
    const message: Message = payload.json<Message>();
    console.log(name, message.text, this.status);
  },
  ondisconnected: ({ reason }) => console.log(reason instanceof CloseError && reason.code),
};

const client = new Client(new URL('wss://example.com/api'), options);
new Client('/api', { WebSocket });
new Client('/api', { WebSocket: NodeWebSocket, storage: null });

client.addEventListener('statuschange', (event) => {
  const status: Status = event.status;
  console.log(status);
});
client.addEventListener('sessioncreated', ({ session }) => session.key.length, { once: true });
client.addEventListener('connectfailed', ({ error }) => error instanceof VersionError && error.server.join());
const listener = (event: ClientEvents['signal']) => event.payload.text();
client.addEventListener('signal', listener);
client.removeEventListener('signal', listener);

async function use(signal: AbortSignal): Promise<string> {
  const reply: Payload = await client.request('echo', { any: ['JSON'] }, { signal, timeout: Infinity });
  await client.request('bytes', new Uint8Array(3));
  await client.request('buffer', new ArrayBuffer(3));
  await client.request('utf16', Payload.utf16('text'));
  await client.request('nothing');
  client.signal('typing', true);
  const session: Session | null = client.session;
  if (!session) await client.restoreSession('key', { signal });
  await client.closeSession();
  const bytes: Uint8Array = reply.bytes;
  return reply.encoding === 'binary' ? String(bytes.length) : reply.text();
}

use(new AbortController().signal).catch((error: unknown) => {
  if (error instanceof ErrorReply) console.log(error.code, error.message);
  else if (error instanceof DisconnectedError) console.log(error.sent, error.cause);
  else if (error instanceof TimeoutError) console.log(error.after);
  else if (error instanceof WebWireError) console.log(error.name);
});

// @ts-expect-error: there is no such event
const unknown: keyof ClientEvents = 'message';
// @ts-expect-error: no such version
new Client('/api', { versions: ['1.3'] });
// @ts-expect-error: a symbol is no payload
client.request('n', Symbol('x'));
// @ts-expect-error: status is not to be set
client.status = 'closed';
console.log(unknown);
