/**
 * Lists every known difference between the core and tuf-js 6.0.2, with its reason. `differential.test.ts` shows each in a
 * separate test. The random comparison lets a difference through only if a mutation names it here, and only in its direction.
 */
export type Stricter = 'core' | 'tuf-js' | 'neither';
export interface Hardening {
  /** Which one refuses what the other accepts, or that both accept different things. */
  readonly stricter: Stricter | readonly Stricter[];
  readonly why: string;
  /** What a difference found at random must say to pass as this one; if both refused, only the kept files show it. */
  readonly sign?: RegExp;
}

export const hardenings = {
  'one key, one vote': { stricter: 'core', why: 'a key under two key ids counts once towards a threshold' },
  'strict expiry': {
    stricter: 'core',
    why: 'expires is a UTC time as the specification writes it, not whatever Date parses',
  },
  'versions from 1': {
    stricter: 'core',
    why: 'a version is a positive integer (§4.3)',
    sign: /core TUF_FORMAT: .*version/,
  },
  'no empty hashes': { stricter: 'core', why: 'an empty list of hashes would check nothing' },
  'known hashes': { stricter: 'core', why: 'sha256, sha384 and sha512 only; md5 and sha1 are no proof' },
  'strict bytes': {
    stricter: 'core',
    why: 'metadata is valid UTF-8; a hex signature has no tail that is not hex',
    sign: /core (\{"kind":"refused","why":")?TUF_(FORMAT|SIGNATURE)/,
  },
  'strict numbers': { stricter: 'core', why: 'integers are below 2^53, so that every reader sees the same one' },
  'delegations say what they delegate': {
    stricter: 'core',
    why: 'exactly one of paths and path_hash_prefixes, of roles and succinct_roles (§4.5)',
  },
  'roles have names': { stricter: 'core', why: 'a delegated role has a name' },
  'schemes fit their keys': {
    stricter: 'core',
    why: 'an ed25519 key verifies only under its own scheme; tuf-js does not look at it',
    sign: /core TUF_SIGNATURE/,
  },
  'RSA from 2048 bits': { stricter: 'core', why: 'shorter RSA keys verify nothing' },
  'searches end aloud': {
    stricter: 'core',
    why: 'a search that visits too many roles is refused; absent would be an answer',
  },
  'floors outlive files': {
    stricter: 'core',
    why: 'versions once accepted count though the files that showed them are lost or no longer verify',
    sign: /core TUF_ROLLBACK/,
  },
  'own properties only': { stricter: 'core', why: 'a target named constructor is not there unless metadata lists it' },
  'recovery by §5.3.11': {
    stricter: ['core', 'tuf-js', 'neither'],
    why: 'either online role’s rotation drops the files and versions of both, as the specification says',
    sign: /core accepts, tuf-js .*(less than current version|snapshot)/,
  },
  'literal patterns': {
    stricter: 'core',
    why: 'only * and ? are special; tuf-js expands braces, classes and extended globs',
  },
  'dots are characters': { stricter: 'tuf-js', why: 'as in the specification, * also matches a leading dot' },
  'a version is one file': {
    stricter: ['core', 'tuf-js', 'neither'],
    why: 'a stored snapshot stays only while it has the digest that timestamp names; tuf-js looks at its version',
  },
  'meta of others is kept': {
    stricter: 'tuf-js',
    why: 'unknown entries of timestamp’s meta are signed and kept; tuf-js drops them before it verifies',
  },
  'odd names are kept': {
    stricter: 'tuf-js',
    why: 'a stored role is found again whatever its name; tuf-js never finds one whose name stands escaped, and fetches anew',
    sign: /: core \{"kind":"(found|absent)".*tuf-js \{"kind":"refused"/,
  },
} as const satisfies Record<string, Hardening>;

/** Whether one of the hardenings explains a difference. */
export const explains = (names: Iterable<HardeningName>, difference: { what: string; stricter: Stricter }): boolean =>
  [...names].some((name) => {
    const { stricter, sign }: Hardening = hardenings[name];
    return (
      [stricter].flat().includes(difference.stricter) &&
      (sign === undefined || sign.test(difference.what) || difference.what.startsWith('they keep different'))
    );
  });

export type HardeningName = keyof typeof hardenings;
