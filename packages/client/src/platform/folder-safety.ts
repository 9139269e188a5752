/**
 * Checks who owns the device's folders. A folder that is a link, or that belongs to another user, could be exchanged while the
 * service uses it. On POSIX the owner is the service's account or root and nobody else may write; on Windows the owner is an
 * administrator, the system or the service's account, and a new folder gets a protected access list.
 *
 * Must never follow a link.
 */
import { execFileSync } from 'node:child_process';
import { lstatSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { codeOf } from '@countersign/protocol';
import { platformError } from './platform-errors.ts';

/** Does nothing if the folder does not exist. @throws DEVICE_FOLDER_UNSAFE */
export function checkFolder(folder: string): void {
  const status = lstatSync(folder, { throwIfNoEntry: false });
  if (status === undefined) return;
  if (status.isSymbolicLink()) throw platformError('DEVICE_FOLDER_UNSAFE', `${folder} is a link`);
  if (!status.isDirectory()) throw platformError('DEVICE_FOLDER_UNSAFE', `${folder} is not a folder`);
  if (process.platform === 'win32') return checkWindowsOwner(folder);
  const service = process.geteuid!();
  if (!isTrustedOwner(status.uid, service))
    throw platformError('DEVICE_FOLDER_UNSAFE', `${folder} belongs to user ${status.uid}, expected ${service} or 0`);
  if ((status.mode & 0o002) !== 0)
    throw platformError('DEVICE_FOLDER_UNSAFE', `everybody may write to ${folder}`, {
      hint: `take the permission back: chmod o-w ${folder}`,
    });
}

/** POSIX: the service itself or root. */
export const isTrustedOwner = (owner: number, service: number): boolean => owner === service || owner === 0;

/** Windows: only the system, administrators and the service's account may do anything in a new data folder. */
export function protectFolder(folder: string): void {
  if (process.platform !== 'win32') return;
  const grants = ['*S-1-5-18:(OI)(CI)F', '*S-1-5-32-544:(OI)(CI)F', `${userInfo().username}:(OI)(CI)F`];
  const command = join(process.env.SystemRoot ?? 'C:\\Windows', 'System32', 'icacls.exe');
  try {
    execFileSync(command, [folder, '/inheritance:r', '/grant:r', ...grants], { stdio: 'ignore', timeout: 30_000 });
  } catch (cause) {
    throw platformError(
      'DEVICE_FOLDER_UNSAFE',
      `the access list of ${folder} cannot be set: ${codeOf(cause) ?? 'failed'}`,
      {
        cause,
      },
    );
  }
}

const checked = new Set<string>();

/** Asks once per process: starting PowerShell is slow, and only an administrator could change the owner. */
function checkWindowsOwner(folder: string): void {
  if (checked.has(folder)) return;
  const command = join(
    process.env.SystemRoot ?? 'C:\\Windows',
    'System32',
    'WindowsPowerShell',
    'v1.0',
    'powershell.exe',
  );
  const script =
    '(Get-Acl -LiteralPath $env:COUNTERSIGN_FOLDER).Sddl; [Security.Principal.WindowsIdentity]::GetCurrent().User.Value';
  let lines: string[];
  try {
    const output = execFileSync(command, ['-NoProfile', '-NonInteractive', '-Command', script], {
      env: { ...process.env, COUNTERSIGN_FOLDER: folder },
      encoding: 'utf8',
      timeout: 30_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    lines = output.trim().split(/\r?\n/);
  } catch (cause) {
    throw platformError('DEVICE_FOLDER_UNSAFE', `the owner of ${folder} cannot be read`, { cause });
  }
  const owner = ownerOfSddl(lines[0] ?? '');
  if (owner === null || !isTrustedSid(owner, lines[1] ?? ''))
    throw platformError('DEVICE_FOLDER_UNSAFE', `${folder} belongs to ${owner ?? 'nobody known'}`);
  checked.add(folder);
}

/** The owner in a security descriptor's text: a SID or its two-letter abbreviation. */
export const ownerOfSddl = (sddl: string): string | null =>
  /^O:(S-[0-9-]+|[A-Z]{2})(?=[GDS]:|$)/.exec(sddl)?.[1] ?? null;

/** Administrators (BA), local administrator (LA), the system (SY), or the account that runs the service. */
export const isTrustedSid = (owner: string, service: string): boolean =>
  ['BA', 'LA', 'SY', 'S-1-5-18', 'S-1-5-32-544'].includes(owner) || (service !== '' && owner === service);
