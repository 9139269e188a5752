/** Where a server keeps what is its own: keys, publishers, what it was shipped. Never served. */
import { join } from 'node:path';

export const stateFolder = (directory: string): string => join(directory, 'server');
