/** Error codes for code signatures: why a bundle, or a release with its bundles, is refused. */
import { errorsOf } from '../error.ts';

export const codesignErrorTable = {
  CODESIGN_BUNDLE: {
    meaning:
      'A line of the bundle file is not a Sigstore v0.3 bundle with one DSSE signature over an in-toto statement, or the file is too large.',
    hint: 'sign the release again with countersign sign',
  },
  CODESIGN_STATEMENTS_DIFFER: {
    meaning: 'The bundles of one release do not all sign the same statement.',
    hint: 'pack once and have everybody sign that very statement',
  },
  CODESIGN_SIGNATURE: {
    meaning: 'The signature does not hold, or its certificate does not lead to the authority at the time of signing.',
    hint: 'the release was changed after signing or signed by somebody else; sign it again',
  },
  CODESIGN_TIMESTAMP: {
    meaning: 'The signature has no trusted RFC 3161 timestamp, or one that was not granted.',
    hint: 'sign with --timestamp-url of a time-stamping authority that the codesign chain names',
  },
  CODESIGN_CERTIFICATE: {
    meaning: 'The signing certificate is not one for code signing, or has a key or extension that is not accepted.',
    hint: 'use a code-signing certificate with a P-256 key or RSA of 3072 bits or more',
  },
  CODESIGN_IDENTITY: {
    meaning: 'Nobody in the codesign chain has this certificate subject and issuer, or this key.',
    hint: 'sign with an identity that the codesign chain names, or have the chain name it',
  },
  CODESIGN_REVOKED: {
    meaning: 'The key or certificate that signed is revoked.',
    hint: 'sign the release with another key or certificate',
  },
  CODESIGN_TRUST: {
    meaning: 'The trusted root of an authority in the codesign chain cannot be used.',
    hint: 'every CA and time-stamping authority needs certificates and validFor.start; correct the chain',
  },
  CODESIGN_RULE: {
    meaning: 'The codesign chain says nothing about who must sign this component.',
    hint: 'add a rule for the component, or for *, to the codesign chain',
  },
  CODESIGN_THRESHOLD: {
    meaning: 'Too few of those who must sign have signed.',
    hint: 'have the named roles sign the statement; the message says which signatures did not count',
  },
  CODESIGN_ONE_PERSON: {
    meaning: 'Fewer than two people stand behind the TUF signatures and the code signatures together.',
    hint: 'have a second person sign; the codesign chain says whose keys are whose',
  },
} as const;

export const codesignError = errorsOf(codesignErrorTable);
