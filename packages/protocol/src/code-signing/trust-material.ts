/**
 * Reads a Sigstore trusted root strictly: what the library takes for granted is checked here. The library would take an entry
 * without a start of validity as valid since 1970. A time-stamping authority's leaf must be made for time-stamping alone.
 */
import { Buffer } from 'node:buffer';
import { X509Certificate, type KeyObject } from 'node:crypto';
import { TrustedRoot } from '@sigstore/protobuf-specs';
import { toTrustMaterial, type TrustMaterial } from '@sigstore/verify';
import { isCoded } from '../error.ts';
import { codesignError } from './codesign-errors.ts';

const timeStamping = '1.3.6.1.5.5.7.3.8';

/** `key`: a signing key in addition to those that the root names. @throws CODESIGN_TRUST */
export function readTrustMaterial(json: unknown, what: string, key?: KeyObject): TrustMaterial {
  const wrong = (why: string, cause?: unknown): Error =>
    codesignError('CODESIGN_TRUST', `the trusted root of ${what} ${why}`, { cause });
  try {
    const root = TrustedRoot.fromJSON(json);
    for (const { publicKey } of [...root.tlogs, ...root.ctlogs])
      if (!publicKey?.validFor?.start) throw wrong('has a log key without validFor.start');
    for (const authority of [...root.certificateAuthorities, ...root.timestampAuthorities]) {
      if (!authority.validFor?.start) throw wrong('has an authority without validFor.start');
      if (!authority.certChain?.certificates.length) throw wrong('has an authority without certificates');
    }
    for (const { certChain } of root.timestampAuthorities) {
      const leaf = new X509Certificate(Buffer.from(certChain!.certificates[0]!.rawBytes));
      // RFC 3161 §2.3: the key is for time-stamping and nothing else.
      if (leaf.keyUsage?.length !== 1 || leaf.keyUsage[0] !== timeStamping)
        throw wrong('has a time-stamping authority whose certificate is not for time-stamping alone');
    }
    return toTrustMaterial(root, () => {
      // equivalent: a key is asked for only by what a key signed, and each kind of bundle comes with its certificate or its key
      if (!key) throw wrong('names no keys');
      return { publicKey: key, validFor: () => true };
    });
  } catch (cause) {
    if (isCoded(cause)) throw cause;
    throw wrong('cannot be read', cause);
  }
}
