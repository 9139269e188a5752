/** Error codes of what differs between systems: who owns a folder. */
import { errorsOf } from '@countersign/protocol';

export const platformErrorTable = {
  DEVICE_FOLDER_UNSAFE: {
    meaning: 'The data folder is a link or belongs to someone who is neither the service nor an administrator.',
    hint: 'give the folder to the service account and make it a real folder',
  },
} as const;

export const platformError = errorsOf(platformErrorTable);
