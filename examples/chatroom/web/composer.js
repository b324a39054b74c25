// The field for writing messages. Its text survives a reload, in each room.

import { $ } from './dom.js';
import { MAX_TEXT } from './chat.js';
import { tab } from './storage.js';

const DRAFT = 'chatroom.draft.';
const WARN = 200; // characters left from which on they are counted

export class Composer {
  #text = $('text');
  #touch = matchMedia('(pointer: coarse)');
  #room;

  // actions has the functions say(text) and typing().
  constructor(actions) {
    this.#text.addEventListener('input', () => {
      this.#keep();
      if (this.#text.value.trim()) actions.typing();
    });
    // On a touch screen the key makes a new line, as it does everywhere there.
    this.#text.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing || this.#touch.matches) return;
      event.preventDefault();
      $('composer').requestSubmit();
    });
    $('composer').addEventListener('submit', (event) => {
      event.preventDefault();
      const text = this.#text.value.trim();
      if (!text || tooLong(text)) return;
      actions.say(text);
      this.#text.value = '';
      this.#keep();
      this.focus();
    });
  }

  show({ key, name }) {
    this.#room = key;
    this.#text.value = tab.get(DRAFT + key) ?? '';
    $('text-label').textContent = `Message to ${name}`;
    this.#fit();
  }

  // forget removes the drafts of all rooms: another user may sign in.
  forget() {
    for (const key of tab.keys()) {
      if (key.startsWith(DRAFT)) tab.remove(key);
    }
    this.#text.value = '';
  }

  focus() {
    this.#text.focus({ preventScroll: true });
  }

  // On a touch screen focus would open the keyboard.
  focusUnlessTouch() {
    if (!this.#touch.matches) this.focus();
  }

  #keep() {
    if (this.#text.value) tab.set(DRAFT + this.#room, this.#text.value);
    else tab.remove(DRAFT + this.#room);
    this.#fit();
  }

  #fit() {
    const text = this.#text;
    text.style.height = 'auto';
    text.style.height = `${text.scrollHeight}px`;
    const left = MAX_TEXT - [...text.value.trim()].length;
    $('send').disabled = !text.value.trim() || left < 0;
    $('text-count').textContent = left < 0 ? `${-left} characters too many` : left < WARN ? `${left} characters left` : '';
    $('text-count').classList.toggle('error', left < 0);
  }
}

const tooLong = (text) => [...text].length > MAX_TEXT;
