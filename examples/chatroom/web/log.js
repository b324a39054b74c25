// The conversation: the messages and notices of one room, and below the messages that
// are not sent yet.

import { $, avatar, day, dayName, el, hue, linked, locale, time } from './dom.js';

const GROUP = 5 * 60_000; // messages of one author within this time belong together
const WAITING = 50; // unsent messages that are shown; more are counted
const NEAR = 60; // pixels from the end are still the end

export class Log {
  #scroller = $('scroller');
  #list = $('messages');
  #pending = $('pending');
  #earlier = $('earlier');
  #toEnd = $('to-end');
  #empty = $('empty');
  #atEnd = true;
  #room;
  #actions;
  #loading; // room whose earlier messages are being loaded
  #frame; // request for settle
  #waiting; // returns the unsent messages, if they have changed
  #follow = false; // scroll to the end

  // actions has the functions retry(id), discard(id) and earlier(), which returns a
  // promise.
  constructor(actions) {
    this.#scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    this.#toEnd.addEventListener('click', () => this.toEnd(true));
    this.#actions = actions;
    this.#earlier.addEventListener('click', () => this.#showEarlier());
    this.#pending.addEventListener('click', ({ target }) => {
      const action = target.closest('button')?.dataset.action;
      if (action) this.#actions[action](target.closest('li').dataset.id);
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
    this.#waiting = undefined;
    this.#showUnsent(unsent);
    this.#earlierError('');
    this.#update();
    this.toEnd();
    this.#fill();
  }

  // add shows new messages of the room at the end.
  add(messages, me) {
    const follow = this.#atEnd || messages.some((m) => m.name === me);
    this.#append(messages, me);
    this.#update();
    if (follow) this.#soon(true);
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
  }

  // notice shows that somebody joined or left. Leaving and joining cancel each other out.
  notice(name, what) {
    const last = this.#list.lastElementChild;
    if (last?.dataset.notice === `${name} ${what === 'left' ? 'joined' : 'left'}`) {
      last.remove();
      return;
    }
    this.#list.append(el('li', { class: 'notice', 'data-notice': `${name} ${what}` }, el('bdi', {}, name), ` ${what}`));
    if (this.#atEnd) this.#soon(true);
  }

  // unsent shows the items that the function returns, in the next frame: they may change
  // many times until then.
  unsent(items) {
    this.#waiting = items;
    this.#soon(this.#atEnd);
  }

  // soon settles once per frame: layout is slow.
  #soon(follow) {
    this.#follow ||= follow;
    this.#frame ??= requestAnimationFrame(() => this.#settle());
  }

  #settle() {
    const more = this.#waiting && this.#showUnsent(this.#waiting());
    const follow = this.#follow || more;
    this.#frame = this.#waiting = undefined;
    this.#follow = false;
    if (follow) this.toEnd();
  }

  // showUnsent shows these items, and reports whether the last one is new. It shows only
  // the last WAITING of the waiting ones, and keeps the elements that exist.
  #showUnsent(items) {
    const shown = new Map([...this.#pending.children].map((item) => [item.dataset.id, item]));
    const waiting = items.filter(({ failed }) => !failed);
    const hidden = new Set(waiting.slice(0, -WAITING));
    $('pending-more').textContent = hidden.size ? `${hidden.size} more ${hidden.size === 1 ? 'message waits' : 'messages wait'} to be sent` : '';
    const wanted = items.filter((item) => !hidden.has(item)).map((item) => {
      const old = shown.get(item.id);
      return old?.classList.contains('failed') === Boolean(item.failed) ? old : pendingItem(item);
    });
    const keep = new Set(wanted);
    for (const item of shown.values()) {
      if (!keep.has(item)) item.remove();
    }
    let next = this.#pending.firstElementChild;
    for (const item of wanted) {
      if (item === next) next = next.nextElementSibling;
      else this.#pending.insertBefore(item, next);
    }
    this.#empty.hidden ||= items.length > 0;
    const last = items.at(-1);
    return Boolean(last) && !shown.has(last.id);
  }

  // fill loads earlier messages while there is less than a screen of them above.
  #fill() {
    const { scrollTop, clientHeight } = this.#scroller;
    if (scrollTop < clientHeight && !this.#earlier.hidden && !$('earlier-error').textContent) this.#showEarlier();
  }

  async #showEarlier() {
    const room = this.#room;
    if (this.#loading === room) return;
    this.#loading = room;
    this.#earlierError('');
    try {
      await this.#actions.earlier();
    } catch (error) {
      if (room === this.#room && room.joined) this.#earlierError(`Earlier messages cannot be shown: ${error.message}`);
    }
    if (this.#loading === room) this.#loading = undefined;
    if (room === this.#room && room.joined) this.#fill();
  }

  #earlierError(text) {
    $('earlier-error').textContent = text;
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
      if (this.#lastMessage()?.dataset.of !== of) this.#list.append(el('li', { class: 'day', 'data-day': of }, el('bdi', { lang: locale })));
      this.#list.append(messageItem(m, me, this.#list.lastElementChild));
    }
  }

  // nameDays updates the names of days: today is yesterday after midnight.
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
    if (!earlier && document.activeElement === this.#earlier) this.#scroller.focus({ preventScroll: true });
    this.#earlier.hidden = !earlier;
    this.#empty.hidden = messages.length > 0 || this.#pending.childElementCount > 0 || !known;
    this.#empty.textContent = `Nobody has said anything in ${name} yet. Be the first.`;
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    this.#atEnd = scrollHeight - clientHeight - scrollTop < NEAR;
    if (this.#atEnd) this.#toEnd.hidden = true;
    this.#fill();
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
      { class: 'bubble', dir: 'auto' }, // by the text: the name is isolated
      el('bdi', { class: mine || follows ? 'visually-hidden' : 'author', 'data-hue': hue(m.name) }, mine ? 'You' : m.name),
      el('p', { class: 'text' }, ...linked(m.text)),
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
      { class: 'bubble', dir: 'auto' },
      el('p', { class: 'text' }, text),
      el('span', { class: 'state', dir: 'ltr' }, ...(failed ? [`Not sent: ${failed}`] : ['Not sent yet, written at ', time(at)])),
      failed ? el('button', { type: 'button', class: 'quiet', 'data-action': 'retry' }, 'Try again') : null,
      failed ? el('button', { type: 'button', class: 'quiet', 'data-action': 'discard' }, 'Delete') : null,
    ),
  );
}
