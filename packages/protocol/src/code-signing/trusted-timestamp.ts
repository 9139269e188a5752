/**
 * Prepares RFC 3161 timestamps of commercial authorities for verification. The library recognises ECDSA by its algorithm name,
 * and RSA works only by luck, with SHA-256; here the digest comes from the token. A token that was
 * not granted is refused before anything else.
 */
import { RFC3161Timestamp } from '@sigstore/core';
import type { SignedEntity } from '@sigstore/verify';
import { codesignError } from './codesign-errors.ts';

class AnyDigestTimestamp extends RFC3161Timestamp {
  override get signatureAlgorithm(): string {
    return super.signatureAlgorithm ?? this.signerDigestAlgorithm;
  }
}

/** The entity with its timestamps made ready for verification. @throws CODESIGN_TIMESTAMP */
export function withTrustedTimestamps(entity: SignedEntity): SignedEntity {
  return {
    ...entity,
    timestamps: entity.timestamps.map((entry) => {
      if (entry.$case !== 'timestamp-authority') return entry;
      // RFC 3161 §2.4.2: 0 granted, 1 granted with modifications; any other status comes without a token.
      if (entry.timestamp.status !== 0n && entry.timestamp.status !== 1n)
        throw codesignError('CODESIGN_TIMESTAMP', `the timestamp has status ${entry.timestamp.status}`);
      return { ...entry, timestamp: new AnyDigestTimestamp(entry.timestamp.root) };
    }),
  };
}
