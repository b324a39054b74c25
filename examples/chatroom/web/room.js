// One room as this page knows it: its messages, without gaps, and its members.

// roomKey is a room's name without regard to case.
export const roomKey = (name) => name.toLowerCase();

export class Room {
  messages = [];
  earlier = false; // there are messages before those
  members = [];
  unread = 0;
  joined = false; // on this connection
  known = false; // it was joined before
  early = null; // signals that came before the reply to the join

  problem = ''; // why it could not be joined

  constructor(name) {
    this.name = name; // as the server spells it, once it is known
  }

  get key() {
    return roomKey(this.name);
  }

  get last() {
    return this.messages.at(-1)?.seq ?? 0;
  }

  // entered takes the reply to a join. It returns the new messages, and whether they
  // replace the known ones because too many were missed.
  entered({ room, messages, members, earlier }) {
    this.name = room;
    this.problem = '';
    const reset = messages.length > 0 && messages[0].seq > this.last + 1;
    if (reset) this.messages = [];
    if (reset || !this.messages.length) this.earlier = earlier;
    this.members = members;
    this.joined = true;
    this.known = true;
    return { reset, added: messages.filter((m) => this.add(m)) };
  }

  // add adds a message and reports whether it is new.
  add(message) {
    if (message.seq <= this.last) return false;
    this.messages.push(message);
    return true;
  }

  // prepend adds a page of earlier messages.
  prepend({ messages, earlier }) {
    const first = this.messages[0]?.seq ?? Infinity;
    const older = messages.filter((m) => m.seq < first);
    this.messages.unshift(...older);
    this.earlier = earlier;
    return older;
  }

  present(name) {
    if (!this.members.includes(name)) this.members = [...this.members, name].sort((a, b) => a.localeCompare(b));
  }

  absent(name) {
    this.members = this.members.filter((member) => member !== name);
  }

  // lost takes note that the connection is gone. What was held back comes again.
  lost() {
    this.joined = false;
    this.problem = '';
    this.early = null;
  }
}
