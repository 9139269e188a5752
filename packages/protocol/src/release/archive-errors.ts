/** Error codes for archives: packing, unpacking and the unpacked trees. */
import { errorsOf } from '../error.ts';

export const archiveErrorTable = {
  ARCHIVE_NAME: {
    meaning: 'A file name inside a component cannot exist alike on every system, or would leave its folder.',
    hint: 'use letters, digits and ._+@- or inner spaces, no name that Windows reserves, at most 120 characters for the path',
  },
  ARCHIVE_COLLISION: {
    meaning: 'Two names inside a component are the same file where case is ignored, or one is a file and a folder.',
    hint: 'rename one of the two in the component and pack it again',
  },
  ARCHIVE_LIMIT: {
    meaning: 'A component has more files, bytes or levels of folders than an archive may hold.',
    hint: 'split the component, or leave out what does not belong to it',
  },
  ARCHIVE_ENTRY: {
    meaning: 'An archive or a component holds something other than regular files and folders, or unusual permissions.',
    hint: 'replace links, devices and setuid files by ordinary files and pack again',
  },
  ARCHIVE_DAMAGED: {
    meaning: 'An archive is not exactly one zstd frame around one strict tar, or is cut short, or has bytes left over.',
    hint: 'only archives made by countersign pack are accepted; make or fetch this one again',
  },
  ARCHIVE_DIGEST: {
    meaning: 'An archive differs in length or sha256 from what was signed.',
    hint: 'fetch it again; if it stays different, do not install it and tell the vendor',
  },
  ARCHIVE_DECLARED: {
    meaning: 'An archive unpacks to other numbers of files or bytes than its signed statement declares.',
    hint: 'do not install it and tell the vendor: the statement and the archive were not made together',
  },
  ARCHIVE_DISK_FULL: {
    meaning: 'The disk or the quota was exhausted while an archive was written or unpacked.',
    hint: 'free space on that disk and try again; nothing was left behind',
  },
  ARCHIVE_IO: {
    meaning: 'The operating system refused to read or write a file of an archive.',
    hint: 'see the system error in the message; check the disk and the permissions of the folder',
  },
  ARCHIVE_TARGET: {
    meaning: 'The folder to unpack into already exists, or its parent is missing.',
    hint: 'name a folder that does not exist yet inside one that does',
  },
  ARCHIVE_SOURCE_CHANGED: {
    meaning: 'A file changed while it was being packed.',
    hint: 'stop whatever writes into the component folder and pack again',
  },
  ARCHIVE_CANCELLED: {
    meaning: 'Packing, unpacking or checking was stopped on request.',
    hint: 'nothing was left behind; start it again when wanted',
  },
  ARCHIVE_TREE_CHANGED: {
    meaning: 'Installed files differ from what was unpacked: changed, missing, extra or of another kind.',
    hint: 'something wrote into the store; find out what, then install the component again',
  },
} as const;

export const archiveError = errorsOf(archiveErrorTable);
