// Small helpers for making elements. Text is always text, never HTML.

import { links } from './links.js';

export const $ = (id) => document.getElementById(id);

// el makes an element. Children are elements and strings; null is left out.
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, '');
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

// avatar shows a name's initials. It is hidden from assistive technology.
export function avatar(name) {
  const circle = el('span', { class: 'avatar', 'aria-hidden': 'true' });
  paint(circle, name);
  return circle;
}

export function paint(circle, name) {
  const [first = '', second = ''] = name.split(/[ .\-_']+/);
  circle.textContent = ([...first][0] ?? '') + ([...second][0] ?? '');
  circle.dataset.hue = hue(name);
}

// hue chooses one of the eight colours of the style sheet.
export function hue(name) {
  let sum = 0;
  for (const char of name.toLowerCase()) sum = (sum * 31 + char.codePointAt(0)) % 9973;
  return sum % 8;
}

// linked returns a text with links for its web addresses.
export function linked(text) {
  return links(text).map((part) => (
    part.href ? el('a', { href: part.href, target: '_blank', rel: 'noopener noreferrer nofollow' }, part.href) : part));
}

// Times and dates are in the reader's language, not the page's.
const clock = new Intl.DateTimeFormat(navigator.languages, { timeStyle: 'short' });
const date = new Intl.DateTimeFormat(navigator.languages, { weekday: 'long', day: 'numeric', month: 'long' });
const full = new Intl.DateTimeFormat(navigator.languages, { dateStyle: 'full', timeStyle: 'short' });
const relative = new Intl.RelativeTimeFormat(navigator.languages, { numeric: 'auto' });
export const { locale } = clock.resolvedOptions();

export function time(iso) {
  const at = new Date(iso);
  return el('time', { datetime: iso, title: full.format(at), lang: locale, dir: 'auto' }, clock.format(at));
}

// day is the date of a time, here and in ISO 8601.
export function day(iso) {
  const at = new Date(iso);
  const two = (number) => String(number).padStart(2, '0');
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

// dayName names a day as of now: today, yesterday, or a date, in the language locale.
export function dayName(iso) {
  const at = new Date(`${iso}T00:00`);
  const days = Math.round((at - new Date().setHours(0, 0, 0, 0)) / 86_400_000);
  const text = days > -2 && days < 1 ? relative.format(days, 'day') : date.format(at);
  return text[0].toLocaleUpperCase(locale) + text.slice(1);
}
