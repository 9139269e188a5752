/** The folder of the server's own state: keys, publishers, the shipped package. Never served. */
import { join } from 'node:path';

export const stateFolder = (directory: string): string => join(directory, 'server');
