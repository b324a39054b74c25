// The conversation: messages of one room, notices among them, and below what is
// not sent yet.

import { $, avatar, day, dayName, el, hue, linked, time } from './dom.js';

const GROUP = 5 * 60_000; // messages of one author within this time belong together
const NEAR = 60; // pixels from the end that count as the end

export class Log {
  #scroller = $('scroller');
  #list = $('messages');
  #pending = $('pending');
  #earlier = $('earlier');
  #toEnd = $('to-end');
  #empty = $('empty');
  #atEnd = true;
  #room;

  // actions has the functions retry(id), discard(id) and earlier().
  constructor(actions) {
    this.#scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    this.#toEnd.addEventListener('click', () => this.toEnd(true));
    this.#earlier.addEventListener('click', async () => {
      this.#earlier.disabled = true;
      await actions.earlier();
      this.#earlier.disabled = false;
    });
    this.#pending.addEventListener('click', ({ target }) => {
      const action = target.closest('button')?.dataset.action;
      if (action) actions[action](target.closest('li').dataset.id);
    });
    // A keyboard appears, the message field grows: the last message stays in view.
    new ResizeObserver(() => this.#atEnd && this.toEnd()).observe(this.#scroller);
  }

  // show shows a room from its first known message on.
  show(room, me, unsent) {
    this.#room = room;
    this.#silently(() => {
      this.#list.replaceChildren();
      this.#append(room.messages, me);
    });
    this.unsent(unsent);
    this.#update();
    this.toEnd();
  }

  // add shows new messages of the room at the end.
  add(messages, me) {
    const follow = this.#atEnd || messages.some((m) => m.name === me);
    this.#append(messages, me);
    this.#update();
    if (follow) this.toEnd();
    else if (messages.length) this.#toEnd.hidden = false;
  }

  // prepend shows earlier messages; what is in view stays there.
  prepend(messages, me) {
    const fromEnd = this.#scroller.scrollHeight - this.#scroller.scrollTop;
    this.#silently(() => {
      const rest = [...this.#list.children];
      this.#list.replaceChildren();
      this.#append(messages, me);
      const last = this.#list.lastElementChild;
      if (rest[0]?.dataset.day && rest[0].dataset.day === last?.dataset.of) rest.shift();
      this.#list.append(...rest);
    });
    this.#update();
    this.#scroller.scrollTop = this.#scroller.scrollHeight - fromEnd;
    if (this.#earlier.hidden) this.#scroller.focus({ preventScroll: true });
  }

  // notice shows that somebody came or left. It does not last: one line says what
  // happened since the last message.
  notice(name, what) {
    const last = this.#list.lastElementChild;
    if (last?.dataset.notice === `${name} ${what === 'left' ? 'joined' : 'left'}`) {
      last.remove();
      return;
    }
    this.#list.append(el('li', { class: 'notice', 'data-notice': `${name} ${what}` }, el('bdi', {}, name), ` ${what}`));
    if (this.#atEnd) this.toEnd();
  }

  // unsent shows what the server does not have yet.
  unsent(items) {
    const before = this.#pending.childElementCount;
    this.#pending.replaceChildren(...items.map(pendingItem));
    this.#empty.hidden ||= items.length > 0;
    if (this.#atEnd || items.length > before) this.toEnd();
  }

  toEnd(smooth = false) {
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    this.#scroller.scrollTo({ top: this.#scroller.scrollHeight, behavior: smooth && !calm ? 'smooth' : 'instant' });
    this.#toEnd.hidden = true;
    this.#atEnd = true;
  }

  #append(messages, me) {
    for (const m of messages) {
      const of = day(m.time);
      if (this.#lastMessage()?.dataset.of !== of) this.#list.append(el('li', { class: 'day', 'data-day': of }, el('span')));
      this.#list.append(messageItem(m, me, this.#list.lastElementChild));
    }
  }

  // nameDays: what was today when it was shown may be yesterday by now.
  #nameDays() {
    for (const item of this.#list.querySelectorAll('.day')) {
      const name = dayName(item.dataset.day);
      if (item.textContent !== name) item.firstChild.textContent = name;
    }
  }

  #lastMessage() {
    let item = this.#list.lastElementChild;
    while (item && !item.dataset.of) item = item.previousElementSibling;
    return item;
  }

  // silently changes the log without having it read out.
  #silently(change) {
    const log = $('log');
    log.setAttribute('aria-live', 'off');
    change();
    requestAnimationFrame(() => log.setAttribute('aria-live', 'polite'));
  }

  #update() {
    this.#nameDays();
    const { name, messages, earlier, known } = this.#room;
    this.#earlier.hidden = !earlier;
    this.#empty.hidden = messages.length > 0 || this.#pending.childElementCount > 0 || !known;
    this.#empty.textContent = `Nobody has said anything in ${name} yet. Be the first.`;
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    this.#atEnd = scrollHeight - clientHeight - scrollTop < NEAR;
    if (this.#atEnd) this.#toEnd.hidden = true;
  }
}

function messageItem(m, me, before) {
  const mine = m.name === me;
  const follows = before?.dataset.name === m.name && new Date(m.time) - new Date(before.dataset.time) < GROUP;
  return el(
    'li',
    {
      class: `message ${mine ? 'mine' : 'theirs'}${follows ? '' : ' first'}`,
      'data-id': m.id, 'data-name': m.name, 'data-time': m.time, 'data-of': day(m.time),
    },
    mine ? null : avatar(m.name),
    el(
      'div',
      { class: 'bubble' },
      el('bdi', { class: mine || follows ? 'visually-hidden' : 'author', 'data-hue': hue(m.name) }, mine ? 'You' : m.name),
      el('p', { class: 'text', dir: 'auto' }, ...linked(m.text)),
      time(m.time),
    ),
  );
}

function pendingItem({ id, text, time: at, failed }) {
  return el(
    'li',
    { class: `message mine first ${failed ? 'failed' : 'waiting'}`, 'data-id': id },
    el(
      'div',
      { class: 'bubble' },
      el('p', { class: 'text', dir: 'auto' }, text),
      el('span', { class: 'state' }, ...(failed ? [`Not sent: ${failed}`] : ['Not sent yet, written at ', time(at)])),
      failed ? el('button', { type: 'button', class: 'quiet', 'data-action': 'retry' }, 'Try again') : null,
      failed ? el('button', { type: 'button', class: 'quiet', 'data-action': 'discard' }, 'Delete') : null,
    ),
  );
}
