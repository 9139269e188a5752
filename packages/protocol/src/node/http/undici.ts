/** Loads undici at the first connection: most commands make none, and start sooner without it. */
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

export const undici = (): typeof import('undici') => require('undici') as typeof import('undici');
