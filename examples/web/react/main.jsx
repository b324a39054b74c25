import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { Client } from 'webwire';
import { Counter } from '../counter.js';
import { App } from './app.jsx';

const counter = new Counter(new Client('/api'));
const root = createRoot(document.getElementById('root'));
const show = (key) => root.render(<StrictMode><App key={key} counter={counter} /></StrictMode>);
show('first');

// For the test: one component replaces another, as a route does.
window.replace = () => show('second');
window.unmount = () => root.unmount();
