/** Changes to who may sign what, made before publication: keys, thresholds, delegations. */
import { anyRole, anyTargets, topLevel, trustOf, type Mutation } from './mutations.ts';

export const trustMutations: readonly Mutation[] = [
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
];
