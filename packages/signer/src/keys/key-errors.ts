/** Error codes for keys: their files, their passphrases, and the sources that a key URI names. */
import { errorsOf } from '@countersign/protocol';

export const keyErrorTable = {
  KEY_URI: {
    meaning: 'A key is named in a way that is not understood.',
    hint: 'write file:keys/NAME.age, a NAME in the folder keys of the workspace, or the path of a .age or .pub.json file',
  },
  KEY_SOURCE_UNAVAILABLE: {
    meaning: 'The key lies in a token or a vault, which this version cannot use.',
    hint: 'use an age-encrypted key file; tokens and vaults are not available yet',
  },
  KEY_NAME: {
    meaning: 'The name of a new key cannot be a file name on every system.',
    hint: 'use a-z, 0-9, _ and -, at most 63 characters, beginning with a letter or digit',
  },
  KEY_EXISTS: {
    meaning: 'A key file of that name is there already; keys are never overwritten.',
    hint: 'choose another name; move the old files away only when the key is no longer used',
  },
  KEY_MISSING: {
    meaning: 'There is no key file at the place that was named.',
    hint: 'see countersign key list; the public half NAME.pub.json must lie beside NAME.age',
  },
  KEY_FILE: {
    meaning: 'A key file is damaged, too large, or not what its name says.',
    hint: 'restore the file from its backup',
  },
  KEY_MISMATCH: {
    meaning: 'The private key does not belong to the public key that lies beside it.',
    hint: 'one of the two files was replaced: find out by whom, then restore both from the backup',
  },
  KEY_TYPE: {
    meaning: 'The key is of a type or scheme that cannot be used for this.',
    hint: 'use ed25519, ecdsa P-256, or RSA with rsassa-pss-sha256; certificates take P-256 or RSA',
  },
  KEY_PASSPHRASE_NEEDED: {
    meaning: 'A passphrase is needed and there is no terminal to ask on, or its file cannot be used.',
    hint: 'give --passphrase-file FILE, whose first line is the passphrase, or run it on a terminal',
  },
  KEY_PASSPHRASE_WRONG: {
    meaning: 'None of the given passphrases opens the key.',
    hint: 'name the right --passphrase-file, or leave it out on a terminal to be asked',
  },
  KEY_PASSPHRASE_WEAK: {
    meaning: 'The passphrase of a new key is too short.',
    hint: 'take at least 8 characters, better five random words: it is all that protects a stolen key file',
  },
  KEY_CANCELLED: {
    meaning: 'The person ended a question.',
    hint: 'run the command again; nothing was written',
  },
} as const;

export const keyError = errorsOf(keyErrorTable);
