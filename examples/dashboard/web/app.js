// The dashboard: which metrics there are, which of them are plotted, and how the connection is.

import { Client } from './webwire/index.js';

const SPAN = 60_000; // milliseconds that are plotted
const AT_FIRST = ['web.requests', 'web.latency', 'api.cpu', 'queue.connections', 'database.disk', 'search.errors'];

const $ = (id) => document.getElementById(id);
const client = new Client('ws');
export const cards = new Map(); // of the metrics that are plotted, by name

const shown = (v) => v.toLocaleString('en', { maximumFractionDigits: v < 10 ? 2 : 0 });

// A card follows a metric from what the server keeps of it on, and plots the last minute.
class Card {
  points = []; // {T, V}; V is null where points are lost
  element = $('card').content.firstElementChild.cloneNode(true);
  #left = new AbortController();

  constructor({ Name, Service, Title, Unit }) {
    Object.assign(this.element.dataset, { metric: Name, service: Service });
    this.#write({ title: Title, service: Service, unit: Unit });
    this.element.querySelector('button').onclick = () => choose(Name, false);
    this.#follow(Name).catch((error) => this.#write({ error: error.message }));
  }

  #write(texts) {
    for (const [name, text] of Object.entries(texts)) this.element.querySelector(`.${name}`).textContent = text;
  }

  async #follow(name) {
    const onGap = () => this.points.length && this.points.push({ ...this.points.at(-1), V: null });
    for await (const { payload } of client.subscribe(name, { since: 0, signal: this.#left.signal, onGap })) {
      const point = payload.json();
      this.points.push(point);
      while (this.points[0].T < point.T - SPAN) this.points.shift();
    }
  }

  leave() {
    this.#left.abort();
    this.element.remove();
  }

  draw() {
    const values = this.points.map(({ V }) => V).filter((v) => v !== null);
    if (!values.length) return;
    const [low, high, { T: end }] = [Math.min(...values), Math.max(...values), this.points.at(-1)];
    this.#write({ value: shown(values.at(-1)), low: shown(low), high: shown(high) });
    const canvas = this.element.querySelector('canvas');
    const [width, height] = [canvas.width, canvas.height] = [canvas.clientWidth, canvas.clientHeight].map((n) => n * devicePixelRatio);
    const context = canvas.getContext('2d');
    context.strokeStyle = getComputedStyle(canvas).color;
    context.lineWidth = 1.75 * devicePixelRatio;
    let broken = true;
    for (const { T, V } of this.points) {
      const at = [width * (1 - (end - T) / SPAN), height * (0.95 - 0.9 * ((V - low) / (high - low || 1)))];
      if (V !== null) context[broken ? 'moveTo' : 'lineTo'](...at);
      broken = V === null;
    }
    context.stroke();
  }
}

// choose begins or ends to plot a metric.
function choose(name, yes) {
  if (yes) {
    cards.set(name, new Card(metrics.find(({ Name }) => Name === name)));
    $('plots').append(cards.get(name).element);
  } else {
    cards.get(name).leave();
    cards.delete(name);
  }
  $(name).checked = yes;
  localStorage.setItem('dashboard', JSON.stringify([...cards.keys()]));
}

function addToPicker({ Name, Service, Title }) {
  const group = $('picker').querySelector(`[data-service=${Service}]`);
  const label = group.appendChild(document.createElement('label'));
  const box = label.appendChild(document.createElement('input'));
  Object.assign(box, { type: 'checkbox', id: Name, onchange: () => choose(Name, box.checked) });
  label.append(Title);
}

const showStatus = ({ status }) => Object.assign($('status'), { textContent: status }).dataset.status = status;
client.addEventListener('statuschange', showStatus);
$('pick').onclick = () => $('pick').setAttribute('aria-expanded', $('picker').classList.toggle('open'));
showStatus(client);

const metrics = (await client.request('metrics', null, { timeout: Infinity })).json();
metrics.forEach(addToPicker);
for (const name of JSON.parse(localStorage.getItem('dashboard')) ?? AT_FIRST) choose(name, true);
setInterval(() => cards.forEach((card) => card.draw()), 50); // points come no faster
