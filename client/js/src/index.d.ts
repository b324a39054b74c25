/**
 * The JavaScript client of WebWire: requests and replies, signals both ways, a
 * session that survives the connection and the page, and a connection that one can
 * forget about.
 *
 * ```js
 * import { Client } from 'webwire';
 *
 * const client = new Client('wss://example.com/api');
 * client.addEventListener('signal', (event) => show(event.name, event.payload.text()));
 * const reply = await client.request('echo', 'hello');
 * console.log(reply.text());
 * ```
 *
 * The client connects when it is first used, notices when the connection is lost,
 * connects again and restores its session. It speaks the protocols 3.0, 2.0 and 1.2.
 *
 * @packageDocumentation
 */

export {}; // only what says so

/**
 * One end of a connection that is made when it is needed and made again when it is
 * lost.
 *
 * Tabs of one page share the session through `localStorage`: a tab restores on each
 * connection the session that was created last, by whichever tab. A tab that is
 * connected keeps what it has until then. When a session is closed the server tells
 * all tabs that have it.
 */
export class Client extends EventTarget {
  /**
   * A client of the endpoint at `url`: `wss:` or `https:`, `ws:` or `http:`; in pages
   * it may be relative to the base URL of the document. Nothing happens until the
   * client is used, so one can be made where there is no page and no `WebSocket`, on a
   * server that renders pages for instance; using it fails there.
   */
  constructor(url: string | URL, options?: ClientOptions);

  readonly status: Status;

  /**
   * The session that the server created or restored; without a connection the one
   * that is going to be restored. `null` if there is none.
   */
  readonly session: Session | null;

  /**
   * Connects, and resolves once the client is connected, and its session restored if
   * it has one. It tries again and again; with `autoconnect: false` once. There is no
   * need to call it otherwise, unless the client gave up (see `connectfailed`). It
   * does not wait for the promises that listeners pass to `waitUntil`.
   */
  connect(options?: CallOptions): Promise<void>;

  /**
   * Sends a request and resolves to the reply. Waits for a connection if need be;
   * requests that waited are sent after the listeners of `connected` have run.
   *
   * A request made while the client has a session is executed under that session or not
   * at all: it waits until the session is restored, and rejects with a
   * {@link DisconnectedError} whose `sent` is false if the session is closed or replaced
   * meanwhile. A request made without a session may be executed under any.
   *
   * A request has one outcome, and is never executed twice. A server of 3.0 keeps the
   * connection while its socket is lost: the client goes on with it, and the reply still
   * comes. If a server refuses a request because it shuts down the client sends it to the
   * next one. It rejects with
   *
   * - an {@link ErrorReply} or {@link InternalError} if the server answered so, or a
   *   {@link ShutdownError} with `autoconnect: false`, or of a stream that has had items;
   * - a {@link DisconnectedError} if the connection was lost: its `sent` says whether
   *   the server may have executed the request;
   * - a {@link ReplyLostError} if it was executed, and the reply is gone;
   * - a {@link TimeoutError}, whose `sent` says the same, or the reason of `signal` if that was
   *   aborted: the server may have executed the request. In 3.0 it is told, and so are the handler's
   *   deadline and the end of it; a request that was not sent yet is never sent;
   * - a {@link FailureError} for other reasons of 3.0 why there is no reply;
   * - a {@link ClosedError} after `close()`;
   * - a {@link QueueFullError} if too much waits to be sent;
   * - a `TypeError` if the name is not a string or the payload cannot be sent;
   * - a {@link MalformedError} or {@link TooLongError} if the protocol or the server
   *   does not allow such a message. 1.2 wants a payload of at least one byte.
   *
   * @param name up to 255 characters of printable ASCII
   */
  request(name: string, payload?: Data, options?: RequestOptions): Promise<Payload>;

  /**
   * Sends a request whose reply is streamed, when the iteration begins:
   *
   * ```js
   * for await (const item of client.stream('log.tail', 'app')) show(item.text());
   * ```
   *
   * Leaving the loop cancels the request. The server sends as fast as the loop takes the
   * items, with 64 KiB at most on their way. The iteration throws as `request` rejects,
   * after the items that came before, and a {@link FailureError} with the code 9 if the server
   * speaks no 3.0. `timeout` limits the whole iteration; default: no limit.
   */
  stream(name: string, payload?: Data, options?: RequestOptions): AsyncGenerator<Payload, void, undefined>;

  /**
   * Subscribes to a topic (3.0), when the iteration begins, and yields its messages in the
   * order of the topic, each once:
   *
   * ```js
   * for await (const { name, payload, position } of client.subscribe('room.42')) {
   *   show(name, payload.text());
   *   sessionStorage.setItem('room.42', position);
   * }
   * ```
   *
   * Leaving the loop unsubscribes. The subscription outlives connections: on each new one the
   * client subscribes again by itself, after the last message it has. What is lost is a
   * {@link GapError}: the loop throws it, unless there is `onGap`.
   *
   * What arrives waits for the loop: at most 256 messages, or a quarter of `maxQueue`. Then the
   * client unsubscribes, so that a slow loop does not hold up the connection, and subscribes
   * again when the loop has taken them. With a history nothing is lost by that.
   *
   * The iteration throws what refuses the subscription, an {@link ErrorReply} for instance, now
   * or on a later connection; a {@link FailureError} with the code 9 if the server speaks no 3.0 or
   * the topic does not have what is asked for; a {@link MalformedError} if the server answers with what
   * is no position; a {@link DisconnectedError} when the client gives up
   * connecting, after `disconnect()`, and with `autoconnect: false` when the connection is lost; a
   * {@link ClosedError} after `close()`; the reason of `signal`. `subscribe` itself throws a
   * `TypeError` if `since` is no position, and a {@link MalformedError} if the name of the topic
   * does not have 1 to 255 bytes.
   */
  subscribe(topic: string, options?: SubscribeOptions): AsyncGenerator<Message, void, undefined>;

  /**
   * Lets a function answer the requests of the server (3.0) with that name, instead of the one
   * before if there was one. What it returns, or its promise, is the reply. If it throws an
   * {@link ErrorReply} of its own the server gets that; after any other error, which is dispatched
   * as `handlererror`, the server gets only that the handler failed. So it does after an `ErrorReply`
   * that is the answer to a request of the handler: make a new one of it to pass it on.
   *
   * Up to 16 requests are handled at the same time, independently of events: a handler may send
   * requests itself. Requests with names that have no handler are refused.
   */
  handle(name: string, handler: (payload: Payload, request: ServerRequest) => Data | void | Promise<Data | void>): void;

  /**
   * Sends a signal. It does not wait: without a connection it throws a
   * {@link DisconnectedError}, and begins to connect. Otherwise it throws as `request`
   * rejects. If it returns the signal will be sent unless the connection is lost. While the
   * status is `resuming` it is sent later; if that does not come to pass, `gap` tells.
   */
  signal(name: string, payload?: Data, options?: { meta?: Metadata | undefined; trace?: Trace | undefined }): void;

  /**
   * Makes the session of `key` that of the client, which then keeps it as one that
   * the server created. Rejects with a {@link SessionNotFoundError},
   * {@link SessionFullError}, {@link SessionsDisabledError}, an {@link ErrorReply} with
   * the code `SESSION_ACTIVE` if the client has another session, an
   * {@link InternalError} if the server could not tell, or as `request`.
   *
   * @param key by default the one that is kept, which the client tries to restore by
   * itself (see `sessionerror`)
   */
  restoreSession(key?: string, options?: CallOptions): Promise<void>;

  /**
   * Closes the client's session, for all who have it. Without a connection, or on one on which
   * the session cannot be restored for the moment, it only makes the client forget the session,
   * which stays on the server until it expires.
   */
  closeSession(options?: CallOptions): Promise<void>;

  /**
   * Ends the connection, or the making of one. What `signal` took is still sent if it can be
   * written at once; otherwise `gap` has the number. Requests and `connect()` reject
   * with a {@link DisconnectedError}. The session is not closed. The client can be used
   * again, and connects when it is. It does nothing if the client is not connected, nor
   * about to be.
   */
  disconnect(): void;

  /**
   * Ends the client for good. What `signal` took is still sent if it can be written at
   * once; otherwise `gap` has the number. Requests reject with a {@link ClosedError}. The
   * session is not closed, and its key is kept.
   */
  close(): void;

  addEventListener<T extends keyof ClientEvents>(
    type: T,
    listener: ((this: Client, event: ClientEvents[T]) => void) | null,
    options?: AddOptions,
  ): void;
  addEventListener(
    type: string,
    listener: Listener,
    options?: AddOptions,
  ): void;
  removeEventListener<T extends keyof ClientEvents>(
    type: T,
    listener: ((this: Client, event: ClientEvents[T]) => void) | null,
    options?: RemoveOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: Listener,
    options?: RemoveOptions,
  ): void;
}

// By way of EventTarget, which the DOM and Node both have: Node lacks the names.
type Listener = Parameters<EventTarget['addEventListener']>[1];
type AddOptions = Parameters<EventTarget['addEventListener']>[2];
type RemoveOptions = Parameters<EventTarget['removeEventListener']>[2];

/**
 * - `disconnected`: not connected, and not about to be
 * - `connecting`: connecting, or waiting to try again
 * - `connected`
 * - `resuming`: the socket is lost, and the client connects again to go on with the
 *   connection (3.0): `resumed` or `disconnected` follows
 * - `closed`: for good
 */
export type Status = 'disconnected' | 'connecting' | 'connected' | 'resuming' | 'closed';

/** Versions of the protocol that the client speaks. */
export type Version = '3.0' | '2.0' | '1.2';

/** The listeners of each event can also be given as options, as `onsignal` for instance. */
export interface ClientEvents {
  /** A signal of the server. */
  signal: Event & {
    readonly name: string;
    readonly payload: Payload;
    /** Metadata of the server's application (3.0). Keys may repeat. */
    readonly meta: [key: string, value: string][];
    /** The trace that the signal belongs to (3.0). */
    readonly trace: Trace;
  };
  /** A handler of requests of the server failed with `error`, which the server was not told. */
  handlererror: Event & { readonly name: string; readonly error: unknown };
  /**
   * The server created a session for the client. Not dispatched after a restore, nor
   * for a session that the server created by itself while the kept one was restored: it
   * counts only if the kept one is gone.
   */
  sessioncreated: Event & { readonly session: Session };
  /**
   * The server changed the session that the client has, its `info` for instance.
   * `session` is the new state; the key is the same.
   */
  sessionupdated: Event & { readonly session: Session };
  /**
   * The server cannot restore the kept session now: `error` is a
   * {@link SessionFullError}, {@link InternalError}, {@link ErrorReply} or
   * {@link SessionsDisabledError}. Unless it is the last of these the client asks again on
   * the same connection, with pauses between `minBackoff` and `maxBackoff`. Dispatched
   * again only if the error is another.
   */
  sessionerror: Event & { readonly error: WebWireError };
  /** The session was restored after `sessionerror`, on the same connection. */
  sessionrestored: Event & { readonly session: Session };
  /**
   * The client's session was closed, by the server or another client that has it, or
   * turned out not to exist any more when it was to be restored, or another tab
   * replaced it. Not dispatched after the client's own `closeSession()`.
   */
  sessionclosed: Event;
  /**
   * The client is connected. Its session is restored if it had one, unless
   * `sessionclosed` or `sessionerror` was dispatched just before: `client.session` may
   * be another than before if another tab created one.
   *
   * Its listeners run before anything else that comes of the connection: before the events
   * of what the server sent, and before the requests that waited are sent. Those wait
   * longer, within their own timeouts, if a listener passes a promise to `waitUntil`, that
   * of a login for instance. Requests made meanwhile are sent at once.
   */
  connected: Event & { waitUntil(promise: Promise<unknown>): void };
  /**
   * The connection goes on with another socket (3.0), and is the same for both ends: requests
   * in flight get their replies, and signals are neither lost nor doubled. There was no
   * `disconnected`, and there is no `connected`.
   */
  resumed: Event;
  /**
   * Signals are lost, or may be (3.0).
   *
   * - The server could not keep all that it sent while the connection was without a socket:
   *   `missed` is how many, `undefined` if the server does not know.
   * - A connection ended while it was without a socket, or the server or the network ended it
   *   before the server had acknowledged all signals. Dispatched once, after `disconnected`:
   *   `missed` is `undefined`, because that is not known, and `unacknowledged` is how many of
   *   the client's own may not have arrived.
   * - Signals that waited cannot be sent any more. They are in the `unacknowledged` of the
   *   event that is about to be dispatched, or of one of their own: then `missed` is zero.
   */
  gap: Event & { readonly missed: number | undefined; readonly unacknowledged: number };
  /**
   * A connection ended: `reason` is a {@link ClosedError} after `close()`, a
   * {@link CloseError} if the server closed it or the network failed, another error if
   * the client gave it up.
   */
  disconnected: Event & { readonly reason: Error };
  /** An attempt to connect failed and is going to be repeated. */
  connecterror: Event & { readonly error: Error };
  /**
   * The client gave up connecting because trying again would not help: the server
   * speaks no common version ({@link VersionError}), refuses for good
   * ({@link RefusedError}: 300 to 399, 402, 407, 410, 411, 413, 414, 415, 417, 431, 451, 505, or 401
   * twice in a row), or closed the connection with a status of 3500 to 3999 or 4500 to 4999
   * ({@link CloseError}); the browser forbids to connect, or the URL cannot be. `connect()`
   * makes the client try again, after the pause that is due.
   */
  connectfailed: Event & { readonly error: Error };
  statuschange: Event & { readonly status: Status };
}

type Listeners = {
  [T in keyof ClientEvents as `on${T}`]?: ((this: Client, event: ClientEvents[T]) => void) | undefined;
};

/** An option that is `undefined` has its default, as if it were missing. */
export interface ClientOptions extends Listeners {
  /**
   * Milliseconds that a request waits for a connection and its reply; `Infinity` for no
   * limit. Default: 60000.
   */
  timeout?: number | undefined;
  /** Milliseconds for each attempt to connect; `Infinity` for no limit. Default: 10000. */
  dialTimeout?: number | undefined;
  /**
   * The longest first pause between attempts to connect, in milliseconds. Each pause is
   * random: from zero to a limit that starts here and quadruples with each attempt, and
   * once that would exceed `maxBackoff`, from three quarters of `maxBackoff` to
   * `maxBackoff`. A server may ask for a longer pause. Backoff resets after a socket has
   * lasted at least `maxBackoff`, or `minBackoff` if the server then said that it goes
   * away. There is no pause when the device comes online. Default: 1000.
   */
  minBackoff?: number | undefined;
  /** The longest pause between attempts to connect, in milliseconds. Default: 5000. */
  maxBackoff?: number | undefined;
  /**
   * False: connect only when `connect()` is called, and not again after the connection
   * was lost, which ends with its socket; what needs a connection fails at once without.
   * Default: true.
   */
  autoconnect?: boolean | undefined;
  /**
   * Bytes that may wait to be sent, or for the server to say that it has them (3.0). More are refused with a {@link QueueFullError},
   * but a message of any size is taken if nothing else waits. A connection ends with that error if its server reads none of the
   * answers to its requests while so much waits (3.0). Default: 8 MiB.
   */
  maxQueue?: number | undefined;
  /** What the client may speak, the best first. Default: `['3.0', '2.0', '1.2']`. */
  versions?: Version[] | undefined;
  /**
   * How client and server agree on the version.
   *
   * - `metadata`: ask the server by an HTTP request of the method WEBWIRE to the same
   *   URL, and by GET if that gets no answer, once, and again after an attempt to connect
   *   failed. Each may take a quarter of `dialTimeout`. If neither gets an answer,
   *   because of a proxy, the browser or the network, do as `token` does, and on every
   *   other attempt as for a server that only speaks 2.0. The default.
   * - `token`: the server is known to negotiate: offer `versions` as
   *   `Sec-WebSocket-Protocol`, without a question. Browsers fail to connect to servers
   *   that do not negotiate.
   * - `none`: the server is known to speak `versions[0]`; 2.0 if `versions` is not set.
   */
  negotiate?: 'metadata' | 'token' | 'none' | undefined;
  /**
   * Returns what proves to a server of 3.0 who the client is, a token for instance; 8 KiB at
   * most. It is called for each attempt to connect, within its `dialTimeout`. If it throws the
   * attempt has failed, and the client tries again. Earlier versions do not send credentials,
   * and it is not called.
   */
  credentials?: (() => Data | Promise<Data>) | undefined;
  /** The application's own protocol, which a server of 2.0 or 3.0 must announce. Default: `''`. */
  subProtocol?: string | undefined;
  /**
   * Where the key of the session is kept: `sessionStorage` for instance, for tabs that
   * do not share it. Default: `localStorage` in pages, memory elsewhere and where it
   * fails. The key is a secret.
   */
  storage?: KeyStorage | null | undefined;
  /** The item in the storage. Default: `'webwire:'` and the URL. */
  storageKey?: string | undefined;
  /** The class to connect with, where there is no global one. */
  WebSocket?: WebSocketClass | undefined;
  /**
   * True: tell what the client does by `console.debug`; or a function to be called instead.
   * Keys of sessions, payloads and the query of the URL are left out. Default: false.
   */
  debug?: boolean | ((...what: unknown[]) => void) | undefined;
}

/** What the client needs of `localStorage`. */
export interface KeyStorage {
  getItem(item: string): string | null;
  setItem(item: string, value: string): void;
  removeItem(item: string): void;
}

/** A class like the browser's `WebSocket`, that of the package `ws` for instance. */
export type WebSocketClass = new (url: string, protocols?: string[]) => {
  readonly readyState: number;
  readonly bufferedAmount: number;
  readonly protocol: string;
  close(code?: number, reason?: string): void;
};

export interface CallOptions {
  /** Aborts the waiting, and in 3.0 the handler's context. */
  signal?: AbortSignal | undefined;
  /** Milliseconds; `Infinity` for no limit. Default: that of the client. */
  timeout?: number | undefined;
}

export interface RequestOptions extends CallOptions {
  /** Metadata for the handler; not sent before 3.0. */
  meta?: Metadata | undefined;
  /** The trace that the request belongs to; not sent before 3.0. */
  trace?: Trace | undefined;
}

export interface SubscribeOptions extends CallOptions {
  /**
   * The position after which messages are wanted, `message.position` of an earlier loop or page
   * for instance. Zero: all that the server still has. `null` or `undefined`: those that follow.
   */
  since?: string | 0 | null | undefined;
  /** Called when messages are lost, between those before and after the gap. The loop goes on. */
  onGap?: ((gap: GapError) => void) | undefined;
  /**
   * Called when a member of the topic comes or leaves, at first for each that is there; by
   * the loop, between messages. The topic needs presence at the server. The loop throws a
   * `WebWireError` if the members exceed 5 MiB: the characters of their ids and infos, and 96
   * for each.
   */
  presence?: ((event: PresenceEvent) => void) | undefined;
  /** Ends the subscription. */
  signal?: AbortSignal | undefined;
  /** Milliseconds for the connection and the answer of the server. Default: that of the client. */
  timeout?: number | undefined;
}

/** A publication of a topic. */
export interface Message {
  /** To be given as `since`, also by another page. `undefined` if the topic has no history. */
  readonly position: string | undefined;
  readonly name: string;
  readonly payload: Payload;
}

/** A member of a topic has come or left. */
export interface PresenceEvent {
  /** `'update'` says that the info has changed: servers in Go send none. */
  readonly op: 'enter' | 'leave' | 'update';
  /** No other member has or had it. */
  readonly id: string;
  /** What the server tells of it, `undefined` for nothing and when it leaves. */
  readonly info: any;
}

/**
 * A trace context, as the headers of W3C Trace Context. It is the carrier that
 * `propagation.inject` of OpenTelemetry fills and `propagation.extract` reads. A `traceparent`
 * that is not valid is not sent.
 */
export interface Trace {
  traceparent?: string | undefined;
  tracestate?: string | undefined;
}

/** Keys, which are not empty and have no NUL, and values; 8 KiB at most. A list may repeat keys. */
export type Metadata = Record<string, string> | Iterable<readonly [key: string, value: string]>;

/** A request of the server, for its handler. */
export interface ServerRequest {
  readonly name: string;
  /** Metadata of the server's application. Keys may repeat. */
  readonly meta: [key: string, value: string][];
  /** The trace that the request belongs to. */
  readonly trace: Trace;
  /**
   * Aborted when the server cancels the request, at its deadline, and when the connection ends.
   * The reply is not needed then.
   */
  readonly signal: AbortSignal;
}

/**
 * What can be sent: text, which goes as UTF-8, bytes, which go as binary, a
 * {@link Payload} as it is, nothing, or any other value as JSON in UTF-8. Bytes are
 * copied, at the latest when they are sent. Objects that JSON would make an empty object
 * of, such as `Blob`, `Map`, `Set` and promises, are refused with a `TypeError`.
 */
export type Data = Payload | string | ArrayBuffer | ArrayBufferView | object | number | boolean | null | undefined;

export type Encoding = 'binary' | 'utf8' | 'utf16';

/** Bytes, and a label that says how they are encoded. */
export class Payload {
  /** `encoding` is `binary` by default. */
  constructor(bytes: Uint8Array, encoding?: Encoding);
  /** The payload that a value is sent as. */
  static from(value: Data): Payload;
  /** Text in UTF-16. */
  static utf16(text: string): Payload;

  readonly encoding: Encoding;
  readonly bytes: Uint8Array;
  /** The bytes as text, binary ones as if they were UTF-8. What is invalid becomes U+FFFD. */
  text(): string;
  /** The value that the text is the JSON of. Throws a `SyntaxError` if it is none. */
  json<T = any>(): T;
}

export interface Session {
  /** A secret: whoever has it has the session. */
  readonly key: string;
  readonly created: Date;
  readonly lastSeen: Date;
  /** What the application attached, `null` if nothing. */
  readonly info: any;
}

/** What all errors of this package are. `name` is the name of the class; the message ends with that of the cause. */
export class WebWireError extends Error {
  constructor(message: string, cause?: Error);
}

/** What the handler refused the request with. */
export class ErrorReply extends WebWireError {
  constructor(code: string, message: string);
  readonly code: string;
}
/** There is no reply, for a reason that has no class of its own (3.0). */
export class FailureError extends WebWireError {
  constructor(code: number, executed: 'no' | 'yes' | 'maybe', message?: string);
  /** That of section 11.5 of PROTOCOL.md: 8 is too many requests, 9 unsupported. */
  readonly code: number;
  /** Whether the handler began. If not, the request can be sent again. */
  readonly executed: 'no' | 'yes' | 'maybe';
}
/** The handler failed; the server says no more. */
export class InternalError extends WebWireError {
  constructor();
}
/** It was executed, but the server does not keep the reply any more (3.0). */
export class ReplyLostError extends FailureError {
  constructor();
}
/** The server is shutting down. The request was not executed, unless it is a stream that has had items. */
export class ShutdownError extends WebWireError {
  constructor();
}
export class SessionNotFoundError extends WebWireError {
  constructor();
}
/** The session has as many connections as it may. */
export class SessionFullError extends WebWireError {
  constructor();
}
export class SessionsDisabledError extends WebWireError {
  constructor();
}

/** There is no connection, or it was lost before the reply came. `cause` is why. */
export class DisconnectedError extends WebWireError {
  constructor(sent: boolean, cause?: Error);
  /** The server may have executed the request. If false it has never seen it. */
  readonly sent: boolean;
}
/** No reply in time; or, if there is a `cause`, no connection. */
export class TimeoutError extends WebWireError {
  constructor(after: number, cause?: Error, sent?: boolean);
  /** The server may have executed the request, or may yet do so. If false it has not, and never will. */
  readonly sent: boolean;
  /** Milliseconds. */
  readonly after: number;
}
/** Client and server speak no common version of the protocol. */
export class VersionError extends WebWireError {
  constructor(server: string[], client: string[]);
  /** As far as it is known. */
  readonly server: string[];
  readonly client: string[];
}
/** `close()` was called. */
export class ClosedError extends WebWireError {
  constructor();
}
/** The protocol does not allow such a message; or the server sent one that it does not allow. */
export class MalformedError extends WebWireError {}
/** A message longer than the server takes. It was not sent. */
export class TooLongError extends WebWireError {
  constructor(size: number, limit: number);
  readonly size: number;
  readonly limit: number;
}
/** More waits to be sent than `maxQueue`. */
export class QueueFullError extends WebWireError {
  constructor(limit: number);
  readonly limit: number;
}
/**
 * Messages of a topic are lost: the server does not have them any more, or the topic has no
 * history and the client was not connected, or the loop or the connection did not keep up.
 */
export class GapError extends WebWireError {
  constructor(topic: string, lost: number, position?: string);
  readonly topic: string;
  /** How many; zero if that is not known. */
  readonly lost: number;
  /** Where to go on: as `since`. `undefined` if the topic has no history. */
  readonly position: string | undefined;
}
/** How a connection ended: the close code of WebSocket, 1006 if there was none. */
export class CloseError extends WebWireError {
  constructor(code: number, reason: string, cause?: Error);
  readonly code: number;
  readonly reason: string;
}
/** The server answered the question for its metadata with this HTTP status, which says that it cannot be connected to. */
export class RefusedError extends WebWireError {
  constructor(status: number, retryAfter: number);
  readonly status: number;
  /** Milliseconds that the server asks to wait, zero if it does not. */
  readonly retryAfter: number;
}
