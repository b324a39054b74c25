// The chat without its looks: who is signed in, which rooms are open, and what is
// on its way. It talks to the server through one WebWire client, which connects
// again and restores the session by itself.

import { Client, ErrorReply } from './webwire/index.js';
import { Outbox } from './outbox.js';
import { Room } from './room.js';
import { browser } from './storage.js';

export const FIRST_ROOM = 'lobby';
export const MAX_TEXT = 2000;

const ME = 'chatroom.me';
const ROOMS = 'chatroom.rooms';
const PAUSE = 1000; // before a request is made again that the server refused for now
const OTHER_TAB = 5000; // that a tab has for sending what was written in it
const TYPING_EVERY = 2500;

// Events, with what they are about as detail: status, signedin, signedout (why),
// rooms, members (room), messages ({ room, added, older, reset }), notice ({ room,
// name, what }), typing ({ room, name }), outbox, failed.
export class Chat extends EventTarget {
  me = browser.get(ME); // name of who is signed in, or is going to be when connected
  list = []; // of all rooms, as the server has it
  open = new Map(); // rooms by name
  outbox = new Outbox();
  signedIn = false; // on this connection

  #client = new Client('/ws', { timeout: 15_000, maxBackoff: 4000 });
  #flushing = false;
  #typed = 0;
  #joins = new Map(); // in progress, by room

  constructor() {
    super();
    const on = (type, listener) => this.#client.addEventListener(type, listener);
    on('statuschange', () => this.#tell('status'));
    on('connected', () => this.#connected());
    on('disconnected', () => this.#lost());
    on('connectfailed', ({ error }) => this.#tell('failed', error));
    on('sessionclosed', () => this.#signedOut('You were signed out.'));
    on('signal', ({ name, payload }) => this.#signal(name, payload.json()));
    this.outbox.addEventListener('change', ({ detail }) => {
      this.#tell('outbox');
      if (detail.elsewhere && detail.added) setTimeout(() => this.flush(), OTHER_TAB);
    });
    addEventListener('storage', ({ key }) => {
      if (key === ME && !this.me && browser.get(ME)) this.#signedInElsewhere();
    });
    for (const name of browser.get(ROOMS) ?? []) this.open.set(name, new Room(name));
  }

  get status() {
    return this.#client.status;
  }

  // start connects. What comes of it events tell.
  start() {
    this.#client.connect({ timeout: Infinity }).catch(() => {}); // event failed
  }

  async signIn(name) {
    const me = await this.#client.request('signin', { name });
    this.#setMe(me.json().name);
    this.#enter();
  }

  async signOut() {
    await this.#client.closeSession();
    this.outbox.clear();
    this.#signedOut('');
  }

  // enter opens a room.
  async enter(name) {
    if (!this.open.has(name)) this.open.set(name, new Room(name));
    try {
      if (this.signedIn) await this.#join(name);
      this.#keepRooms();
    } catch (error) {
      if (!(error instanceof ErrorReply)) return; // the next connection tries again
      this.open.delete(name);
      throw error;
    } finally {
      this.#tell('rooms');
    }
  }

  async leave(name) {
    this.open.delete(name);
    this.#keepRooms();
    this.#tell('rooms');
    if (this.signedIn) await this.#client.request('leave', { room: name });
  }

  // say keeps a message until the server has it.
  say(room, text) {
    this.outbox.add(room, text);
    this.#typed = 0;
    this.flush();
  }

  typing(room) {
    if (!this.signedIn || Date.now() - this.#typed < TYPING_EVERY) return;
    this.#typed = Date.now();
    try {
      this.#client.signal('typing', { room });
    } catch {
      // nobody misses it
    }
  }

  async earlier(name) {
    const room = this.open.get(name);
    const page = await this.#client.request('earlier', { room: name, before: room.messages[0].seq });
    const older = room.prepend(page.json());
    this.#tell('messages', { room, older });
  }

  // flush sends what waits, one message after the other.
  async flush() {
    if (this.#flushing) return;
    this.#flushing = true;
    try {
      for (;;) {
        const item = this.signedIn && this.outbox.all().find(({ failed }) => !failed);
        if (!item) return;
        await this.#send(item);
      }
    } finally {
      this.#flushing = false;
    }
  }

  async #send({ id, room, text, ...rest }) {
    try {
      if (!this.open.get(room)?.joined) await this.#join(room);
      await this.#client.request('say', { id, room, text });
      this.outbox.remove(id);
    } catch (error) {
      const lasting = error instanceof ErrorReply && !['TOO_FAST', 'NOT_IN_ROOM', 'SIGNED_OUT'].includes(error.code);
      if (lasting) this.outbox.fail({ id, room, text, ...rest }, error.message);
      else if (error.code === 'NOT_IN_ROOM') this.open.get(room)?.lost();
      else await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }

  // Connections and sessions.

  #connected() {
    const { session } = this.#client;
    if (session) {
      this.#setMe(session.info.name);
      this.#enter();
    } else if (this.me) {
      this.#signedOut('You were signed out.');
    } else {
      this.#tell('signedout', '');
    }
  }

  #lost() {
    this.signedIn = false;
    for (const room of this.open.values()) room.lost();
    this.#tell('status');
  }

  #setMe(name) {
    this.me = name;
    browser.set(ME, name);
  }

  // enter goes into the rooms, after signing in and after connecting again.
  #enter() {
    this.signedIn = true;
    this.#tell('signedin');
    if (!this.open.size) this.open.set(FIRST_ROOM, new Room(FIRST_ROOM));
    this.#listRooms();
    for (const name of this.open.keys()) this.enter(name).catch((error) => this.#tell('failed', error));
    this.flush();
  }

  #signedOut(why) {
    this.me = null;
    this.signedIn = false;
    browser.remove(ME);
    browser.remove(ROOMS);
    this.open.clear();
    this.#tell('signedout', why);
  }

  async #signedInElsewhere() {
    try {
      await this.#client.restoreSession();
      this.#connected();
    } catch {
      // then this tab has its own way in
    }
  }

  async #listRooms() {
    try {
      this.#setList((await this.#client.request('rooms')).json());
    } catch {
      // the next connection tries again
    }
  }

  #setList(list) {
    this.list = list;
    this.#tell('rooms');
  }

  #keepRooms() {
    browser.set(ROOMS, [...this.open.keys()]);
  }

  // join joins a room, once at a time.
  #join(name) {
    if (!this.#joins.has(name)) {
      this.#joins.set(name, this.#joinNow(name).finally(() => this.#joins.delete(name)));
    }
    return this.#joins.get(name);
  }

  async #joinNow(name) {
    let room = this.open.get(name);
    if (!room) this.open.set(name, room = new Room(name));
    if (room.joined) return;
    room.early = [];
    let reply;
    try {
      reply = await this.#client.request('join', { room: name, after: room.last, again: room.known });
    } catch (error) {
      room.lost();
      throw error;
    }
    const early = room.early ?? [];
    room.early = null;
    const { reset, added } = room.entered(reply.json());
    for (const { id } of added) this.outbox.remove(id);
    this.#tell('members', room);
    this.#tell('messages', { room, added, reset, missed: true });
    this.#tell('rooms');
    for (const [signal, about] of early) this.#signal(signal, about);
  }

  // What the server tells.

  #signal(name, about) {
    if (name === 'rooms') {
      this.#setList(about);
      return;
    }
    const room = this.open.get(about.room);
    if (!room) return;
    if (room.early) {
      room.early.push([name, about]);
      return;
    }
    switch (name) {
      case 'message':
        if (!room.add(about)) return;
        this.outbox.remove(about.id);
        this.#tell('messages', { room, added: [about] });
        break;
      case 'joined':
      case 'left':
        if (name === 'joined') room.present(about.name);
        else room.absent(about.name);
        this.#tell('members', room);
        if (!about.again) this.#tell('notice', { room, name: about.name, what: name });
        break;
      case 'typing':
        this.#tell('typing', { room, name: about.name });
    }
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
