/** Changes to what is served, made after it was published. */
import { anyFile, type Mutation } from './mutations.ts';

export const fileMutations: readonly Mutation[] = [
  {
    name: 'a file is lost',
    when: 'file',
    apply: (s) => {
      s.repo.files.delete(anyFile(s)[0]);
    },
  },
  {
    name: 'a file is cut',
    when: 'file',
    apply: (s) => {
      const [name, bytes] = anyFile(s);
      s.repo.files.set(name, bytes.subarray(0, s.random.integer(bytes.length)));
    },
  },
  {
    name: 'a byte is changed',
    when: 'file',
    hardening: 'strict bytes',
    apply: (s) => {
      const [name, bytes] = anyFile(s);
      const changed = Buffer.from(bytes);
      changed[s.random.integer(changed.length)]! ^= 1 << s.random.integer(8);
      s.repo.files.set(name, changed);
    },
  },
  {
    name: 'a blank is added',
    when: 'file',
    apply: (s) => {
      const [name, bytes] = anyFile(s);
      s.repo.files.set(name, Buffer.concat([bytes, Buffer.from(' \n')]));
    },
  },
  {
    name: 'a file is laid out otherwise',
    when: 'file',
    apply: (s) => {
      const [name, bytes] = anyFile(s);
      const { signed, signatures } = parse(bytes);
      s.repo.files.set(name, Buffer.from(JSON.stringify({ signed, signatures, more: 1 }, null, s.random.integer(3))));
    },
  },
  {
    name: 'a file is another’s',
    when: 'file',
    apply: (s) => {
      s.repo.files.set(anyFile(s)[0], anyFile(s)[1]);
    },
  },
  {
    name: 'a signature stands twice',
    when: 'file',
    apply: (s) => {
      const [name, bytes] = anyFile(s);
      const { signed, signatures } = parse(bytes);
      s.repo.files.set(name, Buffer.from(JSON.stringify({ signatures: [...signatures, signatures[0]], signed })));
    },
  },
  {
    name: 'a signature has no text',
    when: 'file',
    apply: (s) => {
      const [name, bytes] = anyFile(s);
      const { signed, signatures } = parse(bytes);
      s.repo.files.set(name, Buffer.from(JSON.stringify({ signatures: [...signatures, { keyid: 'x' }], signed })));
    },
  },
  {
    name: 'signatures of keys that do not count',
    when: 'file',
    apply: (s) => {
      const [name, bytes] = anyFile(s);
      const { signed, signatures } = parse(bytes);
      s.repo.files.set(
        name,
        Buffer.from(
          JSON.stringify({ signatures: [{ keyid: 'x', sig: '' }, ...signatures, { keyid: 'y', sig: 'zz' }], signed }),
        ),
      );
    },
  },
  {
    name: 'the past is served',
    when: 'file',
    apply: (s) => {
      const past = s.past.length > 0 ? s.random.pick(s.past) : undefined;
      for (const [name, bytes] of past ?? []) if (!name.endsWith('root.json')) s.repo.files.set(name, bytes);
    },
  },
  {
    name: 'an old file stands under the new name',
    when: 'file',
    apply: (s) => {
      const [name] = anyFile(s);
      const old = s.past.at(-1)?.get(name.replace(/^\d+/, (version) => String(Number(version) - 1)));
      if (old && name !== 'timestamp.json') s.repo.files.set(name, old);
    },
  },
  {
    name: 'an old timestamp is served',
    when: 'file',
    apply: (s) => {
      const old = s.past[0]?.get('timestamp.json');
      if (old) s.repo.files.set('timestamp.json', old);
    },
  },
];

const parse = (bytes: Buffer) => {
  try {
    return JSON.parse(bytes.toString('utf8')) as { signed: object; signatures: object[] };
  } catch {
    return { signed: {}, signatures: [{}] };
  }
};
