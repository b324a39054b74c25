// The rooms, the people here, and the user. On narrow screens it is a drawer.

import { $, avatar, el, paint } from './dom.js';
import { roomKey } from './room.js';

const ROOM = /^[a-z0-9][a-z0-9-]{0,23}$/i;

export class Sidebar {
  #narrow = matchMedia('(max-width: 51.999rem)');

  // actions has the function enter(room).
  constructor(actions) {
    $('sidebar-open').addEventListener('click', () => this.open());
    $('sidebar-close').addEventListener('click', () => this.close());
    $('backdrop').addEventListener('click', () => this.close());
    $('sidebar').addEventListener('keydown', ({ key }) => key === 'Escape' && this.close());
    this.#narrow.addEventListener('change', () => this.close(false));
    $('room-form').addEventListener('submit', (event) => {
      event.preventDefault();
      const input = $('room-name');
      const name = input.value.trim().replace(/^#/, '').replace(/\s+/g, '-');
      const fits = ROOM.test(name);
      this.refused(fits ? '' : 'Up to 24 letters (a to z), digits and dashes.');
      if (!fits) return;
      input.value = '';
      actions.enter(name);
    });
  }

  open() {
    document.body.classList.add('drawer');
    $('sidebar-open').setAttribute('aria-expanded', 'true');
    $('room').inert = true;
    $('sidebar').setAttribute('role', 'dialog');
    $('sidebar').setAttribute('aria-modal', 'true');
    $('sidebar-close').focus();
  }

  close(focus = true) {
    if (!document.body.classList.contains('drawer')) return;
    document.body.classList.remove('drawer');
    $('sidebar-open').setAttribute('aria-expanded', 'false');
    $('room').inert = false;
    $('sidebar').setAttribute('role', 'complementary');
    $('sidebar').removeAttribute('aria-modal');
    if (focus) $('sidebar-open').focus();
  }

  refused(why) {
    $('room-error').textContent = why;
    $('room-name').setAttribute('aria-invalid', Boolean(why));
  }

  me(name) {
    $('me').textContent = name;
    $('me').title = name;
    paint($('me-avatar'), name);
  }

  // rooms shows the list of the server, and rooms that are open here. Those are by
  // key, of which one is current.
  rooms(list, open, current) {
    const rooms = new Map(list.map((room) => [roomKey(room.room), room]));
    for (const [key, { name }] of open) {
      if (!rooms.has(key)) rooms.set(key, { room: name, members: 0 });
    }
    let elsewhere = false;
    const items = [...rooms].map(([key, { room: name, members: here }]) => {
      const unread = key === current ? 0 : open.get(key)?.unread ?? 0;
      elsewhere ||= unread > 0;
      return el('li', {}, el(
        'a',
        { href: `#${name}`, 'aria-current': key === current ? 'page' : null, class: open.has(key) ? 'open' : '' },
        el('span', { class: 'room-name', title: name }, name),
        unread ? el('span', { class: 'badge' }, unread > 99 ? '99+' : String(unread), el('span', { class: 'visually-hidden' }, ' unread')) : null,
        here && !unread ? el('span', { class: 'here', title: `${here} here` }, String(here), el('span', { class: 'visually-hidden' }, ' here')) : null,
      ));
    });
    const focused = document.activeElement?.closest?.('#rooms a')?.hash;
    $('rooms').replaceChildren(...items);
    if (focused) $('rooms').querySelector(`a[href="${focused}"]`)?.focus();
    $('unread-elsewhere').hidden = !elsewhere;
  }

  people(members, me) {
    $('people').replaceChildren(...members.map((name) => el(
      'li',
      {},
      avatar(name),
      el('bdi', { title: name }, name),
      name === me ? el('span', { class: 'you' }, ' (you)') : null,
    )));
  }
}
