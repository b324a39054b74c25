import { createApp } from 'vue';
import { Client } from 'webwire';
import { Counter } from '../counter.js';
import App from './App.vue';

const app = createApp(App, { counter: new Counter(new Client('/api')) });
app.mount('#root');

window.unmount = () => app.unmount(); // for the test
