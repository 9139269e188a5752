// Rules that types cannot hold: direction of imports, purity of the protocol, no switched-off checks.
import tseslint from 'typescript-eslint';

const node = [
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
];
const restrict = (patterns, paths = []) => ({ 'no-restricted-imports': ['error', { patterns, paths }] });
const apps = ['signer', 'repo-server', 'client'];

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
      ...restrict(
        [{ group: ['**/node/**', '@countersign/*'], message: 'the pure entry imports neither ./node nor a program' }],
        [...node.flatMap((name) => [name, `node:${name}`])].map((name) => ({
          name,
          message: 'the protocol is pure: no fs, net, clock or environment',
        })),
      ),
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
  ...apps.map((app) => ({
    files: [`packages/${app}/src/**/*.ts`],
    rules: restrict(
      apps
        .filter((other) => other !== app)
        .map((other) => ({
          group: [`@countersign/${other}`, `**/${other}/src/**`],
          message: 'the programs never import each other',
        })),
    ),
  })),
  {
    files: ['packages/protocol/src/node/**/*.ts'],
    rules: restrict([{ group: ['@countersign/*'], message: 'the protocol imports no program' }]),
  },
);
