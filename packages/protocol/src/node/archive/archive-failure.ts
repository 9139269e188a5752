/** Gives failures of the system and of zstd the archive's codes, and carries coded errors between threads. */
import { messageOf, codeOf, CountersignError } from '../../error.ts';
import { archiveError, archiveErrorTable } from '../../release/archive-errors.ts';

/** What Node threw, as a coded error; a coded error is returned unchanged. `action` names the action and the file. */
export function archiveFailure(action: string, cause: unknown): CountersignError {
  if (cause instanceof CountersignError) return cause;
  const code = codeOf(cause) ?? '';
  const words = `${action}: ${code || messageOf(cause)}`;
  if (code === 'ENOSPC' || code === 'EDQUOT') return archiveError('ARCHIVE_DISK_FULL', words, { cause });
  if (code.startsWith('ZSTD_') || code.startsWith('Z_')) return archiveError('ARCHIVE_DAMAGED', words, { cause });
  return archiveError('ARCHIVE_IO', words, { cause });
}

export interface SentError {
  readonly code: string;
  readonly message: string;
  readonly context: Readonly<Record<string, unknown>>;
}

export const sendError = ({ code, message, context }: CountersignError): SentError => ({ code, message, context });

export function receiveError({ code, message, context }: SentError): CountersignError {
  return archiveError(code as keyof typeof archiveErrorTable, message, { context });
}

export const cancelled = (what: string, signal: AbortSignal): CountersignError =>
  archiveError('ARCHIVE_CANCELLED', `${what} was stopped`, { cause: signal.reason });

/** @throws ARCHIVE_CANCELLED */
export function checkCancelled(what: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw cancelled(what, signal);
}
