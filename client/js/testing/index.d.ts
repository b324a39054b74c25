// A server for tests of programs that use the client, without a network:
//
//   const server = new FakeServer({ greet: (payload) => `hello, ${payload.text()}` });
//   const client = server.client();
//   assert.equal((await client.request('greet', 'Ada')).text(), 'hello, Ada');
//   server.close();

import type { Client, ClientOptions, Data, Payload, Session, Trace } from '../src/index.js';

/** A request of the client, for its handler. */
export interface FakeRequest {
  readonly name: string;
  readonly meta: [key: string, value: string][];
  readonly trace: Trace;
  /** Aborted when the client gives up, at the deadline, and when the connection ends. */
  readonly signal: AbortSignal;
  readonly connection: FakeConnection;
}

/**
 * Answers requests of a name. What it returns is the reply; an async generator is a streamed
 * reply. An `ErrorReply` that it throws reaches the client; of any other error the client
 * learns as little as from a real server, and the error is in {@link FakeServer.errors}.
 */
export type FakeHandler = (payload: Payload, request: FakeRequest) => Data | void | Promise<Data | void> | AsyncIterable<Data>;

export interface FakeSignal {
  readonly name: string;
  readonly payload: Payload;
  readonly meta: [key: string, value: string][];
  readonly trace: Trace;
  readonly connection: FakeConnection;
}

/**
 * A server in the process of its clients. It speaks 3.0 and keeps sessions. Its connections end
 * with their sockets; there are no topics. Nothing in it takes time, so that it works with the
 * fake timers of test runners.
 */
export class FakeServer {
  /** The keys are the names of requests. */
  constructor(handlers?: Record<string, FakeHandler>);

  /**
   * What makes a client connect to this server, whatever its URL is: `WebSocket` and a few
   * others. Pauses between attempts to connect are at most 10 milliseconds. For clients that your program makes itself.
   */
  readonly options: ClientOptions;
  /** Signals of clients, the oldest first. */
  readonly signals: FakeSignal[];
  /** What handlers threw that is no `ErrorReply`, and messages of clients that are malformed. */
  readonly errors: unknown[];
  /** The connections that exist, the oldest first. */
  readonly connections: readonly FakeConnection[];
  /** Whether the clients cannot connect. */
  readonly offline: boolean;

  /** Sets the handler of requests of a name. */
  handle(name: string, handler: FakeHandler): void;
  /** Returns a client of this server. `close()` closes it. */
  client(options?: ClientOptions): Client;
  /** Sends a signal to all connections. */
  signal(name: string, data?: Data): void;
  /** Breaks all connections, as a network does. Clients connect again. */
  cut(): void;
  /** Breaks all connections and lets clients not connect until `goOnline()`. */
  goOffline(): void;
  goOnline(): void;
  /** Closes the clients of `client()` and breaks the connections of others. */
  close(): void;
}

/** The server's end of a connection. */
export class FakeConnection {
  private constructor();
  /** The session that the connection has, or `null`. */
  readonly session: Session | null;
  /** Sends a signal. */
  signal(name: string, data?: Data): void;
  /** Sends a request to the client, which answers it with a handler of `client.handle`. */
  request(name: string, data?: Data): Promise<Payload>;
  /** Gives the connection a new session, as a login does. */
  createSession(info?: unknown): Session;
  /** Closes the session of the connection, and of all others that have it. */
  closeSession(): void;
  /** Ends the connection with a close code of WebSocket. Default: 1000. */
  close(code?: number, reason?: string): void;
  /** Breaks the connection, as a network does. */
  cut(): void;
}
