// A typed user of the package, in a page or in Node, to be checked and not run.

import {
  Client, ClientEvents, ClientOptions, CloseError, ClosedError, DisconnectedError, ErrorReply, FailureError, KeyStorage, MalformedError, Payload, ReplyLostError, Session,
  Status, TimeoutError, VersionError, WebWireError, WebSocketClass,
} from 'webwire';

interface Message {
  from: string;
  text: string;
}

declare const NodeWebSocket: WebSocketClass;
declare const storage: KeyStorage;

const options: ClientOptions = {
  timeout: 5_000,
  versions: ['2.0'],
  negotiate: 'token',
  storage,
  onsignal({ name, payload }) {
    const message: Message = payload.json<Message>();
    console.log(name, message.text, this.status);
  },
  ondisconnected: ({ reason }) => console.log(reason instanceof CloseError && reason.code),
};

const client = new Client(new URL('wss://example.com/api'), options);
new Client('/api', { WebSocket: NodeWebSocket, storage: null });
const unset: undefined = undefined;
new Client('/api', { timeout: unset, versions: unset, storage: unset, onsignal: unset });

client.addEventListener('statuschange', (event) => {
  const status: Status = event.status;
  console.log(status);
});
client.addEventListener('sessioncreated', ({ session }) => session.key.length, { once: true });
client.addEventListener('connected', (event) => event.waitUntil(client.request('login')));
client.addEventListener('connecterror', ({ error }) => console.log(error.message));
client.addEventListener('sessionerror', ({ error }) => console.log(error.name));
client.addEventListener('resumed', (event: Event) => console.log(event.type));
client.addEventListener('gap', ({ missed = 0, unacknowledged }) => console.log(missed + unacknowledged));
client.addEventListener('sessionrestored', ({ session }) => session.key.length);
client.addEventListener('sessionupdated', ({ session }) => session.info);
client.disconnect();
new Client('/api', { debug: true, onconnecterror: ({ error }) => console.log(error), onsessionrestored: () => {} });
new Client('/api', { debug: (...what: unknown[]) => console.log(...what) });
client.addEventListener('connectfailed', ({ error }) => error instanceof VersionError && error.server.join());
const listener = (event: ClientEvents['signal']) => event.payload.text();
client.addEventListener('signal', listener);
client.removeEventListener('signal', listener);
const any = { handleEvent: (event: Event) => console.log(event.type) };
client.addEventListener('connected', any, { once: true, signal: new AbortController().signal });
client.removeEventListener('connected', any, { capture: true });
const target: EventTarget = client;
target.dispatchEvent(new Event('connected'));

new Client('/api', { credentials: async () => 'token', versions: ['3.0'] });
new Client('/api', { credentials: () => new Uint8Array(3), onhandlererror: ({ name, error }) => console.log(name, error) });
client.handle('ask', async (payload, { name, meta, signal, trace }) => {
  signal.throwIfAborted();
  await client.request('traced', payload, { trace });
  client.signal('traced', payload, { trace: { traceparent: trace.traceparent } });
  return { name, text: payload.text(), meta: Object.fromEntries(meta) };
});
client.handle('nothing', () => {});
client.signal('news', 'text', { meta: { key: 'value' } });

async function tail(signal: AbortSignal): Promise<void> {
  for await (const item of client.stream('tail', 'app', { signal, meta: [['key', 'value']] })) console.log(item.text());
  const kept: string | null = null;
  for await (const m of client.subscribe('room.42', {
    since: kept, signal, timeout: 1000,
    onGap: (gap) => console.log(gap.lost + 1, gap.position?.length),
    presence: ({ op, id, info }) => console.log(op === 'enter', id.length, info?.name),
  })) {
    const position: string | undefined = m.position;
    console.log(position, m.name, m.payload.text());
    client.subscribe('room.42', { since: position });
  }
  client.subscribe('room.42', { since: 0 });
  // @ts-expect-error a position is a string
  client.subscribe('room.42', { since: 5 });
  await client.request('n', 'x', { meta: new Map([['key', 'value']]) }).catch((error: unknown) => {
    if (error instanceof FailureError && error.executed === 'no') console.log(error.code);
  });
}
void tail;

async function use(signal: AbortSignal): Promise<string> {
  const reply: Payload = await client.request('echo', { any: ['JSON'] }, { signal, timeout: Infinity });
  await client.request('bytes', new Uint8Array(3));
  await client.request('buffer', new ArrayBuffer(3));
  await client.request('utf16', Payload.utf16('text'));
  await client.request('nothing');
  client.signal('typing', true);
  const session: Session | null = client.session;
  if (!session) await client.restoreSession('key', { signal });
  await client.closeSession({ signal: unset, timeout: unset });
  const bytes: Uint8Array = reply.bytes;
  return reply.encoding === 'binary' ? String(bytes.length) : reply.text();
}

use(new AbortController().signal).catch((error: unknown) => {
  if (error instanceof ErrorReply) console.log(error.code, error.message);
  else if (error instanceof DisconnectedError) console.log(error.sent, error.cause);
  else if (error instanceof TimeoutError) console.log(error.sent, error.after);
  else if (error instanceof ReplyLostError) console.log(error.executed);
  else if (error instanceof WebWireError) console.log(error.name);
});

const cause = new Error('cause');
for (const error of [new WebWireError('message', cause), new MalformedError('message', cause), new ClosedError()]) console.log(error.name);
// @ts-expect-error: the cause is the second argument
new WebWireError('message', { cause });
// @ts-expect-error: the message is that of the class
new ClosedError('message');
// @ts-expect-error: a name of the declarations alone
type Internal = import('webwire').AddOptions;
// @ts-expect-error: there is no such event
const unknown: keyof ClientEvents = 'message';
// @ts-expect-error: no such version
new Client('/api', { versions: ['1.3'] });
// @ts-expect-error: a symbol is no payload
client.request('n', Symbol('x'));
// @ts-expect-error: status is not to be set
client.status = 'closed';
console.log(unknown);
