/**
 * The publish gate: judges a publication as a device would, from the shipped root and from the state before. It uses both
 * verifiers, the profile and everything that the repository carries. Must never publish what a device would refuse.
 */
import { checkDocumentListed, messageOf, codeOf, issuedTime, sha256, type TrustedState } from '@countersign/protocol';
import {
  confirmTargets,
  lookUp,
  memoryStore,
  refresh,
  type MetadataSession,
  type MetadataSource,
} from '@countersign/protocol/node';
import { serverError } from './errors.ts';
import { checkContents, type RepositoryView, type ShippedChains } from './release-gate.ts';

export interface GateInput {
  readonly shippedRoot: Uint8Array;
  readonly shippedChains: ShippedChains;
  /** The repository after this publication. */
  readonly next: MetadataSource;
  /** The repository now; null before the first publication. */
  readonly before: MetadataSource | null;
  readonly now: Date;
  /** The bytes of a target of the new or old repository by path and digest; null if it is absent. */
  readTarget(path: string, digest: string): Promise<Buffer | null>;
  /** Whether a target's file is there, staged or stored. */
  hasTarget(path: string, digest: string, length: number): Promise<boolean>;
}

/** The state that devices reach. @throws PUBLICATION_REFUSED, or what failed on this machine: FILE_READ VERIFIER_FAILED */
export async function checkPublication(input: GateInput): Promise<TrustedState> {
  try {
    const session = await refresh({
      source: input.next,
      store: memoryStore(),
      shippedRoot: input.shippedRoot,
      now: input.now,
      profile: 'strict',
    });
    const next = await viewOf(session, input);
    const before = input.before ? await checkFromBefore(input, input.before) : null;
    await confirmTargets(session, newPaths(next, before));
    for (const { signed } of next.roles.values())
      for (const [path, { length, hashes }] of Object.entries(signed.targets))
        if (!(await input.hasTarget(path, hashes.sha256!, length)))
          throw serverError('PUBLICATION_REFUSED', `${path} is listed and was not uploaded`);
    await checkContents(next, before, input.shippedChains);
    return session.state;
  } catch (cause) {
    const code = codeOf(cause);
    if (code === 'PUBLICATION_REFUSED' || isOwnFault(code)) throw cause;
    const why = messageOf(cause);
    throw serverError('PUBLICATION_REFUSED', `a device would refuse it: ${code ?? 'error'}: ${why}`, {
      cause,
      context: { code },
    });
  }
}

/** Failures that a publisher cannot repair: this machine's disk, memory or processes. */
const isOwnFault = (code: string | undefined): boolean =>
  ['FILE_READ', 'FILE_WRITE', 'DISK_FULL', 'VERIFIER_FAILED'].includes(code ?? '') || /^E[A-Z0-9]+$/.test(code ?? '');

/** The paths that this publication newly lists; older ones were confirmed when they came. */
function newPaths(next: RepositoryView, before: RepositoryView | null): string[] {
  return [...next.roles].flatMap(([name, { signed }]) => {
    const known = before?.roles.get(name)?.signed.targets ?? {};
    return Object.entries(signed.targets).flatMap(([path, { length, hashes }]) => {
      const old = Object.hasOwn(known, path) ? known[path] : undefined;
      return old?.length === length && old.hashes.sha256 === hashes.sha256 ? [] : [path];
    });
  });
}

/** Checks that a device which followed the repository until now can go on. */
async function checkFromBefore(input: GateInput, before: MetadataSource): Promise<RepositoryView> {
  const store = memoryStore();
  const options = { store, shippedRoot: input.shippedRoot, profile: 'strict' } as const;
  const stamped = await before.fetch('timestamp.json', 16_384);
  const issued =
    stamped.kind === 'found'
      ? issuedTime((JSON.parse(Buffer.from(stamped.bytes).toString()) as { signed: never }).signed)
      : undefined;
  // Judged at the time when it was issued: it may have expired since, and a publication cures that.
  const session = await refresh({ ...options, source: before, now: issued ?? input.now });
  const view = await viewOf(session, input);
  await viewOf(await refresh({ ...options, source: input.next, now: input.now }), input);
  return view;
}

async function viewOf(session: MetadataSession, { readTarget }: GateInput): Promise<RepositoryView> {
  for (const { name, paths } of session.state.targets.get('targets')?.signed.delegations?.roles ?? []) {
    // A path of the role that no release uses, so that the search loads the role.
    await lookUp(session, paths![0]!.replaceAll('*', '-'));
    // equivalent: the profile gives each role its own paths, so none hides another
    if (!session.state.targets.has(name)) throw serverError('PUBLICATION_REFUSED', `role ${name} cannot be reached`);
  }
  const roles = new Map([...session.state.targets].filter(([name]) => name !== 'targets'));
  return {
    roles,
    read: async (path, maximumBytes) => {
      const target = checkDocumentListed(path, (await lookUp(session, path)).target, maximumBytes);
      const bytes = await readTarget(path, target.sha256);
      if (bytes?.length !== target.length || sha256(bytes) !== target.sha256)
        throw serverError('PUBLICATION_REFUSED', `${path} is listed and was not uploaded`);
      return bytes;
    },
  };
}
