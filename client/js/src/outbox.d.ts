// Requests that outlive the page: edits that a user makes offline.

import type { Client } from './index.js';

export interface OutboxEvents {
  /** `pending` has changed, here or in another tab. */
  change: Event;
  /**
   * The server has answered a request with an error, an `ErrorReply` or an `InternalError`, or it
   * cannot be sent, for instance because it is too long. It is not sent again.
   */
  refused: Event & { readonly name: string; readonly data: any; readonly error: Error };
}

/** What an outbox uses of a `Storage`. */
export interface OutboxStorage {
  readonly length: number;
  key(index: number): string | null;
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export interface PendingRequest {
  /** Where it is in the storage. */
  readonly key: string;
  readonly name: string;
  /** What was given to `add`, as JSON makes it. */
  readonly data: any;
}

/**
 * Keeps requests in the storage of the browser until the server has answered them, with a reply or
 * an error: they outlive lost connections, reloads and the browser. They are sent in order, one at
 * a time, by any tab of the same origin that has an outbox of the same name.
 *
 * A request may be executed more than once: the page may end, or the server die, before the reply
 * arrives, and two tabs may send the same one. Give each an ID by which the server recognizes it.
 *
 * ```js
 * const outbox = new Outbox(client, `edits:${user}`);
 * outbox.addEventListener('change', () => show(outbox.pending));
 * outbox.add('edit', { id: crypto.randomUUID(), text });
 * ```
 *
 * Requests wait while there is no connection. After any error that is no reply, such as a timeout,
 * they are sent again on the next connection, or when another request is added.
 */
export class Outbox extends EventTarget {
  /**
   * Requests are kept in `storage` under `name`, default: `localStorage`. With users who sign in, name
   * it after the user, make it when the client has the session, and abort `signal` when it has no
   * more: then nothing more is sent, and what is pending stays in the storage.
   */
  constructor(client: Client, name: string, options?: { storage?: OutboxStorage | undefined; signal?: AbortSignal | undefined });
  /** The requests that have no answer yet, the oldest first. Other tabs' are among them. */
  readonly pending: PendingRequest[];
  /**
   * Adds a request, and sends it when it is its turn. `data` must be JSON. Throws what the storage
   * throws, for instance if it is full.
   */
  add(name: string, data: unknown): void;

  addEventListener<T extends keyof OutboxEvents>(
    type: T,
    listener: ((this: Outbox, event: OutboxEvents[T]) => void) | null,
    options?: AddOptions,
  ): void;
  addEventListener(type: string, listener: Listener, options?: AddOptions): void;
  removeEventListener<T extends keyof OutboxEvents>(
    type: T,
    listener: ((this: Outbox, event: OutboxEvents[T]) => void) | null,
    options?: RemoveOptions,
  ): void;
  removeEventListener(type: string, listener: Listener, options?: RemoveOptions): void;
}

// By way of EventTarget, as in index.d.ts.
type Listener = Parameters<EventTarget['addEventListener']>[1];
type AddOptions = Parameters<EventTarget['addEventListener']>[2];
type RemoveOptions = Parameters<EventTarget['removeEventListener']>[2];
