/**
 * Keeps the process small, because it shares a controller PC with the instrument's own software: V8's young generation stays at
 * its initial size. Otherwise a large download collects tens of megabytes of read buffers between two garbage collections.
 * Measured by `npm run bench -- download`; other work gets less than a fifth slower.
 */
import { setFlagsFromString } from 'node:v8';

setFlagsFromString('--semi-space-growth-factor=1');
