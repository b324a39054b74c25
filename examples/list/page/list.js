// The list as its user sees it: what the edits of the server make of it, and then those that the
// server may not have.

import { GapError } from './webwire/index.js';
import { Outbox } from './webwire/outbox.js';

export class List {
  user; // who is signed in

  #edits = new Map(); // of the server, by ID: one whose reply was lost comes again
  #outbox; // the edits of the user
  #left = new AbortController();

  // changed is called when there is something new to show. The options are those of the outbox.
  constructor(client, changed, options) {
    const enter = async () => {
      this.#left.abort();
      const { signal } = this.#left = new AbortController();
      this.#edits.clear();
      this.user = client.session?.info.Name;
      changed();
      if (!this.user) return;
      this.#outbox = new Outbox(client, `list:${this.user}`, { ...options, signal });
      this.#outbox.addEventListener('change', changed);
      try {
        for await (const { payload } of client.subscribe('list', { since: 0, signal })) {
          const edit = payload.json();
          if (!this.#edits.has(edit.ID)) this.#edits.set(edit.ID, edit);
          changed();
        }
      } catch (error) {
        if (error instanceof GapError) enter(); // from the start
      }
    };
    const look = () => client.session?.info.Name === this.user || enter();
    for (const event of ['connected', 'sessioncreated', 'sessionrestored', 'sessionclosed']) client.addEventListener(event, look);
  }

  // Nothing comes of an edit of an item that somebody else has removed, unless it has a text.
  get items() {
    const own = (this.user ? this.#outbox.pending : []).map(({ data }) => ({ ...data, By: this.user, waiting: true }));
    const edits = [...this.#edits.values(), ...own.filter(({ ID }) => !this.#edits.has(ID))];
    const items = new Map();
    for (const { Item: ID, Set, Gone, By, waiting } of edits) {
      if (Gone) items.delete(ID);
      else if (items.has(ID) || Set.Text) items.set(ID, { ...items.get(ID), ...Set, ID, By, waiting });
    }
    return [...items.values()];
  }

  // edit sets fields of an item, makes or removes it, now or when there is a connection.
  edit(Item, Set, Gone = false) {
    this.#outbox.add('edit', { ID: crypto.randomUUID(), Item, Set, Gone });
  }
}
