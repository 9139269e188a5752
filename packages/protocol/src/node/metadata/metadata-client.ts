/**
 * The client workflow of the TUF specification §5 over a source and a store. The core judges; this module sets the order: root
 * walk and conditional timestamp at the same time, then snapshot, then targets, and roles as a search needs them. Each role is
 * committed durably by itself as soon as it is accepted, and a later refusal does not undo it. Commits nothing that was not
 * accepted, and parses nothing that has not changed.
 */
import { codeOf } from '../../error.ts';
import { checkExpiry } from '../../tuf/expiry.ts';
import { metadataFileName } from '../../tuf/metadata.ts';
import { checkProfile, maximumBytes } from '../../tuf/profile.ts';
import { updateSnapshot } from '../../tuf/snapshot.ts';
import { findTarget, targetsMeta, updateTargets, type SearchLimits, type TargetFile } from '../../tuf/targets.ts';
import { updateTimestamp } from '../../tuf/timestamp.ts';
import { checkRootExpiry, isRecovery, updateRoot, type TrustedState } from '../../tuf/trusted-state.ts';
import { tufError } from '../../tuf/tuf-errors.ts';
import { checkRecordedRoot, restoreRoles, restoreRoot } from './metadata-restore.ts';
import type { Fetched, MetadataSource } from './metadata-source.ts';
import type { MetadataStore, TrustRecord } from './metadata-store.ts';

export interface RefreshOptions {
  readonly source: MetadataSource;
  readonly store: MetadataStore;
  /** The root that came with the program: all trust starts here. */
  readonly shippedRoot: Uint8Array;
  /** The one time by which everything in this refresh is judged (§5.1). */
  readonly now: Date;
  /** `general` is the specification alone: for conformance tests and other people's repositories. */
  readonly profile: 'strict' | 'general';
  /** What the last refresh of this process returned. With it, nothing is read back from the store. */
  readonly previous?: MetadataSession | undefined;
  /** How many new roots one refresh accepts; the next one takes the rest. */
  readonly maximumRoots?: number;
}

/** The result of a refresh. `lookUp` adds roles to its state. */
export interface MetadataSession {
  state: TrustedState;
  record: TrustRecord;
  readonly options: Omit<RefreshOptions, 'previous'>;
  /** Whether this refresh accepted anything new. */
  changed: boolean;
  /** Whether online keys seemed to change during the refresh, so that the roots were walked twice. */
  retried: boolean;
  /** Roles that were loaded and have expired since: a search that needs one is refused. */
  expired: readonly string[];
  /** Set where a later refresh from this session accepted something and then failed: the store is then newer than this session. */
  superseded?: boolean;
}

/** Sizes for the general profile where signed metadata gives a length. */
const generalMaximum = 100_000_000;

/**
 * Brings trust up to date. Even if it throws, everything accepted so far is kept and used by the next refresh, also by one that
 * starts from the same session.
 * @throws TUF_* SOURCE_* and what the store throws
 */
export async function refresh(options: RefreshOptions): Promise<MetadataSession> {
  const { previous: given, ...rest } = options;
  const previous = given?.superseded ? undefined : given;
  const fresh = { options: rest, changed: false, retried: false, expired: [] };
  const session: MetadataSession = previous ? { ...previous, ...fresh } : { ...(await restoreRoot(rest)), ...fresh };
  if (!previous) session.state = await restoreRoles(rest, session.state);
  const before = session.state;
  try {
    await bringUpToDate(session);
  } catch (error) {
    if (previous && (session.state !== before || session.record !== previous.record)) previous.superseded = true;
    throw error;
  }
  session.changed = session.state !== before;
  dropExpired(session);
  return session;
}

async function bringUpToDate(session: MetadataSession): Promise<void> {
  for (let again = true; again;) {
    const answer = await followRoots(session);
    again = false;
    try {
      await takeTimestamp(session, answer);
      await takeSnapshot(session);
    } catch (error) {
      // Online keys are rotated by publishing root, then timestamp: a client that came between the two looks again, once.
      if (codeOf(error) !== 'TUF_SIGNATURE' || session.retried) throw error;
      session.retried = again = true;
    }
  }
  if (!session.state.targets.has('targets')) await loadRole(session, 'targets', 'root');
}

/** §5.3, and the timestamp that was requested at the same time. */
async function followRoots(session: MetadataSession): Promise<Fetched> {
  const { source, now } = session.options;
  const stop = new AbortController();
  try {
    const next = session.state.root.signed.version + 1;
    const firstRoot = source.fetch(metadataFileName('root', next), maximumBytes.root, { signal: stop.signal });
    const asked = { etag: usableTag(session), signal: stop.signal };
    const timestamp = source.fetch('timestamp.json', maximumBytes.timestamp, asked);
    timestamp.catch(() => {}); // Awaited below, after the roots.
    await walkRoots(session, firstRoot);
    checkRootExpiry(session.state, now);
    const answer = await timestamp;
    // Under a new root "unchanged" is not enough: that timestamp has to be verified again.
    if (answer.kind !== 'unchanged' || usableTag(session) === asked.etag) return answer;
    return await source.fetch('timestamp.json', maximumBytes.timestamp);
  } catch (error) {
    stop.abort();
    throw error;
  }
}

/** An ETag counts only while the timestamp it belongs to is verified by the present root. */
function usableTag({ state, record }: MetadataSession): string | undefined {
  return record.etag && record.etag.timestamp === state.timestamp?.sha256 ? record.etag.value : undefined;
}

/** §5.3.2–§5.3.9: one root after the other, until one is known to be absent. */
async function walkRoots(session: MetadataSession, first: Promise<Fetched>): Promise<void> {
  const { source, maximumRoots = 256 } = session.options;
  let answer = await first;
  let taken = 0;
  while (answer.kind === 'found') {
    await commitRoot(session, answer.bytes);
    if (++taken === maximumRoots) break;
    const next = session.state.root.signed.version + 1;
    answer = await source.fetch(metadataFileName('root', next), maximumBytes.root);
  }
  if (taken > 0) session.state = await restoreRoles(session.options, session.state);
}

async function commitRoot(session: MetadataSession, bytes: Uint8Array): Promise<void> {
  const { store } = session.options;
  const { state, record } = session;
  let next = updateRoot(state, bytes);
  checkRecordedRoot(record, next.root);
  judgeProfile(session, 'root', next);
  const { version } = next.root.signed;
  await store.writeRoot(version, bytes);
  if (record.roots.has(version)) {
    // A lost root is reached again root by root; what was accepted after it stays in force.
    next = { ...next, floors: state.floors };
  } else if (isRecovery(state.root.signed, next.root.signed)) {
    // §5.3.11. The files are removed before the floors, because their versions would otherwise become floors again.
    await store.remove('timestamp');
    await store.remove('snapshot');
  }
  session.state = next;
  await keepRecord(session, { roots: new Map(record.roots).set(version, next.root.sha256), etag: undefined });
}

/** §5.4 */
async function takeTimestamp(session: MetadataSession, answer: Fetched): Promise<void> {
  const { store, now } = session.options;
  if (answer.kind === 'absent') throw tufError('TUF_MISSING', 'the repository has no timestamp.json');
  const { timestamp } = session.state;
  if (answer.kind === 'unchanged' || (timestamp && isSameBytes(answer.bytes, timestamp.bytes))) {
    checkExpiry(timestamp!.signed, now, `timestamp ${timestamp!.signed.version}`);
    if (answer.kind === 'found') await keepTag(session, answer.etag);
    return;
  }
  const next = updateTimestamp(session.state, answer.bytes, now);
  // An equal version with other bytes: the trusted one stays (§5.4.3.1).
  if (next === session.state) return;
  judgeProfile(session, 'timestamp', next);
  await store.write('timestamp', answer.bytes);
  session.state = next;
  await keepTag(session, answer.etag);
}

const isSameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** Records the tag under which the trusted timestamp was served. */
async function keepTag(session: MetadataSession, etag: string | undefined): Promise<void> {
  const { record, state } = session;
  const kept = etag === undefined ? undefined : { value: etag, timestamp: state.timestamp!.sha256 };
  const same = kept?.value === record.etag?.value && kept?.timestamp === record.etag?.timestamp;
  if (!same || state.floors !== record.floors) await keepRecord(session, { etag: kept });
}

/** §5.5 */
async function takeSnapshot(session: MetadataSession): Promise<void> {
  const { store, now } = session.options;
  const { snapshot, timestamp } = session.state;
  if (snapshot) {
    checkExpiry(snapshot.signed, now, `snapshot ${snapshot.signed.version}`);
    // The file was kept by a process that died before it recorded the floors that follow from it.
    if (session.state.floors !== session.record.floors) await keepRecord(session, {});
    return;
  }
  const meta = timestamp!.signed.meta['snapshot.json'];
  const bytes = await fetchRole(session, 'snapshot', meta.version, meta.length);
  const next = updateSnapshot(session.state, bytes, now);
  judgeProfile(session, 'snapshot', next);
  await store.write('snapshot', bytes);
  session.state = next;
  await keepRecord(session, {});
}

/** §5.6: a targets role from the store where it is the one that snapshot names, else from the source. */
async function loadRole(session: MetadataSession, role: string, delegator: string): Promise<void> {
  const { store, now } = session.options;
  const meta = targetsMeta(session.state, role);
  for (const read of [() => session.state.targets.get(role)?.bytes, () => store.read(role)]) {
    const kept = await read();
    if (kept === undefined) continue;
    try {
      const next = updateTargets(session.state, role, delegator, kept, now);
      judgeProfile(session, role, next);
      session.state = next;
      return;
    } catch (error) {
      if (!isRefusal(error)) throw error;
    }
  }
  const bytes = await fetchRole(session, role, meta.version, meta.length);
  const next = updateTargets(session.state, role, delegator, bytes, now);
  judgeProfile(session, role, next);
  await store.write(role, bytes);
  session.state = next;
}

const isRefusal = (error: unknown): boolean => codeOf(error)?.startsWith('TUF_') === true;

async function fetchRole(
  session: MetadataSession,
  role: string,
  version: number,
  length: number | undefined,
): Promise<Uint8Array> {
  const { source, profile } = session.options;
  const { consistent_snapshot: consistent } = session.state.root.signed;
  const name = metadataFileName(role, consistent ? version : undefined);
  const ours = role === 'snapshot' ? maximumBytes.snapshot : maximumBytes.targets;
  const allowed = profile === 'general' && length !== undefined ? generalMaximum : ours;
  const answer = await source.fetch(name, Math.min(length ?? allowed, allowed));
  if (answer.kind !== 'found') throw tufError('TUF_MISSING', `the repository has no ${name}`);
  return answer.bytes;
}

function judgeProfile({ options }: MetadataSession, role: string, state: TrustedState): void {
  if (options.profile === 'general') return;
  const trusted =
    role === 'root' || role === 'timestamp' || role === 'snapshot' ? state[role] : state.targets.get(role);
  checkProfile(role, trusted!.signed, trusted!.bytes);
}

async function keepRecord(session: MetadataSession, changes: Partial<TrustRecord>): Promise<void> {
  session.record = { ...session.record, floors: session.state.floors, ...changes };
  await session.options.store.writeRecord(session.record);
}

/** Top-level roles must be valid now; a delegated one that expired since it was loaded is forgotten. */
function dropExpired(session: MetadataSession): void {
  const { state, options } = session;
  const expired: string[] = [];
  for (const [role, { signed }] of state.targets) {
    try {
      checkExpiry(signed, options.now, role);
    } catch (error) {
      if (role === 'targets') throw error;
      expired.push(role);
    }
  }
  if (expired.length === 0) return;
  session.expired = expired;
  session.state = { ...state, targets: new Map([...state.targets].filter(([role]) => !expired.includes(role))) };
}

/**
 * Searches for a target (§5.6.7) and loads the roles that the search needs. Null where the repository does not have it; the roles
 * are those visited. @throws TUF_* SOURCE_*
 */
export async function lookUp(
  session: MetadataSession,
  path: string,
  limits: SearchLimits = {},
): Promise<{ target: TargetFile | null; roles: readonly string[] }> {
  for (;;) {
    const finding = findTarget(session.state, path, limits);
    if (finding.kind === 'found') return { target: finding.target, roles: finding.roles };
    if (finding.kind === 'absent') return { target: null, roles: finding.roles };
    await loadRole(session, finding.role, finding.delegator);
  }
}
