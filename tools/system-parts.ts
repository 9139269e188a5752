/** Lists what tests use from the system, how to check for it, and the Debian package that provides it. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const parts = {
  openssl: { present: () => runs('openssl', ['version']), debian: 'openssl' },
} as const;
export type Part = keyof typeof parts;

const runs = (command: string, args: string[]): boolean => spawnSync(command, args, { stdio: 'ignore' }).status === 0;

export const missingParts = (): Part[] => (Object.keys(parts) as Part[]).filter((part) => !parts[part].present());

/** Installs with apt-get on Debian as root; otherwise says what will be skipped. */
export function installParts(missing: readonly Part[]): void {
  const packages = missing.map((part) => parts[part].debian);
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) {
    console.log(`not on this machine, tests that need it are skipped: ${missing.join(', ')}`);
    return;
  }
  console.log(`installing for the tests: apt-get install ${packages.join(' ')}`);
  const options = { stdio: 'inherit', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } } as const;
  spawnSync('apt-get', ['-q', 'update'], options);
  spawnSync('apt-get', ['-qy', 'install', '--no-install-recommends', ...packages], options);
}

/** For a test's `skip` option: false when the part is there, else its name. Never skips under CI, where it then fails. */
export const without = (part: Part): string | false =>
  parts[part].present() || process.env.CI === 'true' ? false : `${part} is not on this machine`;
