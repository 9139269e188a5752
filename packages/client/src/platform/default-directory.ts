/** Where a device lives unless told otherwise. */
import { homedir } from 'node:os';
import { join } from 'node:path';

export function defaultDirectory(): string {
  if (process.platform === 'win32') return join(process.env.ProgramData ?? 'C:\\ProgramData', 'Countersign');
  return process.geteuid?.() === 0 ? '/var/lib/countersign' : join(homedir(), '.local', 'share', 'countersign');
}
