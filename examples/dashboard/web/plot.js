// Draws a series on a canvas.

import { SPAN } from './series.js';

const STEPS = [1, 2, 2.5, 5, 10];
const TOP = 8; // pixels around the plot
const BOTTOM = 20;
const LEFT = 42;
const RIGHT = 6;

// scale returns the round numbers between which values are plotted, and the step of the grid.
function scale(points) {
  let low = Infinity;
  let high = -Infinity;
  for (const { v } of points) {
    if (v === null) continue;
    if (v < low) low = v;
    if (v > high) high = v;
  }
  if (low > high) return { low: 0, high: 1, step: 0.5 };
  const room = (high - low || high || 1) * 0.05;
  const raw = (high - low + 2 * room) / 4;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = unit * STEPS.find((n) => n * unit >= raw);
  return { low: Math.max(0, Math.floor((low - room) / step) * step), high: Math.ceil((high + room) / step) * step, step };
}

export const shown = (v) => v.toLocaleString('en', { maximumFractionDigits: v < 10 ? 2 : v < 100 ? 1 : 0 });

export class Plot {
  #canvas;
  #context;
  #low = 0; // where the scale is now: it glides
  #high = 0;

  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext('2d');
  }

  // draw draws the last minute before now, a time of the server.
  draw(points, now) {
    const canvas = this.#canvas;
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!width) return;
    const dots = devicePixelRatio;
    if (canvas.width !== Math.round(width * dots) || canvas.height !== Math.round(height * dots)) {
      canvas.width = Math.round(width * dots);
      canvas.height = Math.round(height * dots);
    }
    const style = getComputedStyle(canvas);
    const c = this.#context;
    c.setTransform(dots, 0, 0, dots, 0, 0);
    c.clearRect(0, 0, width, height);
    const seen = points.filter(({ t }) => t >= now - SPAN);
    const { low, high, step } = scale(seen);
    const glide = (from, to) => (this.#high && Math.abs(to - from) > (high - low) / 500 ? from + (to - from) * 0.15 : to);
    [this.#low, this.#high] = [glide(this.#low, low), glide(this.#high, high)];
    const x = (t) => LEFT + (width - LEFT - RIGHT) * (1 - (now - t) / SPAN);
    const y = (v) => height - BOTTOM - (height - TOP - BOTTOM) * ((v - this.#low) / (this.#high - this.#low));
    this.#grid(c, style, { width, height, low, high, step, x, y, now });
    this.#line(c, style, seen, x, y, height - BOTTOM);
  }

  #grid(c, style, { width, height, low, high, step, x, y, now }) {
    c.font = `11px ${style.fontFamily}`;
    c.lineWidth = 1;
    c.strokeStyle = style.getPropertyValue('--grid');
    c.fillStyle = style.getPropertyValue('--faint');
    c.textAlign = 'right';
    for (let v = low; v <= high + step / 2; v += step) {
      const at = Math.round(y(v)) + 0.5;
      c.beginPath();
      c.moveTo(LEFT, at);
      c.lineTo(width - RIGHT, at);
      c.stroke();
      if (at > 3) c.fillText(shown(v), LEFT - 7, at + 3.5);
    }
    c.textAlign = 'center';
    for (let t = Math.ceil((now - SPAN) / 15_000) * 15_000; t < now; t += 15_000) {
      if (x(t) > LEFT + 20 && x(t) < width - 26) c.fillText(new Date(t).toTimeString().slice(0, 8), x(t), height - 5);
    }
  }

  #line(c, style, points, x, y, floor) {
    const color = style.getPropertyValue('--line');
    const pieces = [[]];
    for (const point of points) {
      if (point.v === null) pieces.push([]);
      else pieces.at(-1).push(point);
    }
    for (const piece of pieces.filter(({ length }) => length)) {
      c.beginPath();
      for (const { t, v } of piece) c.lineTo(x(t), y(v));
      c.strokeStyle = color;
      c.lineWidth = 1.75;
      c.lineJoin = 'round';
      c.stroke();
      c.lineTo(x(piece.at(-1).t), floor);
      c.lineTo(x(piece[0].t), floor);
      c.globalAlpha = 0.12;
      c.fillStyle = color;
      c.fill();
      c.globalAlpha = 1;
    }
    const last = points.at(-1);
    if (last?.v == null) return;
    c.beginPath();
    c.arc(x(last.t), y(last.v), 3, 0, 7);
    c.fill();
  }
}
