/** Where security checks live, and which tests besides the neighbour's stand behind them. */
export interface Area {
  /** A pattern of sources. */
  readonly files: string;
  /** Patterns of tests. */
  readonly tests: readonly string[];
  /** Its rooms say what is trusted: each comparison and each way out is taken out, not only what throws. */
  readonly judges: boolean;
}

const protocol = 'packages/protocol/src';

export const areas: readonly Area[] = [
  {
    files: `${protocol}/*.ts`,
    tests: [`${protocol}/*.test.ts`, `${protocol}/tuf/*.test.ts`],
    judges: false,
  },
  {
    files: `${protocol}/tuf/*.ts`,
    tests: [`${protocol}/tuf/*.test.ts`, `${protocol}/node/metadata/*.test.ts`],
    judges: true,
  },
  ...['authority', 'code-signing', 'channel', 'release'].map((room) => ({
    files: `${protocol}/${room}/*.ts`,
    tests: [
      `${protocol}/{release,authority,channel,code-signing}/*.test.ts`,
      'test/code-signing/*.test.ts',
      'test/conformance/code-signing.test.ts',
      'test/attacks/{release,stolen-keys,old-versions}.test.ts',
    ],
    judges: room === 'authority' || room === 'code-signing',
  })),
  {
    files: `${protocol}/consent/*.ts`,
    tests: [`${protocol}/consent/*.test.ts`],
    judges: true,
  },
  ...['files', 'terminal', 'http', 'archive', 'metadata'].map((room) => ({
    files: `${protocol}/node/${room}/*.ts`,
    tests: [`${protocol}/node/${room}/*.test.ts`],
    judges: false,
  })),
  {
    files: 'packages/signer/src/**/*.ts',
    tests: ['packages/signer/src/**/*.test.ts', 'test/code-signing/*.test.ts'],
    judges: false,
  },
  {
    files: 'packages/repo-server/src/**/*.ts',
    tests: [
      'packages/repo-server/src/**/*.test.ts',
      'test/server/{publication,publishers,publishing-together,limits,hardening,process}.test.ts',
    ],
    judges: false,
  },
  {
    files: 'packages/client/src/**/*.ts',
    tests: ['packages/client/src/**/*.test.ts', 'test/attacks/*.test.ts'],
    judges: false,
  },
];
