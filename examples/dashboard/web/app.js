// The dashboard: which metrics there are, which of them are plotted, and how the connection is.

import { Client } from './webwire/index.js';
import { Plot, shown } from './plot.js';
import { Series } from './series.js';

const CHOSEN = 'dashboard:chosen';
const AT_FIRST = ['web.requests', 'web.latency', 'api.cpu', 'queue.connections', 'database.disk', 'search.errors'];

const find = (id) => document.getElementById(id);

export const client = new Client('ws');
export const cards = new Map(); // of the metrics that are plotted, by name

let metrics = [];
let skew = Infinity; // of this clock and the server's, at least: less what a message takes
let points = 0; // since the rate was shown

function make(tag, className, text = '') {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

// A card plots a metric.
class Card {
  element;
  series;
  #plot;
  #value = make('output', 'value');

  constructor({ name, service, title, unit }) {
    this.series = new Series(client, name, ({ t }) => {
      skew = Math.min(skew, Date.now() - t);
      points++;
    });
    this.element = make('article', 'card');
    this.element.dataset.metric = name;
    this.element.dataset.service = service;
    const head = make('h2', 'name', title);
    head.append(make('span', 'service', service));
    const value = make('p', 'now');
    value.append(this.#value, make('span', 'unit', unit));
    const close = make('button', 'close', '×');
    close.setAttribute('aria-label', `Do not plot ${title} of ${service}`);
    close.onclick = () => choose(name, false);
    const canvas = make('canvas', 'plot');
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', `${title} of ${service}, the last minute`);
    this.element.append(head, value, close, canvas);
    this.#plot = new Plot(canvas);
    this.#follow();
  }

  async #follow() {
    try {
      await this.series.follow();
    } catch (error) {
      if (error.name === 'AbortError') return;
      this.element.classList.add('failed');
      this.element.dataset.error = error.message;
    }
  }

  draw(now) {
    const { latest } = this.series;
    this.#value.textContent = latest === undefined ? '–' : shown(latest);
    this.#plot.draw(this.series.points, now);
  }
}

// choose begins or ends to plot a metric.
function choose(name, yes) {
  const metric = metrics.find((each) => each.name === name);
  if (!metric || yes === cards.has(name)) return;
  if (yes) {
    cards.set(name, new Card(metric));
  } else {
    cards.get(name).series.leave();
    cards.get(name).element.remove();
    cards.delete(name);
  }
  const chosen = metrics.map((each) => each.name).filter((each) => cards.has(each));
  find('plots').append(...chosen.map((each) => cards.get(each).element));
  find('empty').hidden = chosen.length > 0;
  find(`pick ${name}`).checked = yes;
  localStorage.setItem(CHOSEN, JSON.stringify(chosen));
}

function showPicker() {
  for (const service of new Set(metrics.map((metric) => metric.service))) {
    const group = make('fieldset', 'group');
    group.dataset.service = service;
    group.append(make('legend', '', service));
    for (const { name, title } of metrics.filter((metric) => metric.service === service)) {
      const label = make('label', '');
      const box = make('input', '');
      box.type = 'checkbox';
      box.id = `pick ${name}`;
      box.onchange = () => choose(name, box.checked);
      label.append(box, title);
      group.append(label);
    }
    find('picker').append(group);
  }
}

function chosen() {
  try {
    return JSON.parse(localStorage.getItem(CHOSEN)) ?? AT_FIRST;
  } catch {
    return AT_FIRST;
  }
}

function showStatus() {
  const { status } = client;
  const offline = !navigator.onLine && status !== 'connected';
  const element = find('status');
  element.dataset.status = offline ? 'offline' : status;
  element.textContent = offline ? 'offline' : status;
}

// Canvases are drawn again twenty times a second: points come no faster.
let drawn = 0;
let edge = 0;
function frame(at) {
  requestAnimationFrame(frame);
  if (at - drawn < 45) return;
  drawn = at;
  // While nothing comes the plots stand still.
  if (client.status === 'connected' && skew < Infinity) edge = Date.now() - skew;
  for (const { series } of cards.values()) edge = Math.max(edge, series.points.at(-1)?.t ?? 0);
  for (const card of cards.values()) card.draw(edge);
}

const save = () => cards.forEach(({ series }) => series.save());

client.addEventListener('statuschange', showStatus);
addEventListener('online', showStatus);
addEventListener('offline', showStatus);
addEventListener('pagehide', save);
document.addEventListener('visibilitychange', () => document.hidden && save());
find('pick').onclick = () => {
  const open = find('picker').classList.toggle('open');
  find('pick').setAttribute('aria-expanded', open);
};
setInterval(() => {
  find('rate').textContent = `${points} points/s`;
  points = 0;
}, 1000);
showStatus();

metrics = (await client.request('metrics', {}, { timeout: Infinity })).json();
showPicker();
find('empty').hidden = false;
for (const name of chosen()) choose(name, true);
requestAnimationFrame(frame);
