/** Error codes of the workspace, its change and publishing; keys, artifacts and code signing have their own tables. */
import { errorsOf } from '@countersign/protocol';

export const signerErrorTable = {
  WORKSPACE_MISSING: {
    meaning: 'The folder holds no signer workspace.',
    hint: 'make one with countersign init, or name its folder with --workspace',
  },
  WORKSPACE_EXISTS: {
    meaning: 'init was asked to make a workspace where one already is.',
    hint: 'choose another folder with --workspace, or use the workspace that is there',
  },
  WORKSPACE_DAMAGED: {
    meaning: 'A file of the workspace is missing, cannot be read, or is not what the metadata beside it says.',
    hint: 'run countersign doctor; what is published comes back with countersign change rebase URL',
  },
  WORKSPACE_BUSY: {
    meaning: 'Another command works in the same workspace.',
    hint: 'wait for it to end, then try again',
  },
  OPTION_NEEDED: {
    meaning: 'A command needs something from a person, and there is no terminal to ask on.',
    hint: 'give the option that the message names, or run the command on a terminal',
  },
  DRAFT: {
    meaning: 'A draft of an authority is not usable: unreadable, naming an unknown key or file, or breaking a rule.',
    hint: 'see docs/release-engineer.md for the form of a draft',
  },
  ONLINE_KEYS_FILE: {
    meaning: 'The file with the online keys is not what countersign-server init writes.',
    hint: 'take online-keys.json from the server operator as it is',
  },
  ROLE_UNKNOWN: {
    meaning: 'There is no such role here, or it cannot be changed in this way.',
    hint: 'see the roles with countersign status; a component gets its role by countersign role delegate',
  },
  ROLE_KEYS: {
    meaning: 'The keys of a role do not fit: none, more than 16, one named twice, or fewer than its threshold.',
    hint: 'name as many different keys as the threshold at least',
  },
  CHANGE_EMPTY: {
    meaning: 'There is no pending change.',
    hint: 'make one first, for example with countersign release add',
  },
  CHANGE_UNSIGNED: {
    meaning: 'The pending change lacks signatures.',
    hint: 'see who must sign with countersign change show, then countersign change sign',
  },
  CHANGE_NOT_YOURS: {
    meaning: 'None of the keys that were given may sign anything in the pending change that still lacks it.',
    hint: 'see who must sign with countersign change show',
  },
  CHANGE_SIGNED: {
    meaning: 'The keys that were given have already signed everything in the pending change that they may sign by now.',
    hint: 'see who must still sign with countersign change show; when nobody is missing, countersign publish',
  },
  CHANGE_CONFLICT: {
    meaning: 'Two changes contradict each other: the same version of a role or authority with other content.',
    hint: 'agree on one of them; the other is dropped with countersign change discard and made again',
  },
  CHANGE_FILE: {
    meaning: 'A file with an exported change is damaged, or belongs to another repository.',
    hint: 'export it again with countersign change export',
  },
  RELEASE_NOT_SIGNED: {
    meaning: 'A release lacks code signatures that the codesign authority demands for its component.',
    hint: 'sign it with countersign sign, which says what is missing',
  },
  RELEASE_PUBLISHED: {
    meaning: 'The same version of the component is published already, with other content.',
    hint: 'give the component a new version: a published one never changes',
  },
  RELEASE_NOT_ADDED: {
    meaning: 'A release is not in its component role, so that it cannot be offered.',
    hint: 'add it first with countersign release add',
  },
  OFFER_EXISTS: {
    meaning: 'The channel offers that version already.',
    hint: 'change its rollout with countersign channel rollout, or give --replace',
  },
  OFFER_MISSING: {
    meaning: 'The channel does not offer that release.',
    hint: 'see what is offered with countersign verify URL, and what is pending with countersign change show',
  },
  REVOCATION: {
    meaning: 'What shall be revoked was not named in a usable way.',
    hint: 'name a release, a certificate file or a key, or give sha256:HEX',
  },
  SERVER_ADDRESS: {
    meaning: 'The address of a repository server is not one.',
    hint: 'write it whole, such as https://updates.example/',
  },
  PUBLISH_REFUSED: {
    meaning: 'The server refused the publication; what was published before stays.',
    hint: 'correct what the message says, sign again and publish again',
  },
  PUBLISH_CONFLICT: {
    meaning: 'Somebody else published meanwhile: the pending change starts from older versions.',
    hint: 'run countersign change rebase URL, sign again and publish again',
  },
  PUBLISH_UNREACHED: {
    meaning: 'The server did not answer, or the connection broke. What was uploaded is kept there.',
    hint: 'check the address and the network, then publish again: it goes on where it stopped',
  },
  VERIFY_REFUSED: {
    meaning: 'A device would refuse the repository, or something that it offers.',
    hint: 'do not publish on top of it before the cause is known; the message carries the code that devices would show',
  },
} as const;

export const signerError = errorsOf(signerErrorTable);
