// The chat without its looks: the user, the open rooms, and the messages to send. It
// talks to the server through one WebWire client, which reconnects and restores the
// session by itself.

import { Client, ErrorReply, SessionNotFoundError } from './webwire/index.js';
import { Outbox } from './outbox.js';
import { Room, roomKey } from './room.js';
import { browser } from './storage.js';

export const FIRST_ROOM = 'lobby';
export const MAX_TEXT = 2000;

const ME = 'chatroom.me';
const ROOMS = 'chatroom.rooms';
const NO_ROOM = ['BAD_ROOM', 'TOO_MANY_ROOMS']; // codes of a room that cannot exist
const PAUSE = 1000; // before a request that the server has refused for now is repeated
const RESTORE_AGAIN = 3000; // before the session is restored again
const OTHER_TAB = 5000; // for another tab to send what was written in it
const TYPING_EVERY = 2500;
const ENDED = 'You were signed out.';

// Events, with their detail in brackets: status, signedin, signedout (why),
// rooms, members (room), messages ({ room, added, older, reset }), notice ({ room,
// name, what }), typing ({ room, name }), outbox, problem (room), refused ({ key,
// error }), failed (error).
export class Chat extends EventTarget {
  me = browser.get(ME); // the user's name, also while not connected
  list = []; // of all rooms, from the server
  open = new Map(); // rooms by key
  outbox = new Outbox();
  signedIn = false; // on this connection
  held = false; // connected without the session, which the server cannot restore for now

  #client = new Client('/ws', { timeout: 15_000, maxBackoff: 4000 });
  #lasting; // AbortController of the requests of this connection
  #flushing = false;
  #typed = 0;
  #again; // timer for restoring the session
  #joins = new Map(); // in progress, by key of the room

  constructor() {
    super();
    const on = (type, listener) => this.#client.addEventListener(type, listener);
    on('statuschange', () => this.#tell('status'));
    on('connected', () => this.#connected());
    on('disconnected', () => this.#lost());
    on('connectfailed', ({ error }) => this.#tell('failed', error));
    on('gap', () => this.#catchUp());
    on('sessionclosed', () => this.#sessionClosed());
    on('signal', ({ name, payload }) => this.#signal(name, payload.json()));
    this.outbox.addEventListener('change', ({ detail }) => {
      this.#tell('outbox');
      if (detail.elsewhere && detail.added) setTimeout(() => this.flush(), OTHER_TAB);
    });
    addEventListener('storage', ({ key }) => {
      if (key === ME && !this.me && browser.get(ME)) this.#signedInElsewhere();
    });
    for (const name of browser.get(ROOMS) ?? []) this.room(name);
  }

  get status() {
    return this.#client.status;
  }

  // start connects. Events report the result.
  start() {
    this.#client.connect({ timeout: Infinity }).catch(() => {}); // event failed
  }

  async signIn(name) {
    const me = await this.#client.request('signin', { name });
    this.#setMe(me.json().name);
    this.#enter();
  }

  async signOut() {
    const { me } = this;
    await this.#client.closeSession();
    this.outbox.clear(me);
    this.#signedOut('');
  }

  // unsent returns the user's messages, in one room or in all, that the server has not
  // confirmed.
  unsent(key) {
    return this.outbox.of(this.me).filter((item) => !key || roomKey(item.room) === key);
  }

  // room returns the room with this name, and opens it if it is not open.
  room(name) {
    const key = roomKey(name);
    if (!this.open.has(key)) this.open.set(key, new Room(name));
    return this.open.get(key);
  }

  // enter joins a room. Event refused: there can be no room with this name. Event
  // problem: it cannot be joined now.
  async enter(name) {
    const room = this.room(name);
    const online = this.#lasting;
    try {
      if (this.signedIn) await this.#join(room);
    } catch (error) {
      if (!online.signal.aborted) this.#notEntered(room, error); // otherwise the next connection tries again
    } finally {
      this.#keepRooms();
      this.#tell('rooms');
    }
    this.flush();
  }

  #notEntered(room, error) {
    if (this.open.get(room.key) !== room) return; // it was left meanwhile
    if (error.code === 'TOO_FAST') { // because a long queue is being sent
      setTimeout(() => this.open.get(room.key) === room && this.enter(room.name), PAUSE);
    } else if (NO_ROOM.includes(error.code)) {
      for (const { id } of this.unsent(room.key)) this.outbox.fail(id, error.message);
      this.open.delete(room.key);
      this.#tell('refused', { key: room.key, error });
    } else {
      room.problem = error.message;
      this.#tell('problem', room);
    }
  }

  async leave(key) {
    const { name } = this.open.get(key);
    this.open.delete(key);
    this.#keepRooms();
    this.#tell('rooms');
    if (this.signedIn) await this.#ask('leave', { room: name });
  }

  // say keeps a message until the server has confirmed it.
  say(room, text) {
    this.outbox.add(this.me, room.name, text);
    this.#typed = 0;
    this.flush();
  }

  typing({ name: room }) {
    if (this.status !== 'connected' || !this.signedIn || Date.now() - this.#typed < TYPING_EVERY) return;
    this.#typed = Date.now();
    try {
      this.#client.signal('typing', { room });
    } catch {
      // nobody misses it
    }
  }

  // earlier loads the page of messages before the known ones.
  async earlier(room) {
    const page = await this.#ask('earlier', { room: room.name, before: room.messages[0]?.seq ?? Number.MAX_SAFE_INTEGER });
    const older = room.prepend(page);
    this.#tell('messages', { room, older });
  }

  // flush sends the unsent messages one after another: the server handles concurrent
  // requests in any order, and may refuse one and take the next.
  async flush() {
    if (this.#flushing) return;
    this.#flushing = true;
    try {
      for (;;) {
        const item = this.signedIn && this.unsent().find(({ failed, room }) => !failed && !this.room(room).problem);
        if (!item) return;
        await this.#send(item);
      }
    } finally {
      this.#flushing = false;
    }
  }

  async #send({ id, name, room: where, text }) {
    const room = this.room(where);
    if (!room.joined) {
      await this.enter(where); // which reports errors
      return;
    }
    try {
      // The client sends it under this session or not at all, be it after a resume.
      if (this.#client.session?.info.name !== name) throw new Error('meanwhile it may be somebody else'); // flush looks again
      await this.#ask('say', { id, room: where, text });
      this.outbox.remove(id);
    } catch (error) {
      const lasting = error instanceof ErrorReply && !['TOO_FAST', 'NOT_IN_ROOM', 'SIGNED_OUT'].includes(error.code);
      if (lasting) this.outbox.fail(id, error.message);
      else if (error.code === 'NOT_IN_ROOM') room.lost();
      else await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }

  // ask makes a request that ends with this connection: the next one may have another
  // session.
  async #ask(name, payload) {
    const { signal } = this.#lasting;
    return (await this.#client.request(name, payload, { signal })).json();
  }

  // Connections and sessions.

  // connected handles a new connection, or a new session of the connection.
  #connected() {
    const { session } = this.#client;
    this.#lasting ??= new AbortController();
    clearTimeout(this.#again);
    this.#hold(Boolean(this.me && !session));
    if (session) {
      if (this.me && this.me !== session.info.name) this.#signedOut(''); // another tab signed in
      this.#setMe(session.info.name);
      this.#enter();
    } else if (this.held) {
      this.#again = setTimeout(() => this.#restore(), RESTORE_AGAIN);
    } else {
      this.#tell('signedout', '');
    }
  }

  // restore tries to restore the session of a connection that has none.
  async #restore() {
    try {
      await this.#client.restoreSession();
    } catch (error) {
      if (this.held && error instanceof SessionNotFoundError) this.#signedOut(ENDED);
    }
    if (this.held && this.status === 'connected') this.#connected();
  }

  #hold(held) {
    if (held === this.held) return;
    this.held = held;
    this.#tell('status');
  }

  #lost() {
    clearTimeout(this.#again);
    this.#lasting?.abort();
    this.#lasting = undefined;
    this.signedIn = false;
    this.held = false;
    for (const room of this.open.values()) room.lost();
    this.#tell('status');
  }

  // catchUp joins the rooms again, because signals of the server are lost.
  #catchUp() {
    if (!this.signedIn) return; // the next connection does
    for (const room of this.open.values()) {
      room.lost();
      this.enter(room.name);
    }
  }

  #setMe(name) {
    this.me = name;
    browser.set(ME, name);
  }

  // enter joins the open rooms, after signing in and after reconnecting.
  #enter() {
    this.signedIn = true;
    this.#tell('signedin');
    if (!this.open.size) this.room(FIRST_ROOM);
    this.#listRooms();
    for (const { name } of this.open.values()) this.enter(name);
    this.flush();
  }

  // sessionClosed handles the end of the session. While this tab was away another one may
  // have signed in again.
  #sessionClosed() {
    this.#signedOut(ENDED);
    if (browser.get(ME)) this.#signedInElsewhere();
  }

  #signedOut(why) {
    clearTimeout(this.#again);
    const mine = browser.get(ME) === this.me; // and not of another tab
    this.me = null;
    this.signedIn = false;
    this.#hold(false);
    if (mine) {
      browser.remove(ME);
      browser.remove(ROOMS);
    }
    this.open.clear();
    this.#tell('signedout', why);
  }

  async #signedInElsewhere() {
    try {
      await this.#client.restoreSession();
      this.#connected();
    } catch {
      // this tab asks for a name
    }
  }

  async #listRooms() {
    const online = this.#lasting;
    try {
      this.#setList(await this.#ask('rooms'));
    } catch (error) {
      if (!online.signal.aborted) this.#tell('failed', error); // otherwise the next connection tries again
    }
  }

  #setList(list) {
    this.list = list;
    this.#tell('rooms');
  }

  #keepRooms() {
    browser.set(ROOMS, [...this.open.values()].map(({ name }) => name));
  }

  // join joins a room, unless that is in progress.
  #join(room) {
    const { key } = room;
    if (!this.#joins.has(key)) {
      this.#joins.set(key, this.#joinNow(room).finally(() => this.#joins.delete(key)));
    }
    return this.#joins.get(key);
  }

  async #joinNow(room) {
    if (room.joined) return;
    room.early = [];
    let reply;
    try {
      reply = await this.#ask('join', { room: room.name, after: room.last, again: room.known });
    } catch (error) {
      room.lost();
      throw error;
    }
    const early = room.early ?? [];
    room.early = null;
    const { reset, added } = room.entered(reply);
    for (const { id } of added) this.outbox.remove(id);
    this.#tell('members', room);
    this.#tell('messages', { room, added, reset, missed: true });
    this.#tell('problem', room);
    this.#tell('rooms');
    for (const [signal, about] of early) this.#signal(signal, about);
  }

  // Signals of the server.

  #signal(name, about) {
    if (name === 'rooms') {
      this.#setList(about);
      return;
    }
    const room = this.open.get(roomKey(about.room));
    if (!room) return;
    if (room.early) {
      room.early.push([name, about]);
      return;
    }
    if (name !== 'message' && about.name === this.me) return; // the server tells everybody in the room
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
