/** Error codes of what the programs share on Node: files, sources of metadata, downloads, the command line. */
import { errorsOf } from '../error.ts';

export const nodeErrorTable = {
  USAGE: {
    meaning: 'A command was called with an unknown, missing or wrong argument.',
    hint: 'see the command with --help',
  },
  INTERNAL: {
    meaning: 'A defect of the program itself: an unexpected error.',
    hint: 'run it again with COUNTERSIGN_DEBUG=1 to see where, and report it with that output',
  },
  FILE_READ: {
    meaning: 'A file that is there cannot be read, or is larger than it may be.',
    hint: 'check who owns the file and that the disk is sound',
  },
  FILE_WRITE: {
    meaning: 'A file or folder cannot be written.',
    hint: 'check who owns the folder and that the disk is sound',
  },
  DISK_FULL: {
    meaning: 'The disk or the quota is full; nothing was half-written.',
    hint: 'free some space and try again',
  },
  SOURCE_UNREACHABLE: {
    meaning: 'The server was not reached: no route, no such name, refused, or no trusted TLS connection.',
    hint: 'check the network, the proxy, the server address and its certificate',
  },
  SOURCE_TIMEOUT: {
    meaning: 'The server stopped answering, or was so slow that a whole request took longer than it may.',
    hint: 'try again later; if it stays so, look for a proxy that holds connections back',
  },
  SOURCE_REDIRECT: {
    meaning: 'The server answered with a redirect, which is never followed.',
    hint: 'configure the address the repository really has',
  },
  SOURCE_STATUS: {
    meaning: 'The server answered with an HTTP status that is neither success nor, for metadata, "not found".',
    hint: 'see the log of the server or proxy',
  },
  SOURCE_TOO_LARGE: {
    meaning: 'The server sends more bytes than the file may have.',
    hint: 'nothing valid is that large; the server is wrong or hostile',
  },
  SOURCE_BROKEN: {
    meaning: 'The connection ended before the whole answer was there, or the answer contradicts itself.',
    hint: 'try again; what arrived of a large file is kept and continued',
  },
  SOURCE_STOPPED: {
    meaning: 'The transfer was stopped from here.',
    hint: 'start it again; what arrived of a large file is kept and continued',
  },
  VERIFIERS_DISAGREE: {
    meaning: 'The second TUF verifier refuses, or finds another target than the first one did. Nothing is installed.',
    hint: 'one of the two verifiers has a defect, or someone is using one: keep the metadata and report it',
  },
  VERIFIER_FAILED: {
    meaning: 'The second TUF verifier broke off or gave no answer in time, which counts as a refusal.',
    hint: 'try again; if it stays so, see whether memory or the temporary folder is exhausted',
  },
} as const;

export const nodeError = errorsOf(nodeErrorTable);
