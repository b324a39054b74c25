// In the browser: goes on with what the server rendered.
import { StrictMode } from 'react';
import { hydrateRoot } from 'react-dom/client';
import { Client } from 'webwire';
import { Counter } from '../counter.js';
import { App } from '../react/app.jsx';

const { count } = JSON.parse(document.getElementById('state').textContent);
const counter = new Counter(new Client('/api'), count);
const root = hydrateRoot(document.getElementById('root'), <StrictMode><App counter={counter} /></StrictMode>, {
  onRecoverableError: (error) => { throw error; }, // the server rendered something else
});

window.unmount = () => root.unmount(); // for the test
