/**
 * Keeps the list of who may publish. An API key is 32 random bytes, shown once and kept as sha256. It cannot be guessed, so a
 * slow hash is not needed. The file is read at each request, so a revocation takes effect at once. A publisher's key does not
 * sign: what is published must carry the signatures of the roles.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { dirname, join } from 'node:path';
import Type, { type Static } from 'typebox';
import { format, MapOf, parseJson, Sha256, Time, timeText } from '@countersign/protocol';
import { readIfPresent, removeLeftovers, takeLock, writeDurable } from '@countersign/protocol/node';
import { serverError } from './errors.ts';

const Publishers = Type.Object(
  {
    _type: Type.Literal('https://countersign.dev/publishers/v1'),
    publishers: MapOf(
      Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,62}$' }),
      Type.Object({ key: Sha256, created: Time, revoked: Type.Optional(Time) }, { additionalProperties: false }),
    ),
  },
  { additionalProperties: false },
);
type Publishers = Static<typeof Publishers>;
type Publisher = Publishers['publishers'][string];
const publishersFormat = format('publishers', Publishers);
const digest = (key: string): Buffer => createHash('sha256').update(key).digest();

export class PublisherList {
  readonly #file: string;
  readonly #patience: number;

  /** `patience`: milliseconds that a change waits for a change by another process. */
  constructor(directory: string, patience = 5000) {
    this.#file = join(directory, 'publishers.json');
    this.#patience = patience;
  }

  list(): Publishers['publishers'] {
    const bytes = readIfPresent(this.#file, 1 << 20);
    return bytes ? publishersFormat.check(parseJson(bytes, this.#file, 1 << 20), this.#file).publishers : {};
  }

  /** Returns the new key; it is never shown again. @throws PUBLISHER_NAME STORE_CONFLICT */
  add(name: string, now: Date): string {
    if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(name))
      throw serverError('PUBLISHER_NAME', 'the name has characters other than a-z, 0-9 and dash');
    const key = `countersign-${name}-${randomBytes(32).toString('base64url')}`;
    this.#change(name, (before) => {
      if (before && !before.revoked) throw serverError('PUBLISHER_NAME', `${name} is a publisher already`);
      return { key: digest(key).toString('hex'), created: timeText(now) };
    });
    return key;
  }

  /** @throws PUBLISHER_NAME STORE_CONFLICT */
  revoke(name: string, now: Date): void {
    this.#change(name, (before) => {
      if (!before || before.revoked) throw serverError('PUBLISHER_NAME', `${name} is no publisher`);
      return { ...before, revoked: timeText(now) };
    });
  }

  /** The publisher whose key is in the header. @throws PUBLISHER_UNKNOWN */
  authenticate(authorization: string | undefined): string {
    const given = /^Bearer ([\x21-\x7e]{1,200})$/.exec(authorization ?? '')?.[1];
    const digested = digest(given ?? '');
    let found: string | undefined;
    for (const [name, { key, revoked }] of Object.entries(this.list()))
      if (timingSafeEqual(Buffer.from(key, 'hex'), digested) && !revoked) found = name;
    if (given === undefined || found === undefined)
      throw serverError('PUBLISHER_UNKNOWN', 'the API key is missing, wrong or revoked');
    return found;
  }

  /** Removes what dead processes left half-written beside the list. @throws STORE_CONFLICT */
  removeLeftovers(): void {
    this.#exclusively(() => removeLeftovers(dirname(this.#file)));
  }

  #change(name: string, change: (before: Publisher | undefined) => Publisher): void {
    this.#exclusively(() => {
      const publishers = this.list();
      const changed = change(Object.hasOwn(publishers, name) ? publishers[name] : undefined);
      writeDurable(
        this.#file,
        publishersFormat.serialize({
          _type: 'https://countersign.dev/publishers/v1',
          publishers: { ...publishers, [name]: changed },
        }),
        { mode: 0o600 },
      );
    });
  }

  /** One change at a time among all processes: none may undo a revocation that it did not see. */
  #exclusively(work: () => void): void {
    const lock = takeLock(`${this.#file}.lock.db`, this.#patience);
    if (!lock) throw serverError('STORE_CONFLICT', `${this.#file} is being changed by another process`);
    try {
      work();
    } finally {
      lock.release();
    }
  }
}
