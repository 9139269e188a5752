/** Changes to what is signed, made before it is published. */
import { anyDocument, anyRole, anyTargets, topLevel, trustOf, type Mutation } from './mutations.ts';

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
    name: 'timestamp keys are rotated',
    when: 'document',
    hardening: 'recovery by §5.3.11',
    apply: (s) => {
      s.repo.rotateKeys('timestamp', s.random.pick(s.pool));
    },
  },
  {
    name: 'both online keys are rotated',
    when: 'document',
    hardening: 'recovery by §5.3.11',
    apply: (s) => {
      s.repo.rotateKeys('timestamp', s.random.pick(s.pool));
      s.repo.rotateKeys('snapshot', s.random.pick(s.pool));
    },
  },
  {
    name: 'online keys are rotated and versions start over',
    when: 'document',
    hardening: 'recovery by §5.3.11',
    apply: (s) => {
      s.repo.rotateKeys(s.random.pick(['timestamp', 'snapshot']), s.random.pick(s.pool));
      s.repo.timestamp.version = 0;
      if (s.random.chance(0.5)) s.repo.snapshot.version = 0;
    },
  },
  {
    name: 'targets keys are rotated',
    when: 'document',
    apply: (s) => {
      s.repo.rotateKeys('targets', s.random.pick(s.pool));
    },
  },
  {
    name: 'root keys are rotated, both sign',
    when: 'document',
    apply: (s) => {
      s.repo.rotateKeys('root', s.random.pick(s.pool));
    },
  },
  {
    name: 'root keys are rotated, only the new sign',
    when: 'document',
    apply: (s) => {
      const key = s.random.pick(s.pool);
      s.repo.rotateKeys('root', key);
      s.repo.signers.set('root', [key]);
    },
  },
  {
    name: 'root keys are rotated, only the old sign',
    when: 'document',
    apply: (s) => {
      const before = s.repo.signers.get('root')!;
      s.repo.rotateKeys('root', s.random.pick(s.pool));
      s.repo.signers.set('root', before);
    },
  },
  {
    name: 'a threshold rises',
    when: 'document',
    hardening: 'floors outlive files',
    apply: (s) => {
      const trust = trustOf(s.repo, anyRole(s));
      if (trust) trust.threshold++;
    },
  },
  {
    name: 'a threshold falls',
    when: 'document',
    apply: (s) => {
      const trust = trustOf(s.repo, anyRole(s));
      if (trust) trust.threshold--;
    },
  },
  {
    name: 'a threshold is no number',
    when: 'document',
    apply: (s) => {
      const trust = trustOf(s.repo, anyRole(s));
      if (trust) Object.assign(trust, { threshold: '1' });
    },
  },
  {
    name: 'a key id twice in a role',
    when: 'document',
    apply: (s) => {
      const trust = trustOf(s.repo, anyRole(s));
      if (trust) trust.keyids.push(trust.keyids[0]!);
    },
  },
  {
    name: 'a key that is not there',
    when: 'document',
    apply: (s) => {
      trustOf(s.repo, anyRole(s))?.keyids.push('0'.repeat(64));
    },
  },
  {
    name: 'a key of an unknown kind',
    when: 'document',
    apply: (s) => {
      s.repo.root.keys.unknown = { keytype: 'future', scheme: 'future', keyval: { other: 'x' } };
      s.repo.root.roles.targets!.keyids.push('unknown');
    },
  },
  {
    name: 'scheme and kind of a key differ',
    when: 'document',
    hardening: 'schemes fit their keys',
    apply: (s) => {
      const [id, key] = Object.entries(s.repo.root.keys)[0]!;
      s.repo.root.keys[id] = { ...key, scheme: 'ecdsa-sha2-nistp384' };
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
    name: 'a role vanishes from snapshot',
    when: 'document',
    apply: (s) => {
      const role = anyTargets(s);
      s.repo.roles.delete(role);
      delete s.repo.snapshot.meta[`${role}.json`];
      if (role === 'targets')
        s.repo.roles.set('targets', {
          _type: 'targets',
          spec_version: '1.0.34',
          version: 0,
          expires: '2027-01-01T00:00:00Z',
          targets: {},
        });
    },
  },
  {
    name: 'a role is not delegated to any more',
    when: 'document',
    apply: (s) => {
      for (const { delegations } of s.repo.roles.values()) delegations?.roles?.shift();
    },
  },
  {
    name: 'delegations change places',
    when: 'document',
    apply: (s) => {
      for (const { delegations } of s.repo.roles.values()) delegations?.roles?.reverse();
    },
  },
  {
    name: 'a delegation is terminating or not',
    when: 'document',
    apply: (s) => {
      const role = s.repo.targets(anyTargets(s)).delegations?.roles?.[0];
      if (role) role.terminating = !role.terminating;
    },
  },
  {
    name: 'a delegation has both paths and prefixes',
    when: 'document',
    apply: (s) => {
      const role = s.repo.targets().delegations?.roles?.[0];
      if (role) Object.assign(role, { paths: ['*'], path_hash_prefixes: ['0'] });
    },
  },
  {
    name: 'a delegation to a top-level role',
    when: 'document',
    apply: (s) => {
      const role = s.repo.targets().delegations?.roles?.[0];
      if (role) role.name = s.random.pick(topLevel);
    },
  },
  {
    name: 'a delegation twice',
    when: 'document',
    apply: (s) => {
      const list = s.repo.targets().delegations?.roles;
      if (list?.[0]) list.push(list[0]);
    },
  },
  {
    name: 'a delegated role’s keys are lost',
    when: 'document',
    apply: (s) => {
      const { delegations } = s.repo.targets(anyTargets(s));
      if (delegations) delegations.keys = {};
    },
  },
  {
    name: 'a length is negative',
    when: 'document',
    apply: (s) => {
      for (const target of Object.values(s.repo.targets(anyTargets(s)).targets)) target.length = -1;
    },
  },
  {
    name: 'hashes of a target are of an unknown kind',
    when: 'document',
    apply: (s) => {
      for (const target of Object.values(s.repo.targets(anyTargets(s)).targets)) target.hashes = { 'sha-x': 'x' };
    },
  },
];
