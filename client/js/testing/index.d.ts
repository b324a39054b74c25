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
 * reply. An `ErrorReply` of its own that it throws reaches the client; of any other error, also
 * one that it got as an answer, the client learns as little as from a real server, and the error is in {@link FakeServer.errors}.
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
 * A server in the process of its clients. It speaks 3.0, keeps sessions, has topics, and its
 * connections outlive their sockets, for as long as the server is not restarted or closed.
 * Nothing in it takes time, so that it works with the fake timers of test runners.
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
  /** What handlers threw that is no `ErrorReply` of their own, and messages of clients that are malformed. */
  readonly errors: unknown[];
  /** The connections that exist, also those whose client is away, the oldest first. */
  readonly connections: readonly FakeConnection[];
  /** Whether the clients cannot connect. */
  readonly offline: boolean;

  /**
   * Called when a client subscribes to a topic. If it throws, or rejects, the client is refused:
   * an `ErrorReply` reaches it, any other error is in `errors`. Default: anybody may subscribe.
   */
  onsubscribe: ((topic: string, connection: FakeConnection) => void | Promise<void>) | null;

  /** Sets the handler of requests of a name. */
  handle(name: string, handler: FakeHandler): void;
  /** Returns a client of this server. `close()` closes it. */
  client(options?: ClientOptions): Client;
  /** Sends a signal to all connections. */
  signal(name: string, data?: Data): void;
  /** Returns the topic of a name, always the same one. */
  topic(name: string): FakeTopic;
  /** Breaks all sockets, as a network does. Clients come back, and nothing is lost. */
  cut(): void;
  /** Breaks all sockets, and refuses new ones until `goOnline()`. */
  goOffline(): void;
  goOnline(): void;
  /**
   * Ends all connections as a server does that is killed and started again. What topics have kept,
   * and their members, are lost; sessions are kept.
   */
  restart(): void;
  /** Closes the clients of `client()` and ends the connections of others. */
  close(): void;
}

/** The server's end of a connection. */
export class FakeConnection {
  private constructor();
  /** The session that the connection has, or `null`. */
  readonly session: Session | null;
  /** Whether no socket carries the connection. What is sent waits until the client is back. */
  readonly away: boolean;
  /** Sends a signal. */
  signal(name: string, data?: Data): void;
  /** Sends a request to the client, which answers it with a handler of `client.handle`. */
  request(name: string, data?: Data): Promise<Payload>;
  /** Gives the connection a new session, as a login does. */
  createSession(info?: unknown): Session;
  /** Closes the session of the connection, and of all others that have it. */
  closeSession(): void;
  /** Tells the client that signals are lost: its event `gap` has the number. */
  gap(missed: number): void;
  /** Ends the connection with a close code of WebSocket. Default: 1000. */
  close(code?: number, reason?: string): void;
  /** Breaks the socket, as a network does. The client comes back. */
  cut(): void;
}

/** A topic, to which clients subscribe with `client.subscribe`. */
export class FakeTopic {
  private constructor();
  /** Whether publications are kept and have positions. Default: true. */
  history: boolean;
  /** The connections of its subscriptions. */
  readonly subscribers: FakeConnection[];
  /** Publishes a message. Returns its position, for `since`; `undefined` without history. */
  publish(name: string, data?: Data): string | undefined;
  /** Tells the subscribers that messages are lost at this place: how many, or 0 if that is unknown. */
  gap(lost?: number): void;
  /** Forgets what is kept. A client that asks for it is told of a gap. */
  forget(): void;
  /** Adds a member, or changes what is known of it. Subscribers that asked for `presence` are told. */
  enter(id: string, data?: unknown): void;
  /** Removes a member. */
  leave(id: string): void;
}
