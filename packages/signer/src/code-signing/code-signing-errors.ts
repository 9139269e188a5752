/** Error codes for making a code signature. */
import { errorsOf } from '@countersign/protocol';

export const codeSigningErrorTable = {
  SIGN_CERTIFICATE: {
    meaning: 'The code-signing certificate cannot be used: unreadable, expired, or not for code signing.',
    hint: 'give the PEM file of a valid code-signing certificate, the leaf first',
  },
  SIGN_KEY: {
    meaning: 'The private key does not belong to the certificate, or is of a kind that is not accepted.',
    hint: 'give the key that the certificate was issued for: P-256, or RSA of 3072 bits or more',
  },
  SIGN_TIMESTAMP: {
    meaning: 'The time-stamping authority did not answer, refused, or answered something else than was asked.',
    hint: 'check --timestamp-url and the network, then sign again; nothing was written',
  },
  SIGN_NOT_BELIEVED: {
    meaning: 'The new signature would not count by the codesign authority of this workspace; nothing was written.',
    hint: 'sign with an identity that the authority names, or change the authority first with countersign authority codesign',
  },
} as const;

export const codeSigningError = errorsOf(codeSigningErrorTable);
