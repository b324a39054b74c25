// One room as this page knows it: its messages by their numbers, without gaps, and
// who is there.

// roomKey is what names of a room have in common: case does not tell rooms apart.
export const roomKey = (name) => name.toLowerCase();

export class Room {
  messages = [];
  earlier = false; // the server has messages before those
  members = [];
  unread = 0;
  joined = false; // on this connection
  known = false; // it was joined before
  early = null; // signals that came before the answer to the join that they follow

  problem = ''; // why it could not be entered

  constructor(name) {
    this.name = name; // as the server spells it, once it said so
  }

  get key() {
    return roomKey(this.name);
  }

  get last() {
    return this.messages.at(-1)?.seq ?? 0;
  }

  // entered takes the answer to a join. It returns the messages that are new, and
  // whether they are all there is to show: too much was missed.
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

  // add takes a message and tells whether it is new.
  add(message) {
    if (message.seq <= this.last) return false;
    this.messages.push(message);
    return true;
  }

  // prepend takes a page of earlier messages.
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
