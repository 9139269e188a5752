/** The client's error codes for its folder, its database and its audit trail; each larger part has its own table. */
import { errorsOf } from '@countersign/protocol';

export const clientErrorTable = {
  DEVICE_EXISTS: {
    meaning: 'init was asked to make a device where one already is.',
    hint: 'choose another folder with --dir, or use the device that is there',
  },
  DEVICE_MISSING: {
    meaning: 'The folder holds no device.',
    hint: 'make one with countersign-device init, or name its folder with --dir',
  },
  DEVICE_TOO_NEW: {
    meaning: 'The device folder was written by a newer Countersign.',
    hint: 'use the newer program; an older one does not touch newer state',
  },
  DEVICE_TOO_OLD: {
    meaning: 'The device folder was written by a Countersign from before the first release.',
    hint: 'make the device again with countersign-device init in another folder; such a folder cannot be taken over',
  },
  DEVICE_BUSY: {
    meaning: 'Another process holds the device lock and did not answer in time.',
    hint: 'wait for the running command or service, or stop it, then try again',
  },
  DEVICE_PACKAGE: {
    meaning: 'The shipped package lacks a file, or a file is not what the device took over at init.',
    hint: 'use the package folder that the vendor ships: root.json, codesign.jsonl and devices.jsonl',
  },
  INPUT_NEEDED: {
    meaning: 'A command needs something from a person, and there is no terminal to ask on.',
    hint: 'give the option that the message names, or run the command on a terminal',
  },
  CANCELLED: {
    meaning: 'The person ended the command at a question. Nothing was changed.',
    hint: 'run the command again when ready',
  },
  DECISIONS_FILE: {
    meaning:
      'The decisions file is not what the plan asks: unreadable, for another plan, or lacking a decision or accepted terms.',
    hint: 'start from the file that countersign-device plan --decisions-template FILE writes',
  },
  NOTHING_TO_DO: {
    meaning: 'There is no change in the state that the command needs.',
    hint: 'see countersign-device status',
  },
  REQUEST_REFUSED: {
    meaning:
      'What was asked for cannot be planned: it is denied by policy, not installed, not declared, or granted already.',
    hint: 'see countersign-device capability list for what can be requested here',
  },
  COMMAND_ENDED: {
    meaning: 'A program that was run inside a component could not be started.',
    hint: 'name a program of the component, as its manifest or its maker says',
  },
  RECOVERY_REQUIRED: {
    meaning:
      'The device database is lost or damaged. Installed components keep running; nothing is installed or removed.',
    hint: 'an administrator restores device.db from a backup or recovers the device as docs/operations.md says',
  },
  AUDIT_BROKEN: {
    meaning: 'The audit trail was changed after it was written, or a signature in it does not hold.',
    hint: 'keep the device folder as it is and export the trail; someone edited the database or restored an older one',
  },
  DEVICE_NOT_LOCKED: {
    meaning: 'A defect of the program itself: device state was about to be written without the device lock.',
    hint: 'report it; nothing was written',
  },
} as const;

export const clientError = errorsOf(clientErrorTable);
