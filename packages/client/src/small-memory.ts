/**
 * Keeps a process small, which shares a controller PC with the instrument's own software: V8's young generation stays as small as it
 * starts. A large download otherwise piles up tens of megabytes of read buffers between two collections. Measured by
 * `npm run bench -- download`; what it costs elsewhere is below a fifth.
 */
import { setFlagsFromString } from 'node:v8';

setFlagsFromString('--semi-space-growth-factor=1');
