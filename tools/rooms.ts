/**
 * The rooms of each package, ground first: a file imports only from its own room and from rooms before it. A room is a folder, or one
 * file that puts the rooms before it together. Other files beside the rooms are ground for all of them, apart from the entries,
 * which may import any and which nobody imports.
 * `eslint.config.js` checks the order; `test/tidy/rooms.test.ts` checks that every folder is a room and that imports have no
 * circles.
 */
export interface Rooms {
  readonly source: string;
  readonly rooms: readonly string[];
  /** Files beside the rooms that put them together. */
  readonly entries: readonly string[];
}

export const packages: readonly Rooms[] = [
  {
    source: 'packages/protocol/src',
    rooms: ['tuf', 'release', 'authority', 'channel', 'code-signing', 'consent'],
    entries: ['index.ts'],
  },
  {
    source: 'packages/protocol/src/node',
    rooms: ['files', 'terminal', 'http', 'archive', 'metadata'],
    entries: ['index.ts', 'terminal.ts'],
  },
  {
    source: 'packages/signer/src',
    rooms: ['workspace', 'keys', 'releases', 'change', 'code-signing', 'publishing', 'actions', 'commands'],
    entries: ['main.ts', 'program.ts'],
  },
  {
    source: 'packages/repo-server/src',
    rooms: ['repository-stores', 'routes', 'app.ts', 'server.ts', 'actions', 'commands'],
    entries: ['main.ts', 'program.ts', 'index.ts'],
  },
  {
    source: 'packages/client/src',
    rooms: [
      'platform',
      'device',
      'trust',
      'generations',
      'consent',
      'installing',
      'service',
      'reports',
      'actions',
      'commands',
    ],
    entries: ['main.ts', 'program.ts'],
  },
];
