// On the server: a client per page would be one too many. A client does nothing until it is
// used, so that this one only gives the status.
import { renderToString } from 'react-dom/server';
import { Client } from 'webwire';
import { Counter } from '../counter.js';
import { App } from '../react/app.jsx';

export const render = (count) => renderToString(<App counter={new Counter(new Client('/api'), count)} />);
