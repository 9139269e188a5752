/** The server's error codes. */
import { errorsOf } from '@countersign/protocol';

export const serverErrorTable = {
  SERVER_EXISTS: {
    meaning: 'init was asked to make a server where one already is.',
    hint: 'choose another folder with --dir, or serve the one that is there',
  },
  SERVER_MISSING: {
    meaning: 'The folder holds no server.',
    hint: 'make one with countersign-server init, or name its folder with --dir',
  },
  SERVER_ALREADY_RUNNING: {
    meaning: 'Another process serves this folder.',
    hint: 'stop it first, or use another folder; two processes never share one',
  },
  SERVER_LISTEN: {
    meaning: 'The server cannot listen on the address and port it was given.',
    hint: 'choose a free port with --port and an address of this machine with --host; low ports may need a permission',
  },
  SERVER_ROOT: {
    meaning: 'The root that the server was given is missing, not valid, or not the one it was first given.',
    hint: 'give the 1.root.json that the signer made with this server’s online-keys.json',
  },
  SERVER_ONLINE_KEY: {
    meaning: 'The server has no online key that the current root names for snapshot or timestamp.',
    hint: 'publish a root that names the keys of this server’s online-keys.json',
  },
  STORE_NAME: {
    meaning: 'A name is not one that the repository store accepts.',
    hint: 'use the names of TUF metadata and target paths',
  },
  STORE_CONFLICT: {
    meaning: 'A stored file changed between reading and replacing it.',
    hint: 'try again; somebody else was faster',
  },
  PUBLISHER_UNKNOWN: {
    meaning: 'The API key is missing, wrong or revoked.',
    hint: 'give the key that countersign-server publisher add printed',
  },
  PUBLISHER_NAME: {
    meaning: 'A publisher of that name exists, does not exist, or the name is not allowed.',
    hint: 'use lower-case letters, digits and dashes; see countersign-server publisher list',
  },
  PUBLICATION_REQUEST: {
    meaning: 'A request does not follow the publication API.',
    hint: 'publish with countersign publish of the same version',
  },
  PUBLICATION_UNKNOWN: {
    meaning: 'There is no such publication; it was finished or given up, or it never began.',
    hint: 'publish again; what was uploaded is used again',
  },
  PUBLICATION_INCOMPLETE: {
    meaning: 'Files of the publication have not been uploaded.',
    hint: 'upload what is missing, then commit',
  },
  PUBLICATION_BLOB: {
    meaning: 'An upload is longer than announced, starts at another place, or has another digest.',
    hint: 'ask with HEAD how much is there and go on from that place',
  },
  PUBLICATION_CONFLICT: {
    meaning: 'Another publication changed a role of this one in the meantime.',
    hint: 'run countersign change rebase, sign and publish again',
  },
  PUBLICATION_VERSION_TAKEN: {
    meaning: 'A metadata version was taken by a publication that broke off; versions are never reused.',
    hint: 'run countersign change rebase, which takes the next version',
  },
  PUBLICATION_REFUSED: {
    meaning: 'A device would refuse what was to be published.',
    hint: 'correct what the message names, sign and publish again; the repository is unchanged',
  },
  REQUEST_TOO_LARGE: {
    meaning: 'A request is larger than the server accepts.',
    hint: 'nothing valid is that large',
  },
  REQUEST_RANGE: {
    meaning: 'The requested range lies outside of the file.',
    hint: 'ask for a range within the file’s length',
  },
  NOT_FOUND: {
    meaning: 'The server has no such file or address.',
    hint: 'check the address; consistent snapshots name files by version or digest',
  },
} as const;

export const serverError = errorsOf(serverErrorTable);
