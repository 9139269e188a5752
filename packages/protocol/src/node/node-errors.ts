/** Codes of what the programs share on Node: files, sources of metadata, downloads, the command line. */
import { errorsOf } from '../error.ts';

export const nodeErrorTable = {
  USAGE: {
    meaning: 'A command was called with an unknown, missing or wrong argument.',
    hint: 'see the command with --help',
  },
  INTERNAL: {
    meaning: 'A defect of the program itself: an error that nobody foresaw.',
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
} as const;

export const nodeError = errorsOf(nodeErrorTable);
