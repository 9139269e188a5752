// Rules that types cannot express: direction of imports, purity of the protocol, no switched-off checks.
import tseslint from 'typescript-eslint';
import { packages } from './tools/rooms.ts';

const impure = [
  'fs',
  'fs/promises',
  'net',
  'http',
  'https',
  'tls',
  'dns',
  'child_process',
  'os',
  'path',
  'sqlite',
  'process',
  'worker_threads',
  'timers',
  'timers/promises',
  'stream',
  'url',
  'zlib',
].flatMap((name) => [name, `node:${name}`]);
const apps = ['signer', 'repo-server', 'client'];

/** What no file in a package's sources may import, in any room. */
function beyond(source) {
  if (source === 'packages/protocol/src')
    return {
      patterns: [
        { group: ['**/node/**', '@countersign/*'], message: 'the pure entry imports neither ./node nor a program' },
      ],
      paths: impure.map((name) => ({ name, message: 'the protocol is pure: no fs, net, clock or environment' })),
    };
  if (source === 'packages/protocol/src/node')
    return { patterns: [{ group: ['@countersign/*'], message: 'the protocol imports no program' }], paths: [] };
  const others = apps.filter((app) => !source.startsWith(`packages/${app}/`));
  return {
    patterns: others.map((other) => ({
      group: [`@countersign/${other}`, `**/${other}/src/**`],
      message: 'the programs never import each other',
    })),
    paths: [],
  };
}

/** One block for each room, since a later block's patterns would replace an earlier one's. Tests may import any room. */
function blocksOf({ source, rooms, entries }) {
  const { patterns, paths } = beyond(source);
  const half = source === 'packages/protocol/src' ? [`${source}/node/**`] : [];
  const block = (files, ignores, more) => ({
    files,
    ignores: [...half, ...ignores],
    rules: { 'no-restricted-imports': ['error', { patterns: [...patterns, ...more], paths }] },
  });
  const isFile = (room) => room.endsWith('.ts');
  const beside = [...entries, ...rooms.filter(isFile)].map((file) => `${source}/${file}`);
  const escaped = (names) => names.map((name) => name.replaceAll('.', '\\.')).join('|');
  return [
    ...(half.length > 0 ? [] : [block([`${source}/**/*.test.ts`], [], [])]),
    block(
      entries.map((entry) => `${source}/${entry}`),
      [],
      [],
    ),
    block(
      [`${source}/*.ts`],
      ['**/*.test.ts', ...beside],
      [
        {
          regex: `^\\./(${escaped([...rooms, ...entries])})(/|$)`,
          message: 'what stands beside the rooms is ground for them and imports none',
        },
      ],
    ),
    ...rooms.map((room, at) => {
      const above = escaped([...rooms.slice(at + 1), ...entries]);
      return block(
        [isFile(room) ? `${source}/${room}` : `${source}/${room}/**/*.ts`],
        ['**/*.test.ts'],
        [
          {
            regex: `^\\.${isFile(room) ? '' : '\\.'}/(\\.\\./)*(${above})(/|$)`,
            message: `${room} imports only rooms below it: see tools/rooms.ts`,
          },
        ],
      );
    }),
  ];
}

export default tseslint.config(
  { ignores: ['node_modules', 'fixtures/components', '**/*.d.ts'] },
  ...tseslint.configs.recommended,
  {
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      eqeqeq: 'error',
      'no-eval': 'error',
      'no-new-func': 'error',
      'no-process-exit': 'off',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', ignoreRestSiblings: true }],
      'no-restricted-globals': ['error', 'setImmediate'],
    },
  },
  {
    files: ['packages/protocol/src/**/*.ts'],
    ignores: ['packages/protocol/src/node/**', '**/*.test.ts'],
    rules: {
      'no-restricted-globals': ['error', 'process', 'fetch', 'setTimeout', 'setInterval', 'performance'],
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: 'time is a value here' },
        { object: 'Math', property: 'random' },
      ],
      'no-restricted-syntax': [
        'error',
        { selector: "NewExpression[callee.name='Date'][arguments.length=0]", message: 'time is a value here' },
      ],
    },
  },
  ...packages.flatMap(blocksOf),
);
