// Rooms, people, and who one is. On narrow screens it is a drawer over the room.

import { $, avatar, el, paint } from './dom.js';

const ROOM = /^[a-z0-9][a-z0-9-]{0,23}$/;

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
      const name = input.value.trim().replace(/^#/, '').toLowerCase().replace(/\s+/g, '-');
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
    $('sidebar-close').focus();
  }

  close(focus = true) {
    if (!document.body.classList.contains('drawer')) return;
    document.body.classList.remove('drawer');
    $('sidebar-open').setAttribute('aria-expanded', 'false');
    $('room').inert = false;
    if (focus) $('sidebar-open').focus();
  }

  refused(why) {
    $('room-error').textContent = why;
    $('room-name').setAttribute('aria-invalid', Boolean(why));
  }

  me(name) {
    $('me').textContent = name;
    paint($('me-avatar'), name);
  }

  // rooms shows the list of the server, and rooms that are open here.
  rooms(list, open, current) {
    const names = new Set([...list.map(({ room }) => room), ...open.keys()]);
    const members = new Map(list.map((r) => [r.room, r.members]));
    let elsewhere = false;
    const items = [...names].map((name) => {
      const unread = name === current ? 0 : open.get(name)?.unread ?? 0;
      elsewhere ||= unread > 0;
      const here = members.get(name) ?? 0;
      return el('li', {}, el(
        'a',
        { href: `#${name}`, 'aria-current': name === current ? 'page' : null, class: open.has(name) ? 'open' : '' },
        el('span', { class: 'room-name' }, name),
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
      el('bdi', {}, name),
      name === me ? el('span', { class: 'you' }, ' (you)') : null,
    )));
  }
}
