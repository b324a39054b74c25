export { Client } from './client.js';
export * from './errors.js';
export { Payload } from './payload.js';
