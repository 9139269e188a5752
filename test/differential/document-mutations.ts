/** Changes to a role's own fields, made before it is published. */
import { anyDocument, anyRole, anyTargets, type Mutation } from './mutations.ts';

const unusual: readonly unknown[] = [
  'plain',
  'two\nlines and a \t tab',
  'quote " and \\ backslash',
  'é 한국어 😀',
  '\u007f\u2028',
  [1, -5, 0, 9007199254740991],
  { z: 1, a: { '\u00e9': true, e: null }, 'a b': [] },
  '',
];

export const documentMutations: readonly Mutation[] = [
  { name: 'nothing', when: 'document', apply: () => {} },
  {
    name: 'a signer is missing',
    when: 'document',
    apply: (s) => {
      const role = anyRole(s);
      s.repo.signers.set(role, s.repo.signers.get(role)?.slice(1) ?? []);
    },
  },
  {
    name: 'another key signs',
    when: 'document',
    apply: (s) => {
      s.repo.signers.set(anyRole(s), [s.random.pick(s.pool)]);
    },
  },
  {
    name: 'a further key signs',
    when: 'document',
    apply: (s) => {
      const role = anyRole(s);
      s.repo.signers.set(role, [...(s.repo.signers.get(role) ?? []), s.random.pick(s.pool)]);
    },
  },
  {
    name: 'a signature is another key’s',
    when: 'document',
    apply: (s) => {
      const role = anyRole(s);
      const [first, ...rest] = s.repo.signers.get(role) ?? [];
      if (first) s.repo.signers.set(role, [{ ...s.random.pick(s.pool), keyid: first.keyid }, ...rest]);
    },
  },
  {
    name: 'a role is expired',
    when: 'document',
    apply: (s) => {
      anyDocument(s).expires = '2026-05-31T23:59:59Z';
    },
  },
  {
    name: 'a role expires just now',
    when: 'document',
    apply: (s) => {
      anyDocument(s).expires = '2026-06-01T00:00:00Z';
    },
  },
  {
    name: 'a role expires in a second',
    when: 'document',
    apply: (s) => {
      anyDocument(s).expires = '2026-06-01T00:00:01Z';
    },
  },
  {
    name: 'expires has fractions',
    when: 'document',
    apply: (s) => {
      anyDocument(s).expires = '2026-06-05T00:00:01.250Z';
    },
  },
  {
    name: 'expires is no time',
    when: 'document',
    apply: (s) => {
      anyDocument(s).expires = s.random.pick(['never', '', '2026-13-01T00:00:00Z']);
    },
  },
  {
    name: 'a version jumps',
    when: 'document',
    apply: (s) => {
      anyDocument(s).version += s.random.integer(5);
    },
  },
  {
    name: 'a version stands still',
    when: 'document',
    hardening: 'a version is one file',
    apply: (s) => {
      const document = anyDocument(s);
      if (document.version > 0) document.version--;
    },
  },
  {
    name: 'a version goes back',
    when: 'document',
    hardening: 'a version is one file',
    apply: (s) => {
      const document = anyDocument(s);
      document.version = Math.max(0, document.version - 2 - s.random.integer(3));
    },
  },
  {
    name: 'a version is zero',
    when: 'document',
    hardening: 'versions from 1',
    apply: (s) => {
      anyDocument(s).version = -1;
    },
  },
  {
    name: 'unknown fields',
    when: 'document',
    apply: (s) => {
      anyDocument(s)[s.random.pick(['x-note', 'ábc', '😀', 'zzz'])] = s.random.pick(unusual);
    },
  },
  {
    name: 'another type',
    when: 'document',
    apply: (s) => {
      anyDocument(s)._type = s.random.pick(['root', 'timestamp', 'snapshot', 'targets', 'mirrors']);
    },
  },
  {
    name: 'another specification',
    when: 'document',
    apply: (s) => {
      anyDocument(s).spec_version = s.random.pick(['2.0.0', '1.0', '1.0.99', '1', 'x']);
    },
  },
  {
    name: 'a field is missing',
    when: 'document',
    apply: (s) => {
      const document = anyDocument(s);
      delete document[
        s.random.pick(['_type', 'spec_version', 'expires', 'keys', 'roles', 'consistent_snapshot', 'targets'])
      ];
    },
  },
  {
    name: 'consistent snapshots end',
    when: 'document',
    apply: (s) => {
      s.repo.root.consistent_snapshot = false;
    },
  },
  {
    name: 'a length is negative',
    when: 'document',
    apply: (s) => {
      for (const target of Object.values(s.repo.targets(anyTargets(s)).targets ?? {})) target.length = -1;
    },
  },
  {
    name: 'hashes of a target are of an unknown kind',
    when: 'document',
    apply: (s) => {
      for (const target of Object.values(s.repo.targets(anyTargets(s)).targets ?? {})) target.hashes = { 'sha-x': 'x' };
    },
  },
];
